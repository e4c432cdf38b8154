"""Opt-in signs of life, every five seconds."""

from streaming_gateway import wire

EVERY_SECONDS = 5.0


class Heartbeats:
    """When the next one is due and what it says; times in seconds of a steady clock."""

    def __init__(self, began: float) -> None:
        self._began = began
        self._last = began
        self._last_audio = 0.0
        self._loudest = 0.0

    @property
    def due(self) -> float:
        """When the next one is due."""
        return self._last + EVERY_SECONDS

    def restart(self, now: float, audio_seconds: float) -> None:
        """Nobody listened until `now`: the next one is due five seconds later and tells of these alone."""
        self._last, self._last_audio, self._loudest = now, audio_seconds, 0.0

    def heard(self, speech_probability: float) -> None:
        """A recogniser tells the highest speech probability lately."""
        self._loudest = max(self._loudest, speech_probability)

    def beat(self, now: float, audio_seconds: float) -> wire.WireMessage:
        """The heartbeat at `now`, with `audio_seconds` received since the session began."""
        factor = (audio_seconds - self._last_audio) / max(now - self._last, 1e-3)
        message = wire.heartbeat(round(audio_seconds * 1000), round((now - self._began) * 1000), factor, self._loudest)
        self.restart(now, audio_seconds)
        return message
