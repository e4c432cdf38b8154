"""What tests over real sockets do with a session: say something, wait for something, note when what came."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from streamingstack_bench.scripted import VOICE, Script, ScriptWord
from streamingstack_bench.wire_client import WireClient, wire_client
from streamingstack_bench.wire_rules import Message

STEP_MS = 100


def utterances(
    *parts: str | int,
    start_ms: int = 500,
    word_ms: int = 260,
    gap_ms: int = 40,
    voice: Mapping[str, float] | None = None,
    misheard: Mapping[str, str] | None = None,
    **more: Any,
) -> Script:
    """A script of texts, evenly spoken, and of silences in milliseconds between them.

    `voice` and `misheard` are those of ScriptWord, by the word's text.
    """
    words: list[ScriptWord] = []
    at = start_ms
    for part in parts:
        if isinstance(part, int):
            at += part - gap_ms
            continue
        for word in part.split():
            loud, other = (voice or {}).get(word, VOICE), (misheard or {}).get(word, "")
            words.append(ScriptWord(word, at, at + word_ms, voice=loud, misheard=other))
            at += word_ms + gap_ms
    return Script(words, **more)


async def session(url: str, audio_ms: int, *, chunk_ms: int = STEP_MS, **query: Any) -> WireClient:
    """A whole session with so much audio as fast as it goes, to its clean end."""
    query.setdefault("universal3", str(query.get("speech_model")).startswith("universal-3"))
    async with wire_client(url, **query) as client:
        await client.audio(audio_ms, chunk_ms=chunk_ms)
        assert await client.terminate() == (1000, "Session Ended")
    return client


async def refusal(url: str, **query: Any) -> tuple[int, str, list[str]]:
    """Code and text of the Error, and the types of all messages."""
    async with wire_client(url, **query) as refused:
        code, _ = await refused.rest()
    last = refused.messages[-1]
    assert last["error_code"] == code
    return code, last["error"], [message["type"] for message in refused.messages]


async def trickle(client: WireClient, milliseconds: int) -> None:
    """So much audio, 50 ms at a time, with time to hear it in between: partials come where they would come live."""
    for _ in range(milliseconds // 50):
        await client.audio(50, chunk_ms=50)
        await asyncio.sleep(0.005)


async def speak(client: WireClient, milliseconds: int, began: float | None = None) -> None:
    """So much audio in real time, in steps of 100 ms that are sent when they are over."""
    began = time.monotonic() if began is None else began
    for at in range(0, milliseconds, STEP_MS):
        await asyncio.sleep(max(0.0, began + (at + STEP_MS) / 1000 - time.monotonic()))
        await client.audio(STEP_MS)


class Listening:
    """Reads a session in the background; `came` are its messages with their times on the monotonic clock."""

    def __init__(self, client: WireClient) -> None:
        self.came: list[tuple[float, Message]] = []
        self._client = client
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while (message := await self._client.next(120)) is not None:
            self.came.append((time.monotonic(), message))

    def when(self, **wanted: Any) -> float:
        """When the first message with these fields came. Raises StopIteration where none has."""
        return next(at for at, message in self.came if wanted.items() <= message.items())

    async def end(self) -> tuple[int, str]:
        """How the server closes."""
        await self._reading
        assert self._client.closed is not None
        return self._client.closed


async def quiet(client: WireClient, seconds: float) -> bool:
    """Whether nothing comes for so long."""
    try:
        await client.next(seconds)
    except TimeoutError:
        return True
    return False
