"""A real Triton with a real Whisper: what is heard does not depend on company, and its death is noticed and healed."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from streaming_asr.engine import SAMPLE_RATE, EngineLostError, Pcm, Window
from streaming_asr.triton.client import TritonEngine

from .conftest import LocalTriton

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]

START_SECONDS = 90.0


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def engine(triton: LocalTriton, registry: CollectorRegistry) -> AsyncIterator[TritonEngine]:
    async with TritonEngine(triton.url, registry=registry) as engine:
        await asyncio.wait_for(engine.ready.wait(), START_SECONDS)
        yield engine


def mixed_windows(spoken: list[Pcm]) -> list[Window]:
    """Eight windows of mixed lengths, two of them with a prompt, cut at places of their own."""
    lengths = (1.3, 3.0, 5.9, 7.2, 3.4, 9.5, 2.2, 5.0)
    windows = []
    for number, seconds in enumerate(lengths):
        clip = spoken[number % len(spoken)]
        first = number * 2400
        prompt = "A recording of a person who reads aloud." if number % 4 == 3 else ""
        windows.append(Window(clip[first : first + int(seconds * SAMPLE_RATE)], first, prompt=prompt))
    return windows


async def whisper_counts(triton: LocalTriton) -> tuple[float, float]:
    """Windows that Whisper has decoded, and its runs for them, by Triton's own metrics."""
    async with httpx2.AsyncClient() as http:
        shown = (await http.get(f"http://{triton.plan.host}:{triton.plan.metrics_port}/metrics")).text
    families = {family.name: family.samples for family in text_string_to_metric_families(shown)}
    windows, runs = (
        sum(sample.value for sample in families[name] if sample.labels["model"] == "whisper")
        for name in ("nv_inference_count", "nv_inference_exec_count")
    )
    return windows, runs


async def test_a_window_gives_the_same_words_alone_and_among_eight(engine: TritonEngine, spoken: list[Pcm]) -> None:
    windows = mixed_windows(spoken)
    alone = [await engine.decode(window) for window in windows]
    assert sum(len(heard.words) for heard in alone) > 40
    for _ in range(2):
        assert await asyncio.gather(*(engine.decode(window) for window in windows)) == alone


async def test_windows_that_wait_at_the_same_time_share_runs_of_the_model(
    triton: LocalTriton, engine: TritonEngine, spoken: list[Pcm]
) -> None:
    before = await whisper_counts(triton)
    await asyncio.gather(*(engine.decode(window) for window in mixed_windows(spoken) * 2))
    requests, runs = (after - early for after, early in zip(await whisper_counts(triton), before, strict=True))
    assert requests == 16
    # The first may find nobody waiting; whoever comes meanwhile goes together.
    assert 1 <= runs <= requests / 2


async def test_words_lie_inside_their_window_in_order(engine: TritonEngine, spoken: list[Pcm]) -> None:
    for window in mixed_windows(spoken):
        heard = await engine.decode(window)
        assert heard.language == "en"
        positions = [position for word in heard.words for position in (word.start, word.end)]
        assert positions == sorted(positions)
        assert all(window.first_sample <= p <= window.first_sample + len(window.pcm) for p in positions)
        assert all(0 <= word.confidence <= 1 and word.text == word.text.strip() for word in heard.words)


@pytest.mark.parametrize("seconds", [0.5, 3.0, 9.0])
async def test_silence_and_noise_give_no_words(engine: TritonEngine, seconds: float) -> None:
    samples = int(seconds * SAMPLE_RATE)
    noise = np.random.default_rng(1).normal(0, 80, samples).astype(np.int16)
    for pcm in (np.zeros(samples, np.int16), noise):
        assert (await engine.decode(Window(pcm, 0))).words == ()


async def test_an_empty_window_asks_nobody(engine: TritonEngine) -> None:
    empty = Window(np.zeros(0, np.int16), 0)
    assert (await engine.decode(empty)).words == ()
    assert await engine.end_of_turn(empty) == 0.0


