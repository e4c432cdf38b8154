"""Who gets a recogniser, who is refused and how soon; and that nothing is left behind."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from streaming_gateway.link import (
    Hearing,
    LinkLostError,
    LinkRequest,
    LinkSettings,
    NoCapacityError,
    Recognizers,
    UnknownModelError,
)
from streaming_gateway.link.checks import contract_check
from streaming_gateway.link.stream import Observe
from streamingstack_bench.scripted import Script, serve_scripted
from streamingstack_bench.scripted_process import scripted_process
from streamingstack_bench.told import Told

SPOKEN = Script.of("one two three | | four five six | |")
HEARING = Hearing(0.4, (160, 400, 640, 1280))
REQUEST = LinkRequest("5d3f9a1e-0000-4000-8000-000000000002", "en-default", HEARING)
SECOND = bytes(2 * 16_000)


@contextlib.asynccontextmanager
async def recognizers(*ports: int, **settings: Any) -> AsyncIterator[Recognizers]:
    endpoints = tuple(f"127.0.0.1:{port}" for port in ports)
    registry = CollectorRegistry()
    several = Recognizers(LinkSettings(endpoints=endpoints, check_contract=True, **settings), registry)
    try:
        yield several
    finally:
        await several.close()


async def until(condition: Any, seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_session_is_refused_when_every_recogniser_is_full() -> None:
    async with serve_scripted(SPOKEN, capacity=1) as server, recognizers(server.port) as several:
        first = await several.open(REQUEST)
        began = time.monotonic()
        with pytest.raises(NoCapacityError, match="full"):
            await several.open(REQUEST)
        assert time.monotonic() - began < 2.0  # 0.3 s by contract; the rest is for a busy machine
        await first.close()
        await until(lambda: server.slots.active == 0)
        second = await several.open(REQUEST)
        await second.close()


async def test_a_full_recogniser_is_no_reason_to_refuse_where_another_has_room() -> None:
    async with (
        serve_scripted(SPOKEN, capacity=1) as small,
        serve_scripted(SPOKEN, capacity=4) as large,
        recognizers(small.port, large.port, admission_seconds=10.0) as several,
    ):
        links = [await several.open(REQUEST) for _ in range(5)]
        assert (small.slots.active, large.slots.active) == (1, 4)
        with pytest.raises(NoCapacityError):
            await several.open(REQUEST)
        for link in links:
            await link.close()


async def test_opening_never_waits_for_a_worker() -> None:
    async with scripted_process(SPOKEN) as frozen, recognizers(frozen.port) as several:
        frozen.freeze()
        began = time.monotonic()
        link = await several.open(REQUEST)
        assert time.monotonic() - began < 2.0  # 0.3 s by contract
        assert link.replacing is None
        await link.close()


async def test_a_route_that_is_not_served_is_an_unknown_model() -> None:
    request = LinkRequest(REQUEST.session_id, "nowhere", HEARING)
    async with serve_scripted(SPOKEN) as server, recognizers(server.port, admission_seconds=10.0) as several:
        with pytest.raises(UnknownModelError, match="nowhere"):
            await several.open(request)


async def test_a_request_that_the_recogniser_rejects_is_not_tried_again() -> None:
    request = LinkRequest(REQUEST.session_id, "en-default", HEARING, segment_cap_samples=1)
    async with serve_scripted(SPOKEN) as server, recognizers(server.port, admission_seconds=10.0) as several:
        with pytest.raises(LinkLostError, match="INVALID_ARGUMENT"):
            await several.open(request)


async def test_beyond_the_byte_budget_new_sessions_are_refused_and_live_ones_go_on() -> None:
    async with serve_scripted(SPOKEN) as server, recognizers(server.port, budget_bytes=7 * len(SECOND)) as several:
        first = await several.open(REQUEST)
        first.send_audio(SECOND * 7)
        with pytest.raises(NoCapacityError, match="audio"):
            await several.open(REQUEST)
        assert await hear_all(first, Told()) == "one two three four five six"
        await first.close()
        await (await several.open(REQUEST)).close()


async def test_a_burst_of_audio_is_sent_within_the_credit_and_heard_whole() -> None:
    long = Script.of(" ".join(f"word{number} {'| |' if number % 9 == 8 else ''}" for number in range(150)))
    async with serve_scripted(long) as server, recognizers(server.port) as several:
        link = await several.open(REQUEST)
        link.send_audio(SECOND * 90)
        text = await hear_all(link, Told())
        assert text.split() == [f"word{number}" for number in range(150)]
        assert link.received_samples == link.processed_samples == 90 * 16_000
        await link.close()


async def test_what_no_replay_needs_is_dropped_while_the_session_goes_on() -> None:
    async with serve_scripted(SPOKEN) as server, recognizers(server.port) as several:
        link = await several.open(REQUEST)
        link.send_audio(SECOND * 120)
        await hear_all(link, Told())
        assert several.held_bytes <= 6 * len(SECOND)
        await link.close()
        assert several.held_bytes == 0


async def hear_all(link: Any, told: Told) -> str:
    last = link.finalize()
    async with asyncio.timeout(60):
        async for event in link.events():
            checkpoint = told.take(event)
            if checkpoint is not None:
                link.answer(checkpoint, told.decide(checkpoint))
            if last in told.finalized():
                break
    return told.text()


async def test_each_checkpoint_is_answered_exactly_once() -> None:
    async with serve_scripted(SPOKEN) as server, recognizers(server.port) as several:
        link = await several.open(REQUEST)
        link.send_audio(SECOND * 4)
        async for event in link.events():
            if event.HasField("checkpoint"):
                break
        with pytest.raises(ValueError, match="DECISION"):
            link.answer(event.checkpoint, 0)
        link.answer(event.checkpoint, 1)
        with pytest.raises(ValueError, match="exactly once"):
            link.answer(event.checkpoint, 1)
        await link.close()


async def test_an_update_names_a_field_that_does_not_exist() -> None:
    async with serve_scripted(SPOKEN) as server, recognizers(server.port) as several:
        link = await several.open(REQUEST)
        with pytest.raises(TypeError, match="vad_treshold"):
            link.update(vad_treshold=0.5)
        await link.close()


async def test_an_update_reaches_the_recogniser_at_its_sample() -> None:
    async with serve_scripted(SPOKEN) as server, recognizers(server.port) as several:
        link = await several.open(REQUEST)
        link.update(checkpoints_ms=(200, 640))  # before the first sample
        link.send_audio(SECOND * 3)
        link.update(checkpoints_ms=(320, 640))
        link.send_audio(SECOND * 5)
        told = Told()
        await hear_all(link, told)
        silences = [item[3] for item in told.items if item[0] == "checkpoint"]
        assert silences == [200, 640, 320, 640]
        await link.close()


async def test_a_quiet_session_keeps_its_slot_by_pings_whatever_the_recogniser_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streaming_asr.service.IDLE_SECONDS", 2.5)
    seen: list[str] = []

    def note(active: bool) -> Observe:
        check = contract_check(active)

        def both(direction: str, message: Any) -> None:
            seen.append(f"{direction} {message.WhichOneof('message')}")
            check(direction, message)

        return both

    monkeypatch.setattr("streaming_gateway.link.opener.contract_check", note)
    # Longer than the recogniser's pause between two Progress messages.
    async with serve_scripted(SPOKEN) as server, recognizers(server.port, ping_seconds=1.0) as several:
        link = await several.open(REQUEST)
        await until(lambda: seen.count("up ping") >= 3)
        assert seen.count("down progress") >= 2
        assert seen.count("up open") == server.slots.active == 1, "the first stream of the session is still there"
        await link.close()


@pytest.mark.parametrize("moment", ["at once", "when ready", "with audio", "in the middle of a checkpoint"])
async def test_a_closed_link_leaves_no_task_and_no_stream(moment: str) -> None:
    async with serve_scripted(SPOKEN, capacity=100) as server, recognizers(server.port) as several:
        await (await several.open(REQUEST)).close()
        await until(lambda: server.slots.active == 0)
        tasks = len(asyncio.all_tasks())
        for _ in range(25):
            link = await several.open(REQUEST)
            if moment != "at once":
                await until(lambda link=link: link.replacing is not None)
            if moment not in ("at once", "when ready"):
                link.send_audio(SECOND * 4)
            if moment == "in the middle of a checkpoint":
                async for event in link.events():
                    if event.HasField("checkpoint"):
                        break
            await link.close()
            await link.close()
        await until(lambda: server.slots.active == 0)
        await until(lambda: len(asyncio.all_tasks()) <= tasks)
        assert several.held_bytes == 0
        assert several.open_links == 0


async def test_a_client_that_leaves_while_its_session_opens_leaves_nothing() -> None:
    async with scripted_process(SPOKEN) as frozen, recognizers(frozen.port, admission_seconds=30.0) as several:
        frozen.freeze()
        tasks = len(asyncio.all_tasks())
        opening = asyncio.create_task(several.open(REQUEST))
        await asyncio.sleep(0.1)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await until(lambda: len(asyncio.all_tasks()) <= tasks)


async def test_closing_the_gateway_ends_its_sessions() -> None:
    async with serve_scripted(SPOKEN) as server, recognizers(server.port) as several:
        links = [await several.open(REQUEST) for _ in range(3)]
        await several.close()
        for link in links:
            assert [event async for event in link.events() if not event.HasField("progress")] == []
        await until(lambda: server.slots.active == 0)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"endpoints": ()}, "endpoints"),
        ({"endpoints": ("nohost",)}, "endpoints"),
        ({"endpoints": ("host:99999",)}, "endpoints"),
        ({"endpoints": ("host:1",), "buffer_seconds": 0}, "buffer_seconds"),
        ({"endpoints": ("host:1",), "concurrent_replays": 0}, "concurrent_replays"),
    ],
)
def test_settings_are_refused_by_name(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        LinkSettings(**wrong)
