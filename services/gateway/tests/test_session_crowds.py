"""Five hundred clients at once, a megabyte in one frame, and clients that send anything at all."""

import asyncio
import json
import random
from typing import Any

import pytest
from leftovers import leaving_nothing
from streamingstack_bench.wire_client import WireClient, wire_client
from websockets.exceptions import ConnectionClosed

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


def anything(chance: random.Random) -> str | bytes:
    """A frame: audio, noise, JSON that is nearly right, JSON that is not."""
    kinds = ["Terminate", "ForceEndpoint", "KeepAlive", "UpdateConfiguration", "Bogus", "", "terminate"]
    fields = ["max_turn_silence", "keyterms_prompt", "vad_threshold", "mode", "prompt", "format_turns", "type"]
    values: list[Any] = [None, 0, -1, 10**400, 0.5, True, "x", "\ud800", [], {}, ["x"] * 101, "y" * 5000, [[[]]]]
    match chance.randrange(8):
        case 0:
            return chance.randbytes(chance.randrange(4000))
        case 1:
            return bytes(2 * chance.randrange(800, 16_000))
        case 2:
            return "".join(chr(chance.randrange(32, 0x2FFF)) for _ in range(chance.randrange(60)))
        case 3:
            return "[" * chance.randrange(100_000)
        case 4:
            return json.dumps(chance.choice(values))
        case _:
            message = {"type": chance.choice(kinds)}
            message |= {chance.choice(fields): chance.choice(values) for _ in range(chance.randrange(3))}
            return json.dumps(message)


async def fuzz(url: str, seed: int) -> int:
    """Send until the server ends the session; returns the code it closed with."""
    chance = random.Random(seed)
    client: WireClient
    async with wire_client(url) as client:
        try:
            for _ in range(60):
                await client.connection.send(anything(chance))
            await client.say("Terminate")
            while True:
                await asyncio.wait_for(client.connection.recv(), 20)
        except ConnectionClosed:
            return client.connection.close_code or 0


async def test_clients_that_send_anything_end_by_code_and_harm_nobody(plain_stack: Any) -> None:
    async with leaving_nothing(plain_stack), wire_client(plain_stack.url) as kept:
        await kept.next()
        codes: list[int] = []
        for first in range(0, 200, 20):
            codes += await asyncio.gather(*(fuzz(plain_stack.url, first + number) for number in range(20)))
        await kept.audio(LONG)
        assert await kept.terminate() == (1000, "Session Ended")
        assert kept.finals == FINALS
    assert set(codes) <= {1000, 3006, 3007}, sorted(set(codes))
    assert 3006 in codes
