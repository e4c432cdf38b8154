"""Triton's door to Smart Turn: the model itself is `streaming_asr.smart_turn`."""

from streaming_asr.smart_turn import SmartTurnServing as TritonPythonModel

__all__ = ["TritonPythonModel"]
