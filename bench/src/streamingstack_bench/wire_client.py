"""A plain client of the wire that trusts nothing: every message passes the rules, as it arrives."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from streamingstack_bench.wire_rules import Message, WireRules

_PATIENCE_SECONDS = 20.0


class WireClient:
    """One session; `messages` are all that came so far, `closed` how the server closed."""

    def __init__(self, connection: ClientConnection, rules: WireRules, sample_rate: int = 16_000) -> None:
        self.connection = connection
        self.rules = rules
        self.messages: list[Message] = []
        self.closed: tuple[int, str] | None = None
        self._rate = sample_rate
        self.rules.audio_ms = 0

    @property
    def turns(self) -> list[Message]:
        """All Turn messages."""
        return [message for message in self.messages if message["type"] == "Turn"]

    @property
    def finals(self) -> list[str]:
        """Transcripts of ended turns, one a turn: the last message of each."""
        return list({turn["turn_order"]: turn["transcript"] for turn in self.turns if turn["end_of_turn"]}.values())

    async def audio(self, milliseconds: int, *, chunk_ms: int = 100, pcm: bytes | None = None) -> None:
        """Send `pcm`, or silence, as fast as it goes. s16le at the client's rate."""
        data = pcm if pcm is not None else bytes(2 * self._rate * milliseconds // 1000)
        step = 2 * self._rate * chunk_ms // 1000
        for start in range(0, len(data), step):
            await self.raw(data[start : start + step])

    async def raw(self, frame: bytes) -> None:
        """Send one binary frame of s16le."""
        assert self.rules.audio_ms is not None
        self.rules.audio_ms += 1000 * len(frame) // (2 * self._rate) + 1
        await self.connection.send(frame)

    async def say(self, kind: str, **fields: Any) -> None:
        """Send one JSON message."""
        await self.connection.send(json.dumps({"type": kind, **fields}))

    async def next(self, seconds: float = _PATIENCE_SECONDS) -> Message | None:
        """The next message, checked; None when the server closed, whose code and reason are checked too."""
        try:
            async with asyncio.timeout(seconds):
                frame = await self.connection.recv()
        except ConnectionClosed:
            code, reason = self.connection.close_code or 1006, self.connection.close_reason or ""
            self.closed = (code, reason)
            self.rules.closed(code, reason)
            return None
        self.messages.append(self.rules.see(frame))
        return self.messages[-1]

    async def until(self, wanted: Callable[[Message], bool], seconds: float = _PATIENCE_SECONDS) -> Message:
        """The first message that is `wanted`; AssertionError when the server closes first."""
        while True:
            message = await self.next(seconds)
            assert message is not None, f"closed {self.closed} while waiting"
            if wanted(message):
                return message

    async def rest(self, seconds: float = _PATIENCE_SECONDS) -> tuple[int, str]:
        """Read on until the server closes; how it closed."""
        while await self.next(seconds) is not None:
            pass
        assert self.closed is not None
        return self.closed

    async def terminate(self) -> tuple[int, str]:
        """Terminate and read on until the server closes."""
        await self.say("Terminate")
        return await self.rest()


@contextlib.asynccontextmanager
async def wire_client(
    url: str,
    *,
    key: str | None = "self-hosted",
    universal3: bool = False,
    opted_in: frozenset[str] = frozenset(),
    **query: Any,
) -> AsyncIterator[WireClient]:
    """Connect to `url` (with its path) with `query`; Begin is not read yet."""
    wanted = str(query.get("format_turns", "")).lower() in ("true", "1")
    rules = WireRules(universal3=universal3, format_turns=wanted, opted_in=opted_in)
    headers = {} if key is None else {"Authorization": key}
    full = f"{url}?{urlencode(query)}" if query else url
    async with connect(
        full, additional_headers=headers, compression=None, close_timeout=2, max_size=None
    ) as connection:
        rate = str(query.get("sample_rate", ""))
        yield WireClient(connection, rules, int(rate) if rate.isdecimal() else 16_000)
