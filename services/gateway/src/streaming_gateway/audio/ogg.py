"""Opus packets out of an Ogg stream (RFC 3533, RFC 7845), from slices of any size. Pure.

A whole demuxer of a library reads from a file and blocks: positions in the audio would then depend on when bytes came.
Checksums are not compared, since the bytes came over TCP.
"""

from collections.abc import Iterator
from dataclasses import dataclass

_CAPTURE = b"OggS"
_HEADER = 27
_CONTINUED, _BEGINS = 1, 2
# Ten times the longest Opus packet of one channel.
_LONGEST_PACKET = 16 * 1024


class OggError(ValueError):
    """Not an Ogg stream of Opus; the text says where it stops being one."""


@dataclass(frozen=True)
class OpusHead:
    """The first packet of a stream. `raw` is what decoders take; `pre_skip` counts samples at 48 kHz."""

    raw: bytes
    channels: int
    pre_skip: int


class OggOpus:
    """Feed it bytes; it yields an OpusHead for every stream that begins, and its audio packets."""

    def __init__(self) -> None:
        self._bytes = b""
        self._serial: int | None = None
        self._part = b""
        self._headers_left = 0

    def feed(self, data: bytes) -> Iterator[OpusHead | bytes]:
        """What is whole so far. Raises OggError."""
        self._bytes += data
        while (page := self._next_page()) is not None:
            yield from self._packets(*page)

    def _next_page(self) -> tuple[int, int, bytes, bytes] | None:
        """Flags, serial number, lacing values and body; None: more bytes are needed."""
        held = self._bytes
        if held[:4] != _CAPTURE[: len(held)]:
            raise OggError("no Ogg page begins where one must")
        if len(held) < _HEADER or len(held) < _HEADER + held[26]:
            return None
        lacing = held[_HEADER : _HEADER + held[26]]
        end = _HEADER + len(lacing) + sum(lacing)
        if len(held) < end:
            return None
        self._bytes = held[end:]
        return held[5], int.from_bytes(held[14:18], "little"), lacing, held[_HEADER + len(lacing) : end]

    def _packets(self, flags: int, serial: int, lacing: bytes, body: bytes) -> Iterator[OpusHead | bytes]:
        if flags & _BEGINS:
            if not body.startswith(b"OpusHead"):
                return  # another stream of the same file: a picture, a text
            self._serial, self._part, self._headers_left = serial, b"", 2
        if serial != self._serial:
            if self._serial is None:
                raise OggError("the first page does not begin an Opus stream")
            return
        if not flags & _CONTINUED:
            self._part = b""
        for packet in self._whole_packets(lacing, body):
            if not self._headers_left:
                yield packet
                continue
            self._headers_left -= 1
            if self._headers_left:
                yield _head(packet)

    def _whole_packets(self, lacing: bytes, body: bytes) -> Iterator[bytes]:
        at = 0
        for size in lacing:
            self._part += body[at : at + size]
            at += size
            # Tags, the second packet, may hold a picture.
            if len(self._part) > _LONGEST_PACKET and not self._headers_left:
                raise OggError(f"a packet of more than {_LONGEST_PACKET} bytes")
            if size < 255:
                packet, self._part = self._part, b""
                yield packet


def _head(packet: bytes) -> OpusHead:
    if len(packet) < 19 or packet[8] >> 4:
        raise OggError("an OpusHead of an unknown version")
    return OpusHead(packet, packet[9], int.from_bytes(packet[10:12], "little"))
