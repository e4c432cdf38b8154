"""A thin client of the Streaming v3 protocol: one recording, paced, and every message it brings back."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus, InvalidURI

from streamingstack_cli.errors import CommandError
from streamingstack_cli.recording import RATE, Recording
from streamingstack_cli.way import Way

CHUNK_MS = 50
_OPEN_SECONDS = 10.0
# After the last audio a server that says nothing for so long is taken for dead.
_QUIET_SECONDS = 60.0


@dataclass(frozen=True)
class Request:
    """What is asked of which server; `speed` 1 is real time."""

    url: str
    api_key: str
    parameters: Mapping[str, str]
    speed: float = 1.0
    way: Way = field(default_factory=Way)

    @property
    def address(self) -> str:
        """The URL with its query."""
        base = self.url.rstrip("/")
        path = "" if urlsplit(base).path else "/v3/ws"
        return f"{base}{path}?{urlencode({'sample_rate': str(RATE), **self.parameters})}"


@dataclass
class Sending:
    """How far the audio is; times by `time.monotonic`."""

    speed: float
    began: float = 0.0
    samples: int = 0

    def spoken_at(self, milliseconds: int) -> float:
        """When that much audio had been spoken, had it been spoken at this speed."""
        return self.began + milliseconds / 1000 / self.speed

    @property
    def seconds(self) -> float:
        """Audio sent so far."""
        return self.samples / RATE


async def stream(request: Request, recording: Recording, sending: Sending) -> AsyncGenerator[dict[str, Any]]:
    """Every message of the session, `Begin` first and `Termination` last.

    Raises CommandError with the server's own words where it refuses or breaks off, when it falls silent, and where the
    recording cannot be read to its end.
    """
    connection = await _connected(request)
    async with connection:
        sender = asyncio.create_task(_send(connection, recording, sending))
        try:
            async for message in _messages(connection, sender):
                yield message
                if message["type"] == "Termination":
                    return
            raise _broken_off(connection)
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)


async def _connected(request: Request) -> ClientConnection:
    where = urlsplit(request.url)
    shown = f"{where.scheme}://{where.netloc.rpartition('@')[2]}"
    try:
        return await connect(
            request.address,
            additional_headers={"Authorization": request.api_key},
            open_timeout=_OPEN_SECONDS,
            close_timeout=2,
            max_size=1 << 22,
            **request.way.options(request.address),
        )
    except ssl.SSLError as failure:
        raise CommandError(
            f"{shown}: {failure.reason or failure}; name the authority's certificate with --ca"
        ) from None
    except (InvalidURI, ValueError) as refused:
        raise CommandError(f"{shown}: no WebSocket URL ({refused}); use ws://host:port or wss://host", 2) from None
    except InvalidStatus as refused:
        raise CommandError(f"{shown} refused: HTTP {refused.response.status_code}") from None
    except (InvalidHandshake, InvalidMessage, EOFError) as refused:
        raise CommandError(f"{shown} does not speak WebSocket: {refused}") from None
    except TimeoutError:
        raise CommandError(f"{shown} did not answer within {_OPEN_SECONDS:.0f} s") from None
    except OSError as failure:
        reason = failure.strerror or failure
        raise CommandError(f"{shown}: {reason}; start a stack with: streamingstack up") from None


async def _send(connection: ClientConnection, recording: Recording, sending: Sending) -> None:
    sending.began = time.monotonic()
    try:
        for chunk in recording.chunks(RATE * CHUNK_MS // 1000):
            # A microphone has a piece of sound only when it is over.
            sending.samples += len(chunk) // 2
            await asyncio.sleep(max(0.0, sending.spoken_at(round(sending.seconds * 1000)) - time.monotonic()))
            await connection.send(chunk)
        await connection.send(json.dumps({"type": "Terminate"}))
    except ConnectionClosed:
        return  # why is told by what was received


async def _messages(connection: ClientConnection, sender: "asyncio.Task[None]") -> AsyncIterator[dict[str, Any]]:
    while True:
        try:
            text = await _next(connection, sender)
        except ConnectionClosed:
            return
        message: dict[str, Any] = json.loads(text)
        if message.get("type") == "Error":
            raise CommandError(f"the server ended the session: {message.get('error')} ({message.get('error_code')})")
        yield message


async def _next(connection: ClientConnection, sender: "asyncio.Task[None]") -> str | bytes:
    """The next message; while audio is being sent, silence is no fault: pings watch the connection.

    Raises CommandError, also the sender's: without the rest of the audio no message is worth waiting for.
    """
    receiving = asyncio.ensure_future(connection.recv())
    try:
        await asyncio.wait({receiving, sender}, return_when=asyncio.FIRST_COMPLETED)
        if sender.done():
            sender.result()
        async with asyncio.timeout(_QUIET_SECONDS):
            return await receiving
    except TimeoutError:
        raise CommandError(f"the server said nothing for {_QUIET_SECONDS:.0f} s after the last audio") from None
    finally:
        receiving.cancel()


def _broken_off(connection: ClientConnection) -> CommandError:
    reason = f": {connection.close_reason}" if connection.close_reason else ""
    return CommandError(f"the server closed the session early ({connection.close_code}{reason})")
