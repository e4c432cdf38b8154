"""A multipart body, part by part as it arrives, within bounds; `audio` and `config` are kept, in memory alone."""

import io
from dataclasses import dataclass, field

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from streaming_sync_api.problems import SyncProblem, bad_request, too_large

_MOST_CONFIG_BYTES = 512 * 1024
_MOST_PARTS = 100  # each costs time; of what clients send there are two


@dataclass
class Form:
    """What a request holds; `audio_type` is the Content-Type of the part."""

    audio: io.BytesIO | None = None
    audio_type: str = ""
    config: bytes | None = None


@dataclass
class _Part:
    headers: dict[bytes, bytes] = field(default_factory=dict)
    name: str = ""
    content: io.BytesIO = field(default_factory=io.BytesIO)


class FormReader:
    """`feed` it the body; `form` is what came, once `finish` was called."""

    def __init__(self, content_type: str, max_bytes: int) -> None:
        """`content_type` is the request's. Raises SyncProblem 400 where it is no multipart form."""
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise bad_request("send multipart/form-data with a part named audio, and optionally one named config")
        self.form = Form()
        self._left = self._most = max_bytes
        self._parts = 0
        self._part = _Part()
        self._header_name = self._header_value = b""
        self._whole = False
        callbacks = {
            "on_part_begin": self._begin,
            "on_header_field": self._name,
            "on_header_value": self._value,
            "on_header_end": self._header,
            "on_headers_finished": self._headers,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._last,
        }
        try:
            self._parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]
        except FormParserError:
            raise bad_request("Content-Type: the boundary is too long; 70 characters are enough") from None

    def feed(self, chunk: bytes) -> None:
        """The next bytes of the body. Raises SyncProblem 400 or 413."""
        self._left -= len(chunk)
        if self._left < 0:
            raise body_too_large(self._most)
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise bad_request("the body is not the multipart form that its Content-Type announces") from None

    def finish(self) -> Form:
        """The whole form. Raises SyncProblem 400 where parts are missing."""
        if not self._whole:
            raise bad_request("the body ends before its last boundary; send the whole form")
        if self.form.audio is None:
            raise bad_request("audio: missing; send the recording as a part of this name")
        return self.form

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise bad_request(f"the form has more than {_MOST_PARTS} parts; send audio, and optionally config")
        self._part = _Part()
        self._header_name = self._header_value = b""

    def _name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header(self) -> None:
        self._part.headers[self._header_name.lower()] = self._header_value
        self._header_name = self._header_value = b""

    def _headers(self) -> None:
        _, options = parse_options_header(self._part.headers.get(b"content-disposition", b""))
        self._part.name = options.get(b"name", b"").decode("utf-8", "replace")
        if self._part.name == "audio" and self.form.audio is not None:
            raise bad_request("audio: sent twice; send one recording in a request")

    def _data(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        if part.name == "config" and part.content.tell() + end - start > _MOST_CONFIG_BYTES:
            raise bad_request(f"config: longer than {_MOST_CONFIG_BYTES} bytes")
        if part.name in ("audio", "config"):
            part.content.write(data[start:end])

    def _end(self) -> None:
        part = self._part
        part.content.seek(0)
        if part.name == "audio":
            self.form.audio = part.content
            self.form.audio_type = part.headers.get(b"content-type", b"").decode("latin-1")
        elif part.name == "config":
            self.form.config = part.content.read()

    def _last(self) -> None:
        self._whole = True


def body_too_large(most: int) -> SyncProblem:
    """Refuses a body by its size."""
    return too_large(f"the request is larger than {most} bytes; send a shorter recording, or a lower sample rate")
