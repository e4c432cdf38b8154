"""Samples as they are: every byte count is a duration."""

from typing import Any, Protocol

import numpy as np
import soxr

from streaming_gateway.audio.rate import RECOGNISER_RATE

_LOWEST, _HIGHEST = -32_768, 32_767


class Samples(Protocol):
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


class Resampler:
    """From s16le at `rate` to s16le at the recogniser's; what comes out does not depend on how it was cut.

    soxr's int16 streams add dither that is drawn anew in every call, so that 50 ms and 100 ms frames of the same bytes
    differ by one or two steps. Its float32 streams add none, and are rounded here.
    """

    def __init__(self, rate: int) -> None:
        same = rate == RECOGNISER_RATE
        self._stream = None if same else soxr.ResampleStream(rate, RECOGNISER_RATE, 1, dtype="float32", quality="HQ")

    def resampled(self, pcm: bytes, *, last: bool = False) -> bytes:
        """What is due; with `last` also what was held back."""
        if self._stream is None:
            return pcm
        samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32)
        exact = self._stream.resample_chunk(samples, last=last)
        return bytes(np.rint(exact).clip(_LOWEST, _HIGHEST).astype("<i2").tobytes())


def _mulaw_table() -> "np.ndarray[Any, np.dtype[np.int16]]":
    code = ~np.arange(256, dtype=np.uint8)
    magnitude = (((code & 0x0F).astype(np.int32) << 3) + 0x84 << ((code >> 4) & 7)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype("<i2")


_MULAW = _mulaw_table()
