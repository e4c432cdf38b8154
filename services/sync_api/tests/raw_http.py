"""HTTP by hand, for requests that no library sends, and what the documents say of every answer."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from scripted_sync_api import Stack

SECONDS = 10.0
BOUNDARY = b"bound"
FORM = b"multipart/form-data; boundary=" + BOUNDARY
# What docs/sync-api.md says, less what depends on a licence, a key's limits or a recogniser.
DOCUMENTED = {
    400: {"bad_request", "bad_audio", "audio_too_short"},
    401: {"unauthorized"},
    408: {"request_timeout"},
    413: {"audio_too_large"},
    415: {"unsupported_media_type"},
}
WORDS = {"text", "words", "confidence", "audio_duration_ms", "session_id", "request_time_ms"}


@dataclass(frozen=True)
class Answer:
    """The first answer to a request; `body` is its JSON."""

    status: int
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def code(self) -> str:
        """What it is refused with, or ok."""
        return str(self.body.get("error_code", "ok"))


def head(*lines: bytes, path: str = "/transcribe", version: bytes = b"1.1") -> bytes:
    """The head of a POST, with `Host` and these lines."""
    start = b"POST " + path.encode() + b" HTTP/" + version
    return b"\r\n".join([start, b"Host: here", *lines, b"", b""])


def request(body: bytes, content_type: bytes = FORM, path: str = "/transcribe", length: int | None = None) -> bytes:
    """A whole request, whose Content-Length is `length`, where that is not the body's."""
    told = str(len(body) if length is None else length).encode()
    lines = [b"Authorization: self-hosted", b"Content-Type: " + content_type, b"Content-Length: " + told]
    return head(*lines, path=path) + body


def part(name: bytes, content: bytes, kind: bytes = b"audio/wav") -> bytes:
    """One part of a form."""
    lines = [b"--" + BOUNDARY, b'Content-Disposition: form-data; name="' + name + b'"; filename="f"']
    return b"\r\n".join([*lines, b"Content-Type: " + kind, b"", content, b""])


def form(*parts: bytes) -> bytes:
    """A whole body."""
    return b"".join(parts) + b"--" + BOUNDARY + b"--\r\n"


@contextlib.asynccontextmanager
async def connection(port: int, sent: bytes) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """One on which so much was sent; it is reset at the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        yield reader, writer
    finally:
        writer.transport.abort()


async def answer_to(port: int, sent: bytes) -> Answer:
    """What is answered to `sent`. Raises TimeoutError where nothing is, AssertionError where it is undocumented."""
    async with asyncio.timeout(SECONDS), connection(port, sent) as (reader, _):
        return await read_answer(reader)


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """The next one, without its `100 Continue`."""
    status, headers = 100, dict[str, str]()
    while status == 100:
        start, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        status = int(start.split()[1])
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = await reader.readexactly(int(headers["content-length"]))
    answer = Answer(status, headers, json.loads(body))
    check_documented(answer)
    return answer


def check_documented(answer: Answer) -> None:
    """Words, or one of the documented refusals in both of its forms, merged."""
    assert answer.headers["content-type"] == "application/json"
    if answer.status == 200:
        assert answer.body.keys() == WORDS
        return
    body = answer.body
    assert body.keys() == {"status", "title", "detail", "error_code", "message"}
    assert body["error_code"] in DOCUMENTED.get(answer.status, set()), answer
    assert (body["status"], body["detail"]) == (answer.status, body["message"])
    assert body["title"].lower().replace(" ", "_") == body["error_code"]
    assert body["detail"]


async def no_place_is_taken(running: Stack) -> None:
    """Waits until neither the sync API nor the recogniser has anything left of any request."""
    async with asyncio.timeout(SECONDS):
        while running.running.api.counts.sessions or running.recogniser.slots.active:
            await asyncio.sleep(0.01)
