"""Who catches up when: few sessions of a route at once, and nobody waits for another route's."""

import asyncio
import time
from typing import Any

import pytest
from streaming_gateway.link.api import Hearing, LinkRequest
from streaming_gateway.link.audio import ByteBudget
from streaming_gateway.link.ledger import Ledger
from streaming_gateway.link.places import Places
from streaming_gateway.link.replay import Replay
from streamingstack_bench.scripted import Script, serve_scripted
from streamingstack_bench.scripted_process import scripted_process

SECOND = 16_000


@pytest.fixture
def places() -> Places:
    return Places(1)


def lost(places: Places, route: str, processed: int = 5 * SECOND) -> Replay:
    return Replay(places.of(route), lost_at=time.monotonic() - 2, processed=processed, deadline=0.0)


def ledger() -> Ledger:
    """Nothing replayed yet."""
    return Ledger(LinkRequest("s", "en-default", Hearing(0.4, (160, 640))), ByteBudget(1 << 20))


async def test_a_session_waits_for_its_own_routes_replays_and_for_no_others(places: Places) -> None:
    first, second, other = (lost(places, route) for route in ("en-default", "en-default", "ml-default"))
    await first.take_place()
    waiting = asyncio.create_task(second.take_place())
    await asyncio.wait_for(other.take_place(), 1)
    assert not waiting.done()
    first.give_place()
    await asyncio.wait_for(waiting, 1)


async def test_the_place_is_given_where_the_lost_stream_was(places: Places) -> None:
    first, second, books = lost(places, "en-default"), lost(places, "en-default"), ledger()
    await first.take_place()
    books.heard_through(4 * SECOND)
    assert first.caught_up(books) is None
    books.heard_through(5 * SECOND)
    assert (first.caught_up(books) or 0) >= 2, "the gap"
    first.give_place()  # once more is no second place
    await asyncio.wait_for(second.take_place(), 1)
    third = asyncio.create_task(lost(places, "en-default").take_place())
    await asyncio.sleep(0)
    assert not third.done()
    third.cancel()


async def test_who_has_nothing_to_replay_takes_no_place(places: Places) -> None:
    await lost(places, "en-default").take_place()
    await asyncio.wait_for(lost(places, "en-default", processed=0).take_place(), 1)


async def test_nobody_waits_longer_than_some_seconds(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streaming_gateway.link.replay._LONGEST_WAIT", 0.05)
    holder, late = lost(places, "en-default"), lost(places, "en-default")
    await holder.take_place()
    await asyncio.wait_for(late.take_place(), 5)
    late.give_place()  # it has none
    holder.give_place()
    await asyncio.wait_for(lost(places, "en-default").take_place(), 1)


async def test_a_search_that_takes_long_keeps_no_place(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streaming_gateway.link.replay._LONGEST_WAIT", 0.05)
    searching = lost(places, "en-default")
    await searching.take_place()
    with searching.place_kept_for_a_while():
        await asyncio.sleep(0.2)
        await asyncio.wait_for(places.of("en-default").acquire(), 1)


async def test_a_place_is_taken_before_a_recogniser_is_asked(
    spoken: Script, recognizers: Any, call: Any, undisturbed: Any
) -> None:
    expected = await undisturbed()
    async with (
        scripted_process(spoken) as victim,
        serve_scripted(spoken, delay_seconds=0.05) as other,
        recognizers(victim.endpoint, f"127.0.0.1:{other.port}", concurrent_replays=1) as (several, _),
    ):
        callers = [await call(several, number) for number in range(12)]
        for caller in callers:
            caller.give(4_000)
        await asyncio.gather(*(caller.heard(4_000) for caller in callers))
        most = 0

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, other.slots.replaying)
                await asyncio.sleep(0.002)

        watching = asyncio.create_task(watch())
        await victim.kill()
        for told in await asyncio.gather(*(caller.finish() for caller in callers)):
            assert told.comparable() == expected.comparable()
        watching.cancel()
        # A recogniser sees within a moment that a replay is through, so that two may overlap.
        assert 1 <= most <= 2, "nobody waits in a recogniser's place for one of the gateway's"
