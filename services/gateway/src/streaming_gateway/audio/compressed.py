"""Compressed audio, decoded by FFmpeg's libraries frame by frame: mono s16le at the recogniser's rate."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Protocol

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from streaming_gateway.audio.ogg import OggError, OggOpus, OpusHead
from streaming_gateway.audio.rate import RECOGNISER_RATE
from streaming_gateway.problems import Problem, undecodable

_OPUS_RATE = 48_000
_LONGEST_OPUS_PACKET = 61_298  # RFC 6716, appendix B, in 120 ms
# A stream may be joined in the midst of a frame; one of a second and more without any is none.
_UNSYNCHRONISED = 64 * 1024


class Compressed(Protocol):
    """A decoder. Both yield s16le at 16 kHz in small pieces, so that whoever asks may do something else between."""

    def decode(self, data: bytes) -> Iterator[bytes]:
        """The audio in one message of the client; raises Problem 3006."""

    def finish(self) -> Iterator[bytes]:
        """What is held back; nothing comes after it."""


class _Mono:
    """Frames of any rate, layout and format, which may change on the way, as mono s16le at 16 kHz."""

    def __init__(self) -> None:
        self._resampler: AudioResampler | None = None
        self._form: tuple[int, str, str] | None = None

    def pcm(self, frames: Iterable[AudioFrame]) -> Iterator[bytes]:
        for frame in frames:
            form = (frame.sample_rate, frame.layout.name, frame.format.name)
            if form != self._form:
                yield from self.rest()
                self._resampler = AudioResampler(format="s16", layout="mono", rate=RECOGNISER_RATE)
                self._form = form
            frame.pts = None
            assert self._resampler is not None
            yield from (_bytes(piece) for piece in self._resampler.resample(frame))

    def rest(self) -> Iterator[bytes]:
        if self._resampler is not None:
            yield from (_bytes(piece) for piece in self._resampler.resample(None))
            self._resampler = None


class Opus:
    """One Opus packet a message."""

    def __init__(self) -> None:
        self._decoder = _opus_decoder("mono")
        self._mono = _Mono()

    def decode(self, data: bytes) -> Iterator[bytes]:
        """See Compressed."""
        yield from self._mono.pcm(_packet(self._decoder, data, "Opus packet"))

    def finish(self) -> Iterator[bytes]:
        """See Compressed."""
        yield from self._mono.rest()


class OggStream:
    """Opus in Ogg, in slices of any size; streams may follow one another."""

    def __init__(self) -> None:
        self._pages = OggOpus()
        self._decoder: AudioCodecContext | None = None
        self._mono = _Mono()
        self._skip = 0

    def decode(self, data: bytes) -> Iterator[bytes]:
        """See Compressed."""
        try:
            for found in self._pages.feed(data):
                if isinstance(found, OpusHead):
                    yield from self._begin(found)
                else:
                    assert self._decoder is not None
                    yield from self._after_skip(self._mono.pcm(_packet(self._decoder, found, "Opus packet")))
        except OggError as failure:
            raise undecodable("Ogg stream", str(failure)) from None

    def finish(self) -> Iterator[bytes]:
        """See Compressed."""
        yield from self._after_skip(self._mono.rest())

    def _begin(self, head: OpusHead) -> Iterator[bytes]:
        yield from self.finish()
        try:
            self._decoder = _opus_decoder(f"{head.channels}c" if head.channels > 2 else "mono", head.raw)
        except (av.FFmpegError, ValueError) as failure:
            raise undecodable("Ogg stream", _reason(failure)) from None
        self._mono = _Mono()
        # The encoder's run-up, which is no audio: RFC 7845, section 4.2.
        self._skip = 2 * (head.pre_skip * RECOGNISER_RATE // _OPUS_RATE)

    def _after_skip(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            kept, self._skip = piece[self._skip :], max(0, self._skip - len(piece))
            if kept:
                yield kept


class Aac:
    """AAC in ADTS frames, in slices of any size."""

    def __init__(self) -> None:
        decoder = av.CodecContext.create("aac", "r")
        assert isinstance(decoder, AudioCodecContext)
        self._decoder = decoder
        self._mono = _Mono()
        self._silent_bytes = 0

    def decode(self, data: bytes) -> Iterator[bytes]:
        """See Compressed."""
        self._silent_bytes += len(data)
        for packet in self._decoder.parse(data):
            yield from self._heard(packet)
        if self._silent_bytes > _UNSYNCHRONISED:
            raise undecodable("AAC stream", f"no ADTS frame in {self._silent_bytes} bytes")

    def finish(self) -> Iterator[bytes]:
        """See Compressed."""
        with contextlib.suppress(Problem):  # a last frame that was cut off is no mistake of the client
            for packet in self._decoder.parse(b""):
                yield from self._heard(packet)
        yield from self._mono.rest()

    def _heard(self, packet: av.Packet) -> Iterator[bytes]:
        for piece in self._mono.pcm(_packet(self._decoder, packet, "AAC frame")):
            self._silent_bytes = 0
            yield piece


def _opus_decoder(layout: str, head: bytes | None = None) -> AudioCodecContext:
    decoder = av.CodecContext.create("libopus", "r")
    assert isinstance(decoder, AudioCodecContext)
    decoder.sample_rate = _OPUS_RATE
    decoder.layout = layout
    if head is not None:
        decoder.extradata = head
    decoder.open()
    return decoder


def _packet(decoder: AudioCodecContext, data: bytes | av.Packet, what: str) -> list[AudioFrame]:
    """The frames of one packet; raises Problem 3006."""
    if isinstance(data, bytes):
        if len(data) > _LONGEST_OPUS_PACKET:
            raise undecodable(what, f"{len(data)} bytes; one packet has at most {_LONGEST_OPUS_PACKET}")
        data = av.Packet(data)
    try:
        return decoder.decode(data)
    except (av.FFmpegError, ValueError) as failure:
        raise undecodable(what, _reason(failure)) from None


def _reason(failure: Exception) -> str:
    """The library's words for the kind of failure, without its numbers."""
    return failure.strerror if isinstance(failure, av.FFmpegError) and failure.strerror else type(failure).__name__


def _bytes(frame: AudioFrame) -> bytes:
    return bytes(frame.to_ndarray().astype("<i2").tobytes())
