"""Licence tokens: claims, issuing, offline verification."""
