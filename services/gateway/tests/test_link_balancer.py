"""Through the stack's own nginx: the pod that was lost is avoided, and one model's outage is no other's."""

import asyncio
import time
from typing import Any

from prometheus_client import CollectorRegistry
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
        assert (
            registry.get_sample_value("gateway_recognizer_failovers_total", {"route": "en-default", "reason": "broken"})
            == 3
        )


async def ready(caller: Any) -> float:
    """Seconds until a recogniser has taken the session."""
    began = time.monotonic()
    async with asyncio.timeout(30):
        while caller.link.replacing is None:
            await asyncio.sleep(0.01)
    return time.monotonic() - began


async def test_new_sessions_are_not_held_up_by_a_frozen_recogniser(
    spoken: Script, recognizers: Any, call: Any, undisturbed: Any, balancer: Any
) -> None:
    expected = await undisturbed()
    async with (
        scripted_process(spoken) as one,
        scripted_process(spoken) as two,
        balancer(en_default=[one.endpoint, two.endpoint]) as endpoint,
        recognizers(endpoint) as (several, registry),
    ):
        live = [await call(several, number) for number in range(4)]
        await asyncio.gather(*(ready(caller) for caller in live))
        one.freeze()
        early = [await call(several, 10 + number) for number in range(4)]
        assert max(await asyncio.gather(*(ready(caller) for caller in early))) < 2.5  # a hedge after 1 s
        async with asyncio.timeout(30):
            while (
                registry.get_sample_value(
                    "gateway_recognizer_failovers_total", {"route": "en-default", "reason": "silent"}
                )
                != 2
            ):
                await asyncio.sleep(0.05)
        hedges = registry.get_sample_value("gateway_recognizer_hedges_total")
        late = [await call(several, 20 + number) for number in range(4)]
        await asyncio.gather(*(ready(caller) for caller in late))
        assert registry.get_sample_value("gateway_recognizer_hedges_total") == hedges, "nobody asked it again"
        for told in await asyncio.gather(*(caller.finish() for caller in [*live, *early, *late])):
            assert told.comparable() == expected.comparable()


async def test_a_recogniser_that_refuses_at_once_is_asked_once(
    spoken: Script, recognizers: Any, call: Any, undisturbed: Any, balancer: Any
) -> None:
    expected = await undisturbed()
    async with (
        serve_scripted(spoken) as without_model_server,
        serve_scripted(spoken) as other,
        balancer(en_default=[f"127.0.0.1:{without_model_server.port}", f"127.0.0.1:{other.port}"]) as endpoint,
        recognizers(endpoint) as (several, registry),
    ):
        await without_model_server.suspend("the model server is away")
        for number in range(6):
            caller = await call(several, number)
            told = await caller.finish()
            assert told.comparable() == expected.comparable()
        assert registry.get_sample_value("gateway_recognizer_refusals_total", {"status": "UNAVAILABLE"}) == 1


async def test_a_full_recogniser_is_asked_once_for_a_session(
    spoken: Script, recognizers: Any, call: Any, balancer: Any
) -> None:
    async with (
        serve_scripted(spoken, capacity=1) as full,
        serve_scripted(spoken, capacity=8) as roomy,
        balancer(en_default=[f"127.0.0.1:{full.port}", f"127.0.0.1:{roomy.port}"]) as endpoint,
        recognizers(endpoint, admission_seconds=10.0) as (several, registry),
    ):
        callers = [await call(several, number) for number in range(6)]
        await asyncio.gather(*(ready(caller) for caller in callers))
        assert (full.slots.active, roomy.slots.active) == (1, 5)
        refusals = registry.get_sample_value("gateway_recognizer_refusals_total", {"status": "RESOURCE_EXHAUSTED"})
        assert (refusals or 0) <= 4, "a session asks it once at most"
        for caller in callers:
            await caller.close()


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


async def test_the_sessions_of_a_killed_load_balancer_go_on_through_the_other(
    spoken: Script, recognizers: Any, call: Any, undisturbed: Any, nginx: Any
) -> None:
    expected = await undisturbed()
    async with (
        serve_scripted(spoken) as one,
        serve_scripted(spoken) as two,
        nginx(en_default=[f"127.0.0.1:{one.port}", f"127.0.0.1:{two.port}"]) as killed,
        nginx(en_default=[f"127.0.0.1:{one.port}", f"127.0.0.1:{two.port}"]) as other,
        recognizers(killed.endpoint, other.endpoint) as (several, registry),
    ):
        callers = await in_mid_session(several, call)
        await killed.kill()
        await all_go_on(callers)
        for told in await asyncio.gather(*(caller.finish() for caller in callers)):
            assert told.comparable() == expected.comparable()
        assert lost(registry, "broken") == len(callers) / 2


async def test_the_sessions_of_a_frozen_load_balancer_go_on_through_the_other_in_their_old_places(
    spoken: Script, recognizers: Any, call: Any, undisturbed: Any, nginx: Any
) -> None:
    expected = await undisturbed()
    async with (
        serve_scripted(spoken, capacity=8) as only,
        nginx(en_default=[f"127.0.0.1:{only.port}"]) as frozen,
        nginx(en_default=[f"127.0.0.1:{only.port}"]) as other,
        recognizers(frozen.endpoint, other.endpoint) as (several, registry),
    ):
        callers = await in_mid_session(several, call)
        assert only.slots.active == len(callers) == only.slots.capacity
        frozen.freeze()
        await all_go_on(callers)
        assert only.slots.active == len(callers), "what came through the frozen one has ended"
        for told in await asyncio.gather(*(caller.finish() for caller in callers)):
            assert told.comparable() == expected.comparable()
        assert lost(registry, "silent") == len(callers) / 2
        newcomer = await call(several, 99)
        assert (await newcomer.finish()).comparable() == expected.comparable()


def lost(registry: CollectorRegistry, reason: str) -> float | None:
    labels = {"route": "en-default", "reason": reason}
    return registry.get_sample_value("gateway_recognizer_failovers_total", labels)


async def in_mid_session(several: Any, call: Any) -> list[Any]:
    """Eight sessions, by turns through the one and the other load balancer, heard up to where they are."""
    callers = [await call(several, number) for number in range(8)]
    for number, caller in enumerate(callers):
        caller.give(1_500 + 300 * number)
    await asyncio.gather(*(caller.heard(1_500 + 300 * number) for number, caller in enumerate(callers)))
    return callers


async def all_go_on(callers: list[Any]) -> None:
    """Every session is heard further, in time."""
    began = time.monotonic()
    for caller in callers:
        caller.give(6_000)
    await asyncio.gather(*(caller.heard(6_000) for caller in callers))
    assert time.monotonic() - began < 4.0 + 4.0  # the bound is 4 s; the rest is for a machine with other things to do
