"""Who catches up when: few sessions of a route at once, and nobody waits for another route's."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry
from streaming_gateway.link.api import Hearing, LinkRequest
from streaming_gateway.link.audio import ByteBudget
from streaming_gateway.link.ledger import Ledger
from streaming_gateway.link.metrics import LinkMetrics
from streaming_gateway.link.replay import Replay, ReplayPlaces

SECOND = 16_000


@pytest.fixture
def places() -> ReplayPlaces:
    return ReplayPlaces(1)


def lost(places: ReplayPlaces, route: str, processed: int = 5 * SECOND) -> Replay:
    metrics = LinkMetrics(CollectorRegistry())
    return Replay(places.of(route), metrics, lost_at=0.0, processed=processed, deadline=0.0)


def ledger() -> Ledger:
    """Nothing replayed yet."""
    return Ledger(LinkRequest("s", "en-default", Hearing(0.4, (160, 640))), ByteBudget(1 << 20))


async def test_a_session_waits_for_its_own_routes_replays_and_for_no_others(places: ReplayPlaces) -> None:
    first, second, other = (lost(places, route) for route in ("en-default", "en-default", "ml-default"))
    await first.take_place(ledger())
    waiting = asyncio.create_task(second.take_place(ledger()))
    await asyncio.wait_for(other.take_place(ledger()), 1)
    assert not waiting.done()
    first.give_place()
    await asyncio.wait_for(waiting, 1)


async def test_the_place_is_given_where_the_lost_stream_was(places: ReplayPlaces) -> None:
    first, second, books = lost(places, "en-default"), lost(places, "en-default"), ledger()
    await first.take_place(books)
    books.heard_through(4 * SECOND)
    assert not first.caught_up(books)
    books.heard_through(5 * SECOND)
    assert first.caught_up(books)
    first.give_place()  # once more is no second place
    await asyncio.wait_for(second.take_place(ledger()), 1)
    third = asyncio.create_task(lost(places, "en-default").take_place(ledger()))
    await asyncio.sleep(0)
    assert not third.done()
    third.cancel()


async def test_who_has_nothing_to_replay_takes_no_place(places: ReplayPlaces) -> None:
    await lost(places, "en-default").take_place(ledger())
    await asyncio.wait_for(lost(places, "en-default", processed=0).take_place(ledger()), 1)


async def test_nobody_waits_longer_than_some_seconds(places: ReplayPlaces, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streaming_gateway.link.replay._LONGEST_WAIT", 0.05)
    holder, late = lost(places, "en-default"), lost(places, "en-default")
    await holder.take_place(ledger())
    await asyncio.wait_for(late.take_place(ledger()), 5)
    late.give_place()  # it has none
    holder.give_place()
    await asyncio.wait_for(lost(places, "en-default").take_place(ledger()), 1)
