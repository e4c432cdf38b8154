"""Clients that are half there: a request without an end, a peer that is gone without a word, one that reads nothing."""

import asyncio
import contextlib
import hashlib
import resource
import socket
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from leftovers import leaving_nothing
from raw_websocket import UPGRADE, raw_client
from streamingstack_bench.wire_client import wire_client

# Masked with zeros, as many as fit, each as long as they may be.
PINGS = (bytes([0x89, 0x80 | 125]) + bytes(4 + 125)) * 31


async def first(running: Any, key: str = "small") -> str:
    async with wire_client(running.url, key=key) as client:
        return str((await client.next() or {})["type"])


async def until_sessions(running: Any, count: int) -> None:
    async with asyncio.timeout(15):
        while running.sessions != count:
            await asyncio.sleep(0.02)


async def ended(running: Any, reason: str) -> None:
    """Waits until it is counted, once."""
    async with httpx2.AsyncClient(trust_env=False) as http, asyncio.timeout(10):
        while f'reason="{reason}"}} 1.0' not in (await http.get(running.metrics)).text:
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("sent", [b"", b"GET /v3/ws?sample_ra", UPGRADE[:-2]], ids=["nothing", "a line", "a head"])
async def test_a_client_that_never_ends_its_request_is_hung_up_on(plain_stack: Any, sent: bytes) -> None:
    async with raw_client(plain_stack.running.port, sent) as half_open:
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(15):
                while await asyncio.get_running_loop().sock_recv(half_open, 4096):
                    pass


async def test_a_peer_that_is_gone_without_a_word_gives_its_place_back(stack: Any, tmp_path: Path) -> None:
    """It answers no ping; the place is the last one of its key."""
    keys = tmp_path / "keys"
    keys.write_text(f"{hashlib.sha256(b'small').hexdigest()} team max_sessions=1\n")
    waits = {"ping_interval_seconds": 1.0, "ping_timeout_seconds": 1.0}
    async with stack(api_keys_file=keys, **waits) as running, raw_client(running.running.port, UPGRADE):
        await until_sessions(running, 1)
        assert await first(running) == "Error"
        began = time.monotonic()
        await until_sessions(running, 0)
        assert time.monotonic() - began < 6, "two seconds of pings, and two for a close that nobody answers"
        assert await first(running) == "Begin"


async def test_a_client_that_answers_its_pings_and_says_nothing_keeps_its_session(stack: Any) -> None:
    async with (
        stack(ping_interval_seconds=0.1, ping_timeout_seconds=0.5) as running,
        wire_client(running.url) as client,
    ):
        await client.next()
        await asyncio.sleep(2)
        assert await client.terminate() == (1000, "Session Ended")


async def test_pings_without_end_whose_answers_nobody_reads_end_the_session_and_harm_nobody(stack: Any) -> None:
    loop = asyncio.get_running_loop()
    async with stack(max_unread_bytes=65_536) as running, leaving_nothing(running):
        memory = resident_bytes()
        async with raw_client(running.running.port, UPGRADE) as flooding, wire_client(running.url) as neighbour:
            await until_sessions(running, 2)
            await neighbour.audio(3000)
            with contextlib.suppress(ConnectionError):
                async with asyncio.timeout(60):
                    while True:
                        await send_some(loop, flooding)
            await neighbour.audio(3000)
            assert await neighbour.terminate() == (1000, "Session Ended")
        assert neighbour.finals == ["hello there this is a test", "done"]
        assert resident_bytes() - memory < 32 * 1024 * 1024
        await ended(running, "slow_reader")


async def send_some(loop: asyncio.AbstractEventLoop, flooding: socket.socket) -> None:
    await loop.sock_sendall(flooding, PINGS)
    await asyncio.sleep(0)


async def test_a_client_that_reads_nothing_and_falls_silent_is_ended_in_time(stack: Any) -> None:
    """Too little is unread to end it for that; and as writing to it waits, no ping is sent that could go unanswered."""
    loop = asyncio.get_running_loop()
    waits = {"ping_interval_seconds": 8.0, "ping_timeout_seconds": 0.5}  # all is sent before the first ping
    async with (
        stack(max_unread_bytes=64 * 1024 * 1024, **waits) as running,
        raw_client(running.running.port, UPGRADE) as deaf,
    ):
        await until_sessions(running, 1)
        for _ in range(2000):  # 8 MB: more than the kernels' buffers hold
            await send_some(loop, deaf)
        await until_sessions(running, 0)
        await ended(running, "slow_reader")


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
