"""The client's audio: what a frame may be, and how it becomes what recognisers take."""

from streaming_gateway.audio.intake import RECOGNISER_RATE, AudioIntake, ChunkRule

__all__ = ["RECOGNISER_RATE", "AudioIntake", "ChunkRule"]
