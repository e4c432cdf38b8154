"""Whole recordings beside live sessions: their places, their turn at the engine, and how much they ask of it."""

import asyncio
import contextlib
from typing import Any

import grpc
import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from streaming_asr.agreement import BULK_LIMITS, GRID
from streaming_asr.engine import SAMPLE_RATE, Hypothesis, Window
from streaming_asr.server import RecogniserServer, Serving, serve_recogniser
from streaming_asr.triton.bulk import BulkPlace
from streaming_asr.triton.client import BULK, COMMIT, DEEP, TritonEngine
from streamingstack.asr.v1 import recognizer_pb2 as pb
from streamingstack_bench.peer import opening, play
from streamingstack_bench.scripted import ROUTES, Script, ScriptedEngine, ScriptedVoice, serve_scripted

from .stand_in_triton import stand_in_triton
from .test_admission import admitted, counted, refusal, stub

SCRIPT = Script.of("one two three " * 30 + "| | four five six", word_ms=380, gap_ms=20)
SECONDS = 42.0


def bulk(**more: Any) -> pb.Open:
    return opening(traffic_class=pb.TRAFFIC_CLASS_BULK, checkpoints_ms=[], **more)


async def status(call: Any) -> grpc.StatusCode:
    """How a call is ended by the recogniser."""
    with contextlib.suppress(grpc.aio.AioRpcError):
        while await call.read() is not grpc.aio.EOF:
            pass
    code: grpc.StatusCode = await call.code()
    return code


async def test_bulk_gives_way_the_youngest_first_and_live_sessions_are_refused_only_by_each_other() -> None:
    async with serve_scripted(SCRIPT, capacity=3) as server, stub(server) as recognizers:
        older = await admitted(recognizers, bulk())
        younger = await admitted(recognizers, bulk())
        assert await refusal(recognizers, bulk()) is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (counted(server, "bulk"), counted(server, "full")) == (1.0, 0.0)
        await admitted(recognizers, opening())
        await admitted(recognizers, opening())
        assert await status(younger) is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert server.slots.bulk == 1
        await admitted(recognizers, opening())
        assert await status(older) is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await refusal(recognizers, opening()) is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (counted(server, "bulk"), counted(server, "full")) == (1.0, 1.0)


class Counting(ScriptedEngine):
    """Remembers what it was asked."""

    def __init__(self, script: Script) -> None:
        super().__init__(script)
        self.decoded: list[Window] = []
        self.glimpses = 0

    async def decode(self, window: Window) -> Hypothesis:
        self.decoded.append(window)
        return await super().decode(window)

    async def glimpse(self, window: Window) -> Hypothesis | None:
        self.glimpses += 1
        return await ScriptedEngine.decode(self, window)


@pytest.mark.parametrize("replacing", [False, True])
async def test_bulk_hears_the_same_words_with_a_fifth_of_the_decodes_and_no_glimpse(replacing: bool) -> None:
    engine = Counting(SCRIPT)
    serving = Serving(ROUTES, 4, replacing=replacing, host="127.0.0.1")
    async with serve_recogniser(serving, engine, ScriptedVoice(SCRIPT)) as server:
        silence = np.zeros(round(SECONDS * SAMPLE_RATE), np.int16)
        result = await play(f"127.0.0.1:{server.port}", silence, opened=bulk())
    (last,) = result.of("finalized")
    words = list(last.words) if replacing else [word for segment in result.segments() for word in segment]
    assert [word.text for word in words] == [word.text for word in SCRIPT.words]
    assert [word.start_sample for word in words] == [16 * word.start_ms for word in SCRIPT.words]
    assert engine.glimpses == 0
    assert all(window.bulk for window in engine.decoded)
    assert len(engine.decoded) <= SECONDS * SAMPLE_RATE / BULK_LIMITS.grid + 2
    assert BULK_LIMITS.grid == 5 * GRID


async def test_recordings_decode_one_at_a_time_and_begin_only_while_live_decodes_are_few() -> None:
    place, inside, order = BulkPlace(deep=2), 0, []

    async def recording(name: str) -> None:
        nonlocal inside
        async with place.taken():
            inside += 1
            assert inside == 1
            order.append(name)
            await asyncio.sleep(0)
            inside -= 1

    place.live(2)
    waiting = [asyncio.create_task(recording(name)) for name in "abc"]
    for _ in range(10):
        await asyncio.sleep(0)
    assert order == []
    place.live(1)
    await asyncio.gather(*waiting)
    assert order == ["a", "b", "c"]


async def test_who_waits_for_calm_begins_in_no_storm_that_came_meanwhile() -> None:
    place, begun = BulkPlace(deep=1), asyncio.Event()

    async def recording() -> None:
        async with place.taken():
            begun.set()

    place.live(1)
    waiting = asyncio.create_task(recording())
    await asyncio.sleep(0)
    place.live(0)
    place.live(1)  # before who waits is woken
    for _ in range(10):
        await asyncio.sleep(0)
    assert not begun.is_set()
    place.live(0)
    await waiting


async def test_triton_is_told_that_live_decodes_come_first() -> None:
    async with stand_in_triton() as (standing_in, url), TritonEngine(url, registry=CollectorRegistry()) as engine:
        await asyncio.wait_for(engine.ready.wait(), 10)
        audio = np.ones(SAMPLE_RATE, np.int16)
        await engine.decode(Window(audio, 0))
        await engine.decode(Window(audio, 0, bulk=True))
        assert standing_in.priorities == [COMMIT, BULK]
        assert COMMIT < BULK
        assert await engine.end_of_turn(Window(audio, 0, bulk=True)) == 0.0
        assert standing_in.priorities == [COMMIT, BULK], "a recording has no turns to score"


async def test_live_decodes_that_queue_hold_recordings_back_and_never_the_other_way_round() -> None:
    async with stand_in_triton() as (standing_in, url), TritonEngine(url, registry=CollectorRegistry()) as engine:
        await asyncio.wait_for(engine.ready.wait(), 10)
        audio = np.ones(SAMPLE_RATE, np.int16)
        standing_in.hold()
        live = [asyncio.create_task(engine.decode(Window(audio, 0))) for _ in range(DEEP)]
        recordings = [asyncio.create_task(engine.decode(Window(audio, 0, bulk=True))) for _ in range(3)]
        async with asyncio.timeout(10):
            while len(standing_in.priorities) < DEEP:
                await asyncio.sleep(0.01)
        assert set(standing_in.priorities) == {COMMIT}
        standing_in.release()
        await asyncio.gather(*live, *recordings)
        assert standing_in.priorities == [COMMIT] * DEEP + [BULK] * 3


async def test_nobody_s_latency_is_measured_by_recordings() -> None:
    async with serve_scripted(SCRIPT) as server:
        silence = np.zeros(round(SECONDS * SAMPLE_RATE), np.int16)
        await play(f"127.0.0.1:{server.port}", silence, opened=bulk())
        assert _chunks(server) == 0
        await play(f"127.0.0.1:{server.port}", silence)
        assert _chunks(server) > 0


def _chunks(server: RecogniserServer) -> float:
    return server.registry.get_sample_value("streaming_asr_chunk_latency_seconds_count") or 0.0
