"""Through the stack's own nginx: the pod that was lost is avoided, and one model's outage is no other's."""

import asyncio
from typing import Any

from streamingstack_bench.scripted import Script, serve_scripted
from streamingstack_bench.scripted_process import scripted_process


async def test_a_killed_recogniser_is_avoided(
    spoken: Script, recognizers: Any, call: Any, undisturbed: Any, balancer: Any
) -> None:
    expected = await undisturbed()
    async with (
        scripted_process(spoken) as one,
        scripted_process(spoken) as two,
        balancer(en_default=[one.endpoint, two.endpoint]) as endpoint,
        recognizers(endpoint) as (several, registry),
    ):
        callers = [await call(several, number) for number in range(6)]
        for number, caller in enumerate(callers):
            caller.give(1_500 + 400 * number)
        await asyncio.gather(*(caller.heard(1_500 + 400 * number) for number, caller in enumerate(callers)))
        await one.kill()
        for told in await asyncio.gather(*(caller.finish() for caller in callers)):
            assert told.comparable() == expected.comparable()
        assert registry.get_sample_value("gateway_recognizer_failovers_total", {"reason": "broken"}) == 3


async def test_a_model_without_any_recogniser_holds_up_no_other_models_sessions(
    spoken: Script, recognizers: Any, call: Any, undisturbed: Any, balancer: Any
) -> None:
    expected = await undisturbed()
    async with (
        serve_scripted(spoken) as multilingual,
        serve_scripted(spoken) as leaving,
        serve_scripted(spoken) as staying,
        balancer(
            ml_default=[f"127.0.0.1:{multilingual.port}"],
            en_default=[f"127.0.0.1:{leaving.port}", f"127.0.0.1:{staying.port}"],
        ) as endpoint,
        recognizers(endpoint, concurrent_replays=1) as (several, _),
    ):
        waiting = [await call(several, number, route="ml-default") for number in range(3)]
        going_on = [await call(several, 10 + number) for number in range(4)]
        for caller in [*waiting, *going_on]:
            caller.give(2_500)
        await asyncio.gather(*(caller.heard(2_500) for caller in [*waiting, *going_on]))
        await multilingual.drain(0)
        await leaving.drain(0)
        for told in await asyncio.gather(*(caller.finish() for caller in going_on)):
            assert told.comparable() == expected.comparable()
        assert not any(caller.listening.done() for caller in waiting), "they still look for a recogniser"
        for caller in waiting:
            await caller.close()
