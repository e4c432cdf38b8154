"""The StreamingStack object and everything rendered from it."""
