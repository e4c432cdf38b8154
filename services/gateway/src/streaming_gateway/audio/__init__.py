"""The client's audio: what a frame may be, and how it becomes what recognisers take."""

from streaming_gateway.audio.intake import AudioIntake, ChunkRule
from streaming_gateway.audio.rate import RECOGNISER_RATE

__all__ = ["RECOGNISER_RATE", "AudioIntake", "ChunkRule"]
