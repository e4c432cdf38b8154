"""Builds the images, and archives, describes and checks what was built."""
