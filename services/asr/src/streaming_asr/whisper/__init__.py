"""Whisper on CTranslate2: what the Triton model `whisper` runs. Needs the `triton-cpu` or `triton-gpu` extra."""
