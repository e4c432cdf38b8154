"""Sessions that end with words on their way to a client that takes none: who is gone is waited for no longer."""

import asyncio
import socket
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from leftovers import leaving_nothing
from raw_websocket import BINARY, TEXT, UPGRADE, frame, raw_client
from stand_in_proxy import Proxy, ready
from streaming_gateway.goodbye import GOODBYE_SECONDS
from streamingstack_bench.scripted import Script

SECONDS = 5
SOON = GOODBYE_SECONDS / 4
# A few of them are more than the kernel keeps of what nobody reads.
LONG_WORDS = Script.of(" ".join(["x" * 200_000] * 12))
PLENTY = 512 * 1024 * 1024


async def speak(client: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(SECONDS * 10):
        await loop.sock_sendall(client, frame(BINARY, bytes(3200)))


async def metrics(running: Any) -> str:
    async with httpx2.AsyncClient(trust_env=False) as http:
        return (await http.get(running.metrics)).text


async def heard(running: Any) -> None:
    """All of the audio: the words are queued."""
    async with asyncio.timeout(30):
        while running.sessions != 1 or f"}} {SECONDS}.0" not in await metrics(running):
            await asyncio.sleep(0.05)
        (session,) = running.running.gateway.sessions
        while session.backlog_seconds > 0.1:
            await asyncio.sleep(0.02)


async def goodbye_begins(running: Any) -> None:
    """The session has decided how it ends, and left its recogniser."""
    async with asyncio.timeout(20):
        while not running.recogniser.slots.active:
            await asyncio.sleep(0.005)
        while running.recogniser.slots.active:
            await asyncio.sleep(0.005)


async def seconds_to_the_end(running: Any) -> float:
    began = time.monotonic()
    async with asyncio.timeout(10):
        while running.sessions:
            await asyncio.sleep(0.005)
    return time.monotonic() - began


async def ends_counted(running: Any) -> list[tuple[str, float]]:
    """Reason and count, of every reason."""
    lines = [line for line in (await metrics(running)).splitlines() if "sessions_ended_total{" in line]
    return [(line.split('reason="')[1].split('"')[0], float(line.split()[-1])) for line in lines]


@pytest.mark.parametrize(("last", "reason"), [(b'{"type":"Terminate"}', "ended"), (b"{not json", "invalid_input")])
async def test_a_client_that_is_gone_before_it_heard_the_end_is_not_waited_for(
    stack: Any, proxy: Proxy, tmp_path: Path, last: bytes, reason: str
) -> None:
    """Its place is free, and its session counted and metered, as if it had heard all of it."""
    settings = {"license_endpoint": proxy.url, "spool_dir": tmp_path, "max_unread_bytes": PLENTY, "max_sessions": 1}
    async with stack(LONG_WORDS, **settings) as running:
        await ready(running)
        async with raw_client(running.running.port, UPGRADE) as deaf:
            await speak(deaf)
            await heard(running)
            await asyncio.get_running_loop().sock_sendall(deaf, frame(TEXT, last))
            await goodbye_begins(running)
            assert running.sessions == 1, "words are queued, and may still be read"
        assert await seconds_to_the_end(running) < SOON
        assert running.running.gateway.counts.sessions == 0
        assert await ends_counted(running) == [(reason, 1.0)]
    (event,) = proxy.usage.values()
    assert (event["audio_ms"], event["ended"]) == (SECONDS * 1000, True)


async def test_a_client_that_was_cut_off_for_reading_nothing_is_not_waited_for(stack: Any) -> None:
    # Writing waits before the first ping is due: none is sent that could go unanswered.
    patience = {"ping_interval_seconds": 8.0, "ping_timeout_seconds": 0.5, "max_unread_bytes": PLENTY}
    async with (
        stack(LONG_WORDS, **patience) as running,
        leaving_nothing(running),
        raw_client(running.running.port, UPGRADE) as deaf,
    ):
        await speak(deaf)
        await goodbye_begins(running)
        assert await seconds_to_the_end(running) < SOON
        assert ("slow_reader", 1.0) in await ends_counted(running)
