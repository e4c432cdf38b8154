"""A time without any recogniser: the session is kept, and ended when it was too long."""

import asyncio
import contextlib
from typing import Any

import pytest
from streaming_gateway.link import BacklogDroppedError, LinkLostError
from streamingstack_bench.scripted import Script, serve_scripted
from streamingstack_bench.scripted_process import scripted_process

BYTES_A_SECOND = 32_000


async def test_a_session_outlives_a_time_without_any_recogniser(
    spoken: Script, recognizers: Any, call: Any, undisturbed: Any
) -> None:
    expected = await undisturbed()
    async with contextlib.AsyncExitStack() as stack:
        async with (
            scripted_process(spoken) as only,
            contextlib.AsyncExitStack() as opened,
        ):
            several, _ = await opened.enter_async_context(recognizers(only.endpoint))
            caller = await call(several)
            caller.give(3_000)
            await caller.heard(3_000)
            stack.push_async_exit(opened.pop_all())
        caller.give(5_000)
        caller.link.update(keyterms=("unheard",))
        await asyncio.sleep(1.0)
        again = serve_scripted(spoken, port=int(only.port))
        await stack.enter_async_context(again)
        told = await caller.finish()
    assert told.comparable() == expected.comparable()


async def test_a_session_without_any_recogniser_ends_when_the_buffer_time_is_over(
    spoken: Script, recognizers: Any, call: Any
) -> None:
    async with (
        serve_scripted(spoken) as server,
        recognizers(f"127.0.0.1:{server.port}", buffer_seconds=0.5) as (several, registry),
    ):
        caller = await call(several)
        caller.give(2_000)
        await caller.heard(2_000)
        await server.drain(0)
        with pytest.raises(LinkLostError, match="en-default"):
            await asyncio.wait_for(caller.listening, 20)
        caller.give(3_000)  # the session may not know yet
        await caller.link.close()
        assert registry.get_sample_value("gateway_recognizer_sessions_lost_total") == 1
        assert registry.get_sample_value("gateway_audio_held_bytes") == 0


async def test_a_session_is_kept_longer_where_its_model_takes_longer_to_come_back(
    spoken: Script, recognizers: Any, call: Any, undisturbed: Any
) -> None:
    expected = await undisturbed()
    async with serve_scripted(spoken) as first:
        port = first.port
        async with recognizers(f"127.0.0.1:{port}", buffer_seconds=0.5) as (several, _):
            patient, other = await call(several, 1, buffer_seconds=60), await call(several, 2)
            for caller in (patient, other):
                caller.give(2_000)
                await caller.heard(2_000)
            await first.drain(0)
            with pytest.raises(LinkLostError):
                await asyncio.wait_for(other.listening, 20)
            await other.link.close()
            async with serve_scripted(spoken, port=port):
                told = await patient.finish()
    assert told.comparable() == expected.comparable()


async def test_where_backlogs_alone_are_too_much_the_largest_ends_and_the_others_go_on(
    spoken: Script, recognizers: Any, call: Any, undisturbed: Any
) -> None:
    expected = await undisturbed()
    async with serve_scripted(spoken) as first:
        port = first.port
        async with recognizers(f"127.0.0.1:{port}", budget_bytes=12 * BYTES_A_SECOND) as (several, registry):
            small, large, medium = [await call(several, number) for number in range(3)]
            for caller in (small, large, medium):
                caller.give(500)
                await caller.heard(500)
            await first.drain(0)
            for caller, milliseconds in ((small, 1_500), (large, 9_500), (medium, 2_000)):
                caller.give(milliseconds)
            assert not any(caller.listening.done() for caller in (small, large, medium)), "11.5 s in all"
            medium.give(3_000)
            with pytest.raises(BacklogDroppedError):
                await asyncio.wait_for(large.listening, 5)
            large.give(9_800)  # its session may not know yet
            await large.link.close()
            async with serve_scripted(spoken, port=port):
                for told in [await medium.finish(), await small.finish()]:
                    assert told.comparable() == expected.comparable()
            assert registry.get_sample_value("gateway_recognizer_sessions_lost_total") == 1
            assert several.held_bytes == 0


async def test_a_session_that_begins_without_any_recogniser_is_heard_from_its_first_sample(
    spoken: Script, recognizers: Any, call: Any, undisturbed: Any
) -> None:
    expected = await undisturbed()
    async with serve_scripted(spoken) as server:
        port = server.port
    async with recognizers(f"127.0.0.1:{port}") as (several, _):
        caller = await call(several)
        assert caller.link.replacing is None
        caller.give(3_000)
        await asyncio.sleep(0.3)
        async with serve_scripted(spoken, port=port):
            told = await caller.finish()
    assert told.comparable() == expected.comparable()


async def test_a_load_balancer_is_found_by_name(spoken: Script, recognizers: Any, call: Any, undisturbed: Any) -> None:
    expected = await undisturbed()
    async with (
        serve_scripted(spoken) as server,
        recognizers(f"localhost:{server.port}", resolve_seconds=0.05) as (several, _),
    ):
        callers = []
        for number in range(4):
            callers.append(await call(several, number))
            await asyncio.sleep(0.06)
        for told in await asyncio.gather(*(caller.finish() for caller in callers)):
            assert told.comparable() == expected.comparable()
