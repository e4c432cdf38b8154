"""Five hundred clients at once, more than there is room for, and a megabyte in one frame."""

import asyncio
import sys
import time
from typing import Any

import httpx2
import pytest
from conversations import Listening, speak
from gateway_process import gateway_process
from streamingstack_bench.scripted import Script
from streamingstack_bench.scripted_process import scripted_process
from streamingstack_bench.wire_client import wire_client

CROWD = 500
MODELS = '[{"speech_model": "universal-streaming-english", "route": "en-default"}]'
LONG = 6000
FINALS = ["hello there this is a test", "done"]


async def test_five_hundred_sessions_open_at_once_and_all_are_served_beside_a_neighbour_in_real_time() -> None:
    """Gateway and recogniser are processes of their own; all 500 are open before any ends.

    Each connects in the same moment as the others, so that the last `Begin` comes when the gateway has opened 500, and
    this process has asked for as many: on two cores, two seconds, of which half a second is the gateway's from an
    upgrade on. The bounds are of a machine that does other things, too. One that comes alone has it within the second.
    """
    script = Script.of("Hello there, this is a test. | | Done.")
    async with (
        scripted_process(script, capacity=600) as recogniser,
        gateway_process(AAI_ASR_ENDPOINT=recogniser.endpoint, GATEWAY_MODELS=MODELS, MAX_SESSIONS="600") as gateway,
        wire_client(f"ws://127.0.0.1:{gateway.port}") as neighbour,
    ):
        listening = Listening(neighbour)
        speaking = asyncio.create_task(speak(neighbour, LONG))
        crowd = Crowd(f"ws://127.0.0.1:{gateway.port}")
        heard = await asyncio.gather(*(crowd.one(number) for number in range(CROWD)))
        await speaking
        await neighbour.say("Terminate")
        assert await listening.end() == (1000, "Session Ended")
        async with wire_client(crowd.url) as after:
            assert (await after.next(1) or {})["type"] == "Begin"
        async with httpx2.AsyncClient() as http:
            told = (await http.get(f"http://127.0.0.1:{gateway.metrics_port}/metrics")).text
    assert neighbour.finals == FINALS
    assert heard == [FINALS if number % 10 == 0 else [] for number in range(CROWD)]
    waits = sorted(crowd.waits)
    marks = f"p50 {waits[CROWD // 2]:.2f} s, p95 {waits[CROWD * 95 // 100]:.2f} s, last {waits[-1]:.2f} s"
    sys.stderr.write(f"{CROWD} at once: Begin after {marks}\n")
    assert waits[-1] < 10, marks
    assert f'streaming_gateway_begin_seconds_bucket{{le="2.0"}} {CROWD + 2}.0' in told, "of the gateway itself"


class Crowd:
    """Clients that open together, and end by and by. `waits`: from the connection attempt to Begin, in seconds."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.waits: list[float] = []
        self._open, self._ending = asyncio.Barrier(CROWD), asyncio.Semaphore(20)

    async def one(self, number: int) -> list[str]:
        """One session; every tenth of them speaks. What it heard."""
        since = time.monotonic()
        async with wire_client(self.url) as client:
            begin = await client.next(60)
            self.waits.append(time.monotonic() - since)
            assert begin is not None
            assert begin["type"] == "Begin"
            await self._open.wait()
            async with self._ending:
                if number % 10 == 0:
                    await client.audio(LONG, chunk_ms=1000)
                await client.say("Terminate")
                assert await client.rest(60) == (1000, "Session Ended")
        return client.finals


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
