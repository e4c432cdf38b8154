"""Recognisers that say nothing, or get nowhere: the link leaves them in time."""

import asyncio
import time
from typing import Any

from prometheus_client import CollectorRegistry
from streamingstack_bench.scripted import Script, serve_scripted
from streamingstack_bench.scripted_process import scripted_process

EN = {"route": "en-default"}


def failovers(registry: CollectorRegistry, reason: str) -> float:
    return (
        registry.get_sample_value("gateway_recognizer_failovers_total", {"route": "en-default", "reason": reason})
        or 0.0
    )


async def test_a_frozen_recogniser_is_left_after_three_seconds_of_silence(
    spoken: Script, recognizers: Any, call: Any, undisturbed: Any
) -> None:
    expected = await undisturbed()
    async with (
        scripted_process(spoken) as victim,
        serve_scripted(spoken) as other,
        recognizers(victim.endpoint, f"127.0.0.1:{other.port}") as (several, registry),
    ):
        callers = [await call(several, number) for number in range(2)]
        for caller in callers:
            caller.give(2_500)
        await asyncio.gather(*(caller.heard(2_500) for caller in callers))
        victim.freeze()
        frozen_at = time.monotonic()
        for caller in callers:
            caller.give(4_000)
        await asyncio.gather(*(caller.heard(4_000) for caller in callers))
        # The bound is 4 s; the rest is for a machine with other things to do.
        assert time.monotonic() - frozen_at < 4.0 + 4.0
        for told in await asyncio.gather(*(caller.finish() for caller in callers)):
            assert told.comparable() == expected.comparable()
        assert failovers(registry, "silent") == 1
        assert registry.get_sample_value("gateway_recognizer_failover_gap_seconds_count", EN) == 1
        assert 0 < (registry.get_sample_value("gateway_recognizer_replayed_audio_seconds_total") or 0) <= 4


async def test_a_recogniser_that_accepts_and_says_nothing_is_hedged(
    spoken: Script, recognizers: Any, call: Any, undisturbed: Any
) -> None:
    async with (
        scripted_process(spoken) as frozen,
        serve_scripted(spoken) as other,
        recognizers(frozen.endpoint, f"127.0.0.1:{other.port}") as (several, registry),
    ):
        frozen.freeze()
        callers = [await call(several, number) for number in range(2)]
        expected = await undisturbed()
        for told in await asyncio.gather(*(caller.finish() for caller in callers)):
            assert told.comparable() == expected.comparable()
        assert registry.get_sample_value("gateway_recognizer_hedges_total") == 1


async def test_a_recogniser_that_dies_before_ready_costs_nothing(
    spoken: Script, recognizers: Any, call: Any, undisturbed: Any
) -> None:
    expected = await undisturbed()
    async with (
        scripted_process(spoken) as victim,
        serve_scripted(spoken) as other,
        recognizers(victim.endpoint, f"127.0.0.1:{other.port}", hedge_seconds=30.0) as (several, _),
    ):
        victim.freeze()
        callers = [await call(several, number) for number in range(2)]
        for caller in callers:
            caller.give(2_000)
        await victim.kill()
        for told in await asyncio.gather(*(caller.finish() for caller in callers)):
            assert told.comparable() == expected.comparable()


async def test_a_recogniser_that_lives_and_gets_nowhere_is_left(
    spoken: Script, recognizers: Any, call: Any, undisturbed: Any
) -> None:
    expected = await undisturbed()
    async with (
        serve_scripted(spoken, delay_seconds=600) as stuck,
        serve_scripted(spoken) as other,
        recognizers(f"127.0.0.1:{stuck.port}", f"127.0.0.1:{other.port}", stall_seconds=0.75) as (several, registry),
    ):
        callers = [await call(several, number) for number in range(2)]
        for told in await asyncio.gather(*(caller.finish() for caller in callers)):
            assert told.comparable() == expected.comparable()
        assert failovers(registry, "stalled") == 1
