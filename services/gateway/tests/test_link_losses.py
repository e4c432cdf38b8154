"""The link over real sockets: recognisers are killed and drained and break, and the session must not notice."""

import asyncio
import re
import time
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from streaming_gateway.link import LinkLostError
from streamingstack_bench.scripted import Script, serve_scripted
from streamingstack_bench.scripted_process import scripted_process


def failovers(registry: CollectorRegistry, reason: str) -> float:
    return (
        registry.get_sample_value("gateway_recognizer_failovers_total", {"route": "en-default", "reason": reason})
        or 0.0
    )


@pytest.mark.parametrize("replacing", [False, True])
async def test_a_recogniser_killed_under_sessions_in_every_state_costs_no_word(
    replacing: bool, capfd: pytest.CaptureFixture[str], spoken: Script, recognizers: Any, call: Any, undisturbed: Any
) -> None:
    expected = await undisturbed(replacing=replacing)
    options: dict[str, Any] = {"delay_seconds": 0.02, "replacing": replacing}
    async with (
        scripted_process(spoken, **options) as victim,
        scripted_process(spoken, **options) as other,
        recognizers(victim.endpoint, other.endpoint) as (several, registry),
    ):
        callers = [await call(several, number, replacing=replacing) for number in range(24)]
        points = [400 * (number // 2) for number in range(24)]  # silence, speech, at checkpoints, between them
        for caller, point in zip(callers, points, strict=True):
            caller.give(point)
        await asyncio.gather(*(c.heard(p) for c, p in zip(callers, points, strict=True) if p % 800))
        finishing = [asyncio.create_task(caller.finish()) for caller in callers[:6]]  # Finalize under way, or backlog
        await asyncio.sleep(0.05)
        await victim.kill()
        finishing += [asyncio.create_task(caller.finish()) for caller in callers[6:]]
        for told in await asyncio.gather(*finishing):
            assert told.comparable() == expected.comparable()
        assert failovers(registry, "broken") >= 8
    logged = "".join(capfd.readouterr()).lower()
    assert "recogniser lost" in logged
    assert not [word.text for word in spoken.words if word.text in logged]


async def test_a_draining_recogniser_is_left_at_once(
    spoken: Script, recognizers: Any, call: Any, undisturbed: Any
) -> None:
    expected = await undisturbed()
    async with (
        serve_scripted(spoken) as leaving,
        serve_scripted(spoken) as other,
        recognizers(f"127.0.0.1:{leaving.port}", f"127.0.0.1:{other.port}") as (several, registry),
    ):
        callers = [await call(several, number) for number in range(8)]
        for number, caller in enumerate(callers):
            caller.give(700 * number)
            await caller.heard(700 * number)
        began = time.monotonic()
        await leaving.drain(30)
        assert time.monotonic() - began < 15, "the streams moved away before the deadline"
        for told in await asyncio.gather(*(caller.finish() for caller in callers)):
            assert told.comparable() == expected.comparable()
        assert failovers(registry, "draining") == 4


async def test_a_draining_recogniser_is_heard_on_while_no_other_has_room(
    spoken: Script, recognizers: Any, call: Any, undisturbed: Any
) -> None:
    expected = await undisturbed()
    async with serve_scripted(spoken) as reserved:
        port = reserved.port
    async with (
        serve_scripted(spoken) as leaving,
        recognizers(f"127.0.0.1:{leaving.port}", f"127.0.0.1:{port}") as (several, registry),
    ):
        callers = [await call(several, number) for number in range(6)]
        for number, caller in enumerate(callers):
            caller.give(500 * number)
        await asyncio.gather(*(caller.heard(500 * number) for number, caller in enumerate(callers)))
        draining = asyncio.create_task(leaving.drain(30))
        for position in (3_500, 5_000):
            for caller in callers:
                caller.give(position)
            await asyncio.gather(*(caller.heard(position) for caller in callers))
            await asyncio.sleep(0.3)
        assert not draining.done()
        assert failovers(registry, "draining") == 0, "nobody was without a recogniser"
        async with serve_scripted(spoken, port=port) as other:
            await asyncio.wait_for(draining, 15)
            assert (other.slots.active, failovers(registry, "draining")) == (6, 6)
            for told in await asyncio.gather(*(caller.finish() for caller in callers)):
                assert told.comparable() == expected.comparable()


async def test_a_recogniser_that_drains_in_the_middle_of_speech_costs_no_word_whenever_it_is_left(
    spoken: Script, recognizers: Any, call: Any, undisturbed: Any
) -> None:
    """Audio goes on while the other stream is opened: what that one was told is often out of date."""
    expected = await undisturbed()
    async with (
        serve_scripted(spoken, delay_seconds=0.01) as one,
        serve_scripted(spoken, delay_seconds=0.01) as two,
        recognizers(f"127.0.0.1:{one.port}", f"127.0.0.1:{two.port}") as (several, registry),
    ):
        callers = [await call(several, number) for number in range(16)]
        speaking = [asyncio.create_task(_speak(caller, 90 + 7 * number)) for number, caller in enumerate(callers)]
        await asyncio.sleep(0.4)
        await one.drain(20)
        await asyncio.gather(*speaking)
        for told in await asyncio.gather(*(caller.finish() for caller in callers)):
            assert told.comparable() == expected.comparable()
        assert failovers(registry, "draining") == 8


async def _speak(caller: Any, chunk_ms: int) -> None:
    for position in range(0, 9_000, chunk_ms):
        caller.give(position)
        await asyncio.sleep(chunk_ms / 4_000)


async def gone(callers: list[Any], several: Any, tasks: int) -> None:
    """Every client vanishes at once; the link's tasks and the audio it held go with them."""
    await asyncio.gather(*(caller.close() for caller in callers))
    assert (several.held_bytes, several.open_links) == (0, 0)
    async with asyncio.timeout(20):
        while len(asyncio.all_tasks()) > tasks:
            await asyncio.sleep(0.02)


async def test_clients_that_vanish_while_they_are_replayed_or_wait_for_that_leave_nothing(
    spoken: Script, recognizers: Any, call: Any
) -> None:
    async with (
        scripted_process(spoken) as victim,
        serve_scripted(spoken, delay_seconds=0.1) as other,
        recognizers(victim.endpoint, f"127.0.0.1:{other.port}", concurrent_replays=1) as (several, registry),
    ):
        await (await call(several)).close()
        tasks = len(asyncio.all_tasks())
        callers = [await call(several, number) for number in range(12)]
        for caller in callers:
            caller.give(4_000)
        await asyncio.gather(*(caller.heard(4_000) for caller in callers))
        await victim.kill()
        async with asyncio.timeout(20):
            while not other.slots.replaying or failovers(registry, "broken") < 6:
                await asyncio.sleep(0.002)
        went_on = registry.get_sample_value("gateway_recognizer_failover_gap_seconds_count", {"route": "en-default"})
        assert (failovers(registry, "broken"), went_on) == (6, None), "one is replayed, the others wait for that"
        await gone(callers, several, tasks)
        async with asyncio.timeout(20):
            while other.slots.active or other.slots.replaying:
                await asyncio.sleep(0.02)


async def test_clients_that_vanish_while_their_recogniser_drains_leave_nothing_and_let_it_go(
    spoken: Script, recognizers: Any, call: Any
) -> None:
    async with (
        serve_scripted(spoken) as leaving,
        recognizers(f"127.0.0.1:{leaving.port}") as (several, _),
    ):
        await (await call(several)).close()
        tasks = len(asyncio.all_tasks())
        callers = [await call(several, number) for number in range(8)]
        for number, caller in enumerate(callers):
            caller.give(500 * number)
        await asyncio.gather(*(caller.heard(500 * number) for number, caller in enumerate(callers)))
        draining = asyncio.create_task(leaving.drain(30))
        await asyncio.sleep(0.3)
        assert not draining.done()
        await gone(callers, several, tasks + 1)
        await asyncio.wait_for(draining, 10)
        assert leaving.slots.active == 0


async def test_each_gap_is_measured_and_logged_by_session(
    spoken: Script, recognizers: Any, call: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    async with (
        scripted_process(spoken) as victim,
        serve_scripted(spoken) as other,
        recognizers(victim.endpoint, f"127.0.0.1:{other.port}") as (several, registry),
    ):
        callers = [await call(several, number) for number in range(6)]
        for caller in callers:
            caller.give(2_500)
        await asyncio.gather(*(caller.heard(2_500) for caller in callers))
        await victim.kill()
        await asyncio.gather(*(caller.finish() for caller in callers))
        route = {"route": "en-default"}
        count, total = (
            registry.get_sample_value(f"gateway_recognizer_failover_gap_seconds_{what}", route)
            for what in ("count", "sum")
        )
    told = [line for line in "".join(capfd.readouterr()).splitlines() if "session went on" in line]
    gaps = [float(found[1]) for line in told if (found := re.search(r"gap_seconds\W+([0-9.]+)", line))]
    assert len(gaps) == count == 3
    assert sum(gaps) == pytest.approx(total, abs=0.01)
    assert len({line.split("5d3f9a1e")[1][:32] for line in told}) == 3, "one of each session"


async def test_audio_that_breaks_every_recogniser_ends_its_session_instead_of_going_round(
    spoken: Script, recognizers: Any, call: Any
) -> None:
    async with (
        serve_scripted(spoken, delay_seconds=600) as server,
        recognizers(f"127.0.0.1:{server.port}") as (several, registry),
    ):
        caller = await call(several)
        caller.give(3_000)

        async def break_every_stream() -> None:
            while True:
                if server.slots.active:
                    await asyncio.sleep(0.1)
                    await server.suspend("the model broke")
                    await server.serve()
                await asyncio.sleep(0.02)

        breaking = asyncio.create_task(break_every_stream())
        with pytest.raises(LinkLostError, match="same audio"):
            await asyncio.wait_for(caller.listening, 60)
        breaking.cancel()
        assert failovers(registry, "broken") <= 8
        await caller.link.close()


async def test_a_failure_of_the_link_itself_is_logged_without_its_text(
    spoken: Script, recognizers: Any, call: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("aubergine")

    monkeypatch.setattr("streaming_gateway.link.link.receive", fail)
    async with (
        serve_scripted(spoken) as server,
        recognizers(f"127.0.0.1:{server.port}") as (several, _),
    ):
        caller = await call(several)
        caller.give(2_000)
        with pytest.raises(LinkLostError, match="RuntimeError"):
            await asyncio.wait_for(caller.listening, 20)
        await caller.link.close()
    logged = "".join(capfd.readouterr())
    assert "the link failed" in logged
    assert "test_link_losses.py:" in logged, "where it happened"
    assert "aubergine" not in logged
