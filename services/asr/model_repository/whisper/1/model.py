"""Triton's door to Whisper: the model itself is `streaming_asr.whisper`."""

from streaming_asr.whisper.serving import WhisperServing as TritonPythonModel

__all__ = ["TritonPythonModel"]
