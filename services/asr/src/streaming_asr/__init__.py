"""The recogniser: hears speech and words, in front of Triton."""
