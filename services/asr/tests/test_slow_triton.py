"""A Triton that answers late or never: load is told from death."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from streaming_asr.engine import SAMPLE_RATE, EngineLostError, Window
from streaming_asr.triton.client import TritonEngine

from .stand_in_triton import SLOW, StandInTriton, stand_in_triton

CALL_SECONDS = 0.6
QUICK = 1


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def triton(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[StandInTriton, str]]:
    monkeypatch.setattr("streaming_asr.triton.client.CALL_SECONDS", CALL_SECONDS)
    monkeypatch.setattr("streaming_asr.triton.client.PROBE_SECONDS", CALL_SECONDS)
    async with stand_in_triton() as standing_in:
        yield standing_in


@pytest.fixture
async def engine(triton: tuple[StandInTriton, str], registry: CollectorRegistry) -> AsyncIterator[TritonEngine]:
    async with TritonEngine(triton[1], registry=registry) as engine:
        await asyncio.wait_for(engine.ready.wait(), 10)
        yield engine


def window(kind: int) -> Window:
    return Window(np.full(SAMPLE_RATE, kind, np.int16), 0)


@contextlib.asynccontextmanager
async def traffic(engine: TritonEngine) -> AsyncIterator[list[int]]:
    """Decodes one after the other that are answered; the list counts their words."""
    answered: list[int] = []

    async def ask() -> None:
        while True:
            answered.append(len((await engine.decode(window(QUICK))).words))
            await asyncio.sleep(0.02)

    asking = asyncio.create_task(ask())
    yield answered
    assert not asking.done() or asking.exception() is None
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)  # the one under way is left


async def test_a_call_that_takes_too_long_fails_alone(
    engine: TritonEngine, registry: CollectorRegistry, triton: tuple[StandInTriton, str]
) -> None:
    async with traffic(engine) as answered:
        with pytest.raises(EngineLostError, match="too slow"):
            await engine.decode(window(SLOW))
        count = len(answered)
        await asyncio.sleep(2 * CALL_SECONDS)
        assert len(answered) > count > 1, "the others go on"
    assert engine.ready.is_set()
    assert not engine.lost.is_set()
    assert registry.get_sample_value("streaming_asr_engine_losses_total") == 0
    assert triton[0].loads == 0
    assert registry.get_sample_value("streaming_asr_engine_queue_depth") == 0


async def test_a_glimpse_that_takes_too_long_is_left_out(engine: TritonEngine) -> None:
    async with traffic(engine):
        assert await engine.glimpse(window(SLOW)) is None
    assert engine.ready.is_set()


async def test_one_slow_call_without_company_is_no_loss_where_the_model_still_answers(
    engine: TritonEngine, registry: CollectorRegistry, triton: tuple[StandInTriton, str]
) -> None:
    with pytest.raises(EngineLostError):
        await engine.decode(window(SLOW))
    triton[0].stuck = False
    await asyncio.sleep(CALL_SECONDS)
    assert (await engine.decode(window(QUICK))).words
    assert engine.ready.is_set()


async def test_a_model_that_answers_nobody_is_lost_and_loaded_anew(
    engine: TritonEngine, registry: CollectorRegistry, triton: tuple[StandInTriton, str]
) -> None:
    triton[0].stuck = True
    outcomes = await asyncio.gather(*(engine.decode(window(QUICK)) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(outcome, EngineLostError) for outcome in outcomes)
    await asyncio.wait_for(engine.lost.wait(), 10)
    await asyncio.wait_for(engine.ready.wait(), 10)
    assert triton[0].loads == 1
    assert (await engine.decode(window(QUICK))).words
    assert registry.get_sample_value("streaming_asr_engine_losses_total") == 1


async def test_a_failure_that_nobody_foresaw_is_logged_without_its_text_and_does_not_end_the_watch(
    engine: TritonEngine, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise ValueError("aubergine")

    with monkeypatch.context() as broken:
        broken.setattr(engine._client, "is_server_ready", fail)
        await asyncio.wait_for(engine.lost.wait(), 10)
        with pytest.raises(EngineLostError):
            await engine.decode(window(QUICK))
    await asyncio.wait_for(engine.ready.wait(), 10)
    assert (await engine.decode(window(QUICK))).words
    logged = "".join(capfd.readouterr())
    assert "the watch failed" in logged
    assert "test_slow_triton.py:" in logged
    assert "aubergine" not in logged