async def test_the_end_of_a_turn_scores_higher_than_its_middle(engine: TritonEngine, spoken: list[Pcm]) -> None:
    for clip in spoken:
        middle, end = [await engine.end_of_turn(Window(clip[:cut], 0)) for cut in (len(clip) // 2, len(clip))]
        assert 0 <= middle < end <= 1
        assert await engine.end_of_turn(Window(clip[: len(clip) // 2], 0)) == middle


async def test_a_glimpse_hears_and_is_left_out_when_decodes_queue(
    engine: TritonEngine, registry: CollectorRegistry, spoken: list[Pcm]
) -> None:
    window = Window(spoken[0][: 3 * SAMPLE_RATE], 0)
    glimpsed = await engine.glimpse(window)
    assert glimpsed is not None
    assert glimpsed.words
    decodes = [asyncio.create_task(engine.decode(window)) for _ in range(8)]
    await asyncio.sleep(0)
    assert registry.get_sample_value("streaming_asr_engine_queue_depth") == 8
    assert await engine.glimpse(window) is None
    heard = await asyncio.gather(*decodes)
    assert all(one == heard[0] for one in heard)


async def test_metrics_tell_of_decodes_and_nothing_spoken(
    engine: TritonEngine, registry: CollectorRegistry, spoken: list[Pcm]
) -> None:
    await engine.decode(Window(spoken[0][: 2 * SAMPLE_RATE], 0))
    assert registry.get_sample_value("streaming_asr_engine_decode_seconds_count") == 1
    assert registry.get_sample_value("streaming_asr_engine_real_time_factor_count") == 1
    assert registry.get_sample_value("streaming_asr_engine_up") == 1
    assert registry.get_sample_value("streaming_asr_engine_queue_depth") == 0


async def test_a_killed_triton_ends_every_call_at_once_and_is_used_again_when_it_is_back(
    triton: LocalTriton, engine: TritonEngine, spoken: list[Pcm]
) -> None:
    window = Window(spoken[0][: 5 * SAMPLE_RATE], 0)
    before = await engine.decode(window)
    calls: list[asyncio.Task[Any]] = [asyncio.create_task(engine.decode(window)) for _ in range(8)]
    calls += [asyncio.create_task(engine.end_of_turn(window)) for _ in range(4)]
    await asyncio.sleep(0.05)
    killed = time.monotonic()
    triton.kill()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert time.monotonic() - killed < 5
    assert any(isinstance(outcome, EngineLostError) for outcome in outcomes)
    assert not [o for o in outcomes if isinstance(o, BaseException) and not isinstance(o, EngineLostError)]
    await asyncio.wait_for(engine.lost.wait(), 5)
    with pytest.raises(EngineLostError):
        await engine.decode(window)
    await asyncio.wait_for(triton.wait_gone(), 30)
    triton.start()
    await asyncio.wait_for(engine.ready.wait(), START_SECONDS)
    assert not engine.lost.is_set()
    assert await engine.decode(window) == before


async def test_a_model_whose_process_is_killed_is_loaded_anew(
    triton: LocalTriton, engine: TritonEngine, spoken: list[Pcm]
) -> None:
    window = Window(spoken[0][: 5 * SAMPLE_RATE], 0)
    before = await engine.decode(window)
    calls = [asyncio.create_task(engine.decode(window)) for _ in range(4)]
    await asyncio.sleep(0.05)
    triton.kill_model("whisper")
    outcomes = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 15)
    assert any(isinstance(outcome, EngineLostError) for outcome in outcomes)
    await asyncio.wait_for(engine.lost.wait(), 10)
    await asyncio.wait_for(engine.ready.wait(), START_SECONDS)
    assert await engine.decode(window) == before


async def test_an_idle_engine_notices_a_frozen_triton_and_its_return(triton: LocalTriton, engine: TritonEngine) -> None:
    triton.freeze()
    try:
        await asyncio.wait_for(engine.lost.wait(), 10)
        assert not engine.ready.is_set()
    finally:
        triton.thaw()
    await asyncio.wait_for(engine.ready.wait(), START_SECONDS)


async def test_a_cancelled_decode_leaves_the_engine_as_it_was(
    engine: TritonEngine, registry: CollectorRegistry, spoken: list[Pcm]
) -> None:
    window = Window(spoken[0][: 3 * SAMPLE_RATE], 0)
    call = asyncio.create_task(engine.decode(window))
    await asyncio.sleep(0.01)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert engine.ready.is_set()
    assert registry.get_sample_value("streaming_asr_engine_queue_depth") == 0
    assert (await engine.decode(window)).words


async def test_nobody_there_is_lost_from_the_start(registry: CollectorRegistry) -> None:
    async with TritonEngine("127.0.0.1:1", registry=registry) as engine:
        assert engine.lost.is_set()
        with pytest.raises(EngineLostError):
            await engine.decode(Window(np.ones(1600, np.int16), 0))
