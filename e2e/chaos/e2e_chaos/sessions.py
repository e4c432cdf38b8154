"""Clients in real time, many in one process: audio goes out when a microphone would have it, words come in.

Lighter than the load tool's client: of what comes only the words are kept, and when each was final.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from e2e_chaos.records import Heard, Word

RATE = 16_000
BYTES_PER_SECOND = 2 * RATE
FINISH_SECONDS = 75.0  # longer than a gateway bridges a time without any recogniser
OPEN_SECONDS = 20.0

Clock = Callable[[], float]


@dataclass(frozen=True)
class Where:
    """A gateway behind an ingress: connections go to `address`:`port`, whatever `host` resolves to."""

    address: str
    port: int
    host: str
    key: str


@dataclass(frozen=True)
class Speech:
    """What a session plays: `pcm` (s16le, 16 kHz, mono) over and over, or silence where it is empty, for `seconds`."""

    name: str
    speech_model: str
    seconds: float
    pcm: bytes = b""
    chunk_ms: int = 200

    def chunk(self, at: int) -> bytes:
        """The bytes from position `at` on, a chunk of them at most; none behind the end."""
        size = min(BYTES_PER_SECOND * self.chunk_ms // 1000, round(self.seconds * RATE) * 2 - at)
        if size <= 0 or not self.pcm:
            return bytes(max(0, size))
        begin = at % len(self.pcm)
        taken = self.pcm[begin : begin + size]
        return taken + self.pcm[: size - len(taken)]


async def speak(where: Where, speech: Speech, clock: Clock, *, began: asyncio.Event | None = None) -> Heard:
    """One whole session; never raises for what the server does: see what was heard. `began` is set after Begin."""
    heard = Heard(speech.name)
    asked = clock()
    try:
        connection = await _open(where, speech)
    except (InvalidStatus, InvalidHandshake, ConnectionClosed, OSError, TimeoutError) as no:
        heard.reason = f"not opened: {type(no).__name__}"
        return heard
    try:
        await _converse(connection, speech, heard, clock, asked, began)
    except (ConnectionClosed, TimeoutError) as end:
        heard.reason = heard.reason or type(end).__name__
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await connection.close()
    heard.code = connection.close_code or 1006
    heard.reason = heard.reason or connection.close_reason or ""
    return heard


async def speak_all(where: Where, speeches: Sequence[Speech], clock: Clock, *, over_s: float = 10.0) -> list[Heard]:
    """All of them at once, begun over that many seconds, so that their chunks do not fall together."""

    async def later(number: int, speech: Speech) -> Heard:
        await asyncio.sleep(over_s * number / max(1, len(speeches)))
        return await speak(where, speech, clock)

    return await asyncio.gather(*(later(number, speech) for number, speech in enumerate(speeches)))


async def _open(where: Where, speech: Speech) -> ClientConnection:
    query = {"sample_rate": str(RATE), "speech_model": speech.speech_model}
    return await connect(
        f"ws://{where.host}/v3/ws?{urlencode(query)}",
        host=where.address,
        port=where.port,
        additional_headers={"Authorization": where.key},
        compression=None,
        open_timeout=OPEN_SECONDS,
        close_timeout=2,
        ping_interval=None,
        max_size=2**22,
    )


async def _converse(
    connection: ClientConnection,
    speech: Speech,
    heard: Heard,
    clock: Clock,
    asked: float,
    began: asyncio.Event | None,
) -> None:
    async with asyncio.timeout(OPEN_SECONDS):
        first = json.loads(await connection.recv())
    if first.get("type") != "Begin":
        heard.reason = f"{first.get('error_code')} {first.get('error')}"
        return
    heard.session_id, heard.begun_at = str(first["id"]), clock()
    heard.begin_s = heard.begun_at - asked
    if began is not None:
        began.set()
    sending = asyncio.create_task(_send(connection, speech, heard, clock))
    try:
        await _listen(connection, heard, clock)
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


async def _send(connection: ClientConnection, speech: Speech, heard: Heard, clock: Clock) -> None:
    at = 0
    while chunk := speech.chunk(at):
        at += len(chunk)
        due = heard.begun_at + at / BYTES_PER_SECOND
        await asyncio.sleep(max(0.0, due - clock()))
        await connection.send(chunk)
        heard.sent_s = at / BYTES_PER_SECOND
        heard.late_s = max(heard.late_s, clock() - due)
    await connection.send('{"type":"Terminate"}')
    await asyncio.sleep(FINISH_SECONDS)
    heard.reason = f"no Termination within {FINISH_SECONDS:.0f} s of Terminate"
    connection.transport.abort()


async def _listen(connection: ClientConnection, heard: Heard, clock: Clock) -> None:
    """Until the server closes. Raises ConnectionClosed where it does so without a close frame."""
    known = 0  # final words of the open turn
    async for frame in connection:
        message: dict[str, Any] = json.loads(frame)
        kind = message.get("type")
        if kind == "Turn":
            final = [word for word in message["words"] if word["word_is_final"]]
            now = clock()
            heard.lags += [(now, now - heard.begun_at - word["end"] / 1000) for word in final[known:]]
            known = len(final)
            if message["end_of_turn"]:
                heard.words += [Word(word["text"], word["start"], word["end"]) for word in final]
                known = 0
        elif kind == "Termination":
            heard.terminated = True
        elif kind == "Error":
            heard.reason = f"{message.get('error_code')} {message.get('error')}"
