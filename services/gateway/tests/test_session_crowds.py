"""Five hundred clients at once, more than there is room for, and a megabyte in one frame."""

import asyncio
from typing import Any

import pytest
from leftovers import leaving_nothing
from streamingstack_bench.wire_client import wire_client

LONG = 6000
FINALS = ["hello there this is a test", "done"]


async def test_five_hundred_sessions_open_at_once_and_all_are_served(stack: Any) -> None:
    """All are open before any ends, and they end by and by: clients, gateway and recogniser share one process here."""
    async with stack(max_sessions=500, capacity=500) as running, leaving_nothing(running):
        open_, ending = asyncio.Barrier(500), asyncio.Semaphore(20)

        async def one(number: int) -> list[str]:
            async with wire_client(running.url) as client:
                begin = await client.next(120)
                assert begin is not None
                assert begin["type"] == "Begin"
                await open_.wait()
                assert number or running.sessions == 500
                async with ending:
                    if number % 10 == 0:
                        await client.audio(LONG, chunk_ms=1000)
                    await client.say("Terminate")
                    assert await client.rest(120) == (1000, "Session Ended")
            return client.finals

        heard = await asyncio.gather(*(one(number) for number in range(500)))
    assert heard == [FINALS if number % 10 == 0 else [] for number in range(500)]


async def test_of_sixty_at_once_those_beyond_capacity_are_refused_and_nobody_else(stack: Any) -> None:
    async with stack(max_sessions=20) as running:

        async def one() -> str:
            async with wire_client(running.url) as client:
                first = await client.next(60)
                assert first is not None
                if first["type"] == "Begin":
                    await asyncio.sleep(1)
                    await client.terminate()
                return str(first.get("error_code", "Begin"))

        codes = await asyncio.gather(*(one() for _ in range(60)))
    assert codes.count("Begin") == 20
    assert codes.count("3009") == 40


@pytest.mark.parametrize("kind", ["binary", "text"])
async def test_a_megabyte_in_one_frame_ends_its_own_session_only(plain_stack: Any, kind: str) -> None:
    async with wire_client(plain_stack.url) as other, wire_client(plain_stack.url) as client:
        await client.next()
        await client.connection.send(bytes(2**20) if kind == "binary" else "x" * 2**20)
        assert (await client.rest())[0] == 1009
        await other.audio(LONG)
        assert await other.terminate() == (1000, "Session Ended")
        assert other.finals == FINALS
