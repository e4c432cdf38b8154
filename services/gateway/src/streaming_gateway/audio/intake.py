"""One session's audio on its way in: length rules, decoding, resampling."""

from collections.abc import Iterator
from dataclasses import dataclass

from streaming_gateway.audio.compressed import Aac, Compressed, OggStream, Opus
from streaming_gateway.audio.pcm import Mulaw, Pcm16, Resampler, Samples
from streaming_gateway.audio.rate import RECOGNISER_RATE
from streaming_gateway.problems import chunk_duration

_SHORTEST_MS, _LONGEST_MS = 50.0, 1000.0
_SHORT_FRAMES, _SHORT_SECONDS = 20, 1.0
_BYTES_PER_SAMPLE = 2
# Of compressed audio: a message may hold minutes of it.
_LONGEST_PIECE = RECOGNISER_RATE * _BYTES_PER_SAMPLE


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


class AudioIntake:
    """Frames of one session. Both methods yield s16le at 16 kHz in pieces of a second at most."""

    def __init__(self, encoding: str, sample_rate: int) -> None:
        self._way: _SampleWay | _CompressedWay
        if encoding in _COMPRESSED:
            self._way = _CompressedWay(_COMPRESSED[encoding]())
        else:
            self._way = _SampleWay(_SAMPLES[encoding](), sample_rate)

    @property
    def received_samples(self) -> int:
        """Samples received so far, at `rate`."""
        return self._way.received

    @property
    def received_seconds(self) -> float:
        """Audio received so far."""
        return self._way.received / self._way.rate

    def feed(self, frame: bytes, now: float) -> Iterator[bytes]:
        """The audio in a frame. Raises Problem 3007, too long or too short too often, or 3006, undecodable."""
        if frame:
            yield from self._way.feed(frame, now)

    def finish(self) -> Iterator[bytes]:
        """What was held back; no frame comes after it. Raises Problem 3006."""
        yield from self._way.finish()


class _SampleWay:
    """`received` counts the client's own samples."""

    def __init__(self, samples: Samples, rate: int) -> None:
        self.rate = rate
        self.received = 0
        self._samples = samples
        self._resampler = Resampler(rate)
        self._rule = ChunkRule()

    def feed(self, frame: bytes, now: float) -> Iterator[bytes]:
        self._rule.check(1000 * (len(frame) // self._samples.bytes_per_sample) / self.rate, now)
        pcm = self._samples.decode(frame)
        self.received += len(pcm) // _BYTES_PER_SAMPLE
        yield self._resampler.resampled(pcm)

    def finish(self) -> Iterator[bytes]:
        yield self._resampler.resampled(b"", last=True)


class _CompressedWay:
    """`received` counts decoded samples; a message of it has no rule for its length but the connection's."""

    rate = RECOGNISER_RATE

    def __init__(self, decoder: Compressed) -> None:
        self.received = 0
        self._decoder = decoder

    def feed(self, frame: bytes, now: float) -> Iterator[bytes]:
        return self._in_pieces(self._decoder.decode(frame))

    def finish(self) -> Iterator[bytes]:
        return self._in_pieces(self._decoder.finish())

    def _in_pieces(self, decoded: Iterator[bytes]) -> Iterator[bytes]:
        piece = bytearray()
        for pcm in decoded:
            self.received += len(pcm) // _BYTES_PER_SAMPLE
            piece += pcm
            if len(piece) >= _LONGEST_PIECE:
                yield bytes(piece)
                piece.clear()
        yield bytes(piece)


_SAMPLES: dict[str, type[Pcm16] | type[Mulaw]] = {"pcm_s16le": Pcm16, "pcm_mulaw": Mulaw}
_COMPRESSED: dict[str, type[Opus] | type[OggStream] | type[Aac]] = {"opus": Opus, "ogg_opus": OggStream, "aac": Aac}
