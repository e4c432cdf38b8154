"""The client's audio: what a frame may be, and how it becomes what recognisers take."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import soxr

from streaming_gateway.problems import chunk_duration

RECOGNISER_RATE = 16_000
_SHORTEST_MS, _LONGEST_MS = 50.0, 1000.0
_SHORT_FRAMES, _SHORT_SECONDS = 20, 1.0


@dataclass
class ChunkRule:
    """50 to 1000 ms a frame. Short ones pass unless they are the habit: clients end on a remainder."""

    _short: int = 0
    _short_since: float = 0.0

    def check(self, duration_ms: float, now: float) -> None:
        """Take a frame of `duration_ms` that came at `now` (seconds of a steady clock); raises Problem 3007."""
        if duration_ms > _LONGEST_MS:
            raise chunk_duration(duration_ms)
        if duration_ms >= _SHORTEST_MS:
            self._short = 0
            return
        if self._short == 0:
            self._short_since = now
        self._short += 1
        if self._short >= _SHORT_FRAMES and now - self._short_since >= _SHORT_SECONDS:
            raise chunk_duration(duration_ms)


class Decoder(Protocol):
    """From bytes of a client's encoding, any number at a time, to s16le at the client's rate."""

    bytes_per_sample: int

    def decode(self, data: bytes) -> bytes:
        """What is whole so far; a rest is kept for the next call."""


class Pcm16:
    """s16le; a stray byte waits for its other half."""

    bytes_per_sample = 2

    def __init__(self) -> None:
        self._stray = b""

    def decode(self, data: bytes) -> bytes:
        """Whole samples."""
        if not self._stray and len(data) % 2 == 0:
            return data
        data = self._stray + data
        whole = len(data) & ~1
        self._stray = data[whole:]
        return data[:whole]


class Mulaw:
    """G.711, one byte a sample."""

    bytes_per_sample = 1

    def decode(self, data: bytes) -> bytes:
        """Two bytes for one."""
        return _MULAW[np.frombuffer(data, dtype=np.uint8)].tobytes()


def _mulaw_table() -> "np.ndarray[Any, np.dtype[np.int16]]":
    code = ~np.arange(256, dtype=np.uint8)
    magnitude = (((code & 0x0F).astype(np.int32) << 3) + 0x84 << ((code >> 4) & 7)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype("<i2")


_MULAW = _mulaw_table()
_DECODERS: dict[str, type[Pcm16] | type[Mulaw]] = {"pcm_s16le": Pcm16, "pcm_mulaw": Mulaw}


class AudioIntake:
    """One session's audio on its way in. `received_samples` counts the client's own samples."""

    def __init__(self, encoding: str, sample_rate: int) -> None:
        self._decoder: Decoder = _DECODERS[encoding]()
        self._rate = sample_rate
        self._rule = ChunkRule()
        self._resampler = (
            None
            if sample_rate == RECOGNISER_RATE
            else soxr.ResampleStream(sample_rate, RECOGNISER_RATE, 1, dtype="int16", quality="HQ")
        )
        self.received_samples = 0

    @property
    def received_seconds(self) -> float:
        """Audio received so far."""
        return self.received_samples / self._rate

    def feed(self, frame: bytes, now: float) -> bytes:
        """The frame as s16le at 16 kHz; maybe empty. Raises Problem 3007: too long, or too short too often."""
        if not frame:
            return b""
        self._rule.check(1000 * (len(frame) // self._decoder.bytes_per_sample) / self._rate, now)
        pcm = self._decoder.decode(frame)
        self.received_samples += len(pcm) // 2
        return self._resampled(pcm, last=False)

    def finish(self) -> bytes:
        """What the resampler still holds."""
        return self._resampled(b"", last=True)

    def _resampled(self, pcm: bytes, *, last: bool) -> bytes:
        if self._resampler is None:
            return pcm
        samples = np.frombuffer(pcm, dtype="<i2")
        return bytes(self._resampler.resample_chunk(samples, last=last).astype("<i2").tobytes())
