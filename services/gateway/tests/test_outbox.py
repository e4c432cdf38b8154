"""A queue to one client: everything is sent in order, within bounds, and nobody waits for what never will be."""

import asyncio

import pytest
from streaming_gateway.outbox import Outbox
from streaming_gateway.problems import Problem

SOON = 1.0


class Broken(Exception):
    """The socket is."""


async def never(_: str) -> None:
    await asyncio.Event().wait()


async def breaks(_: str) -> None:
    raise Broken


async def test_what_is_queued_is_sent_in_order_and_then_all_of_it_was() -> None:
    sent: list[str] = []
    held = asyncio.Event()

    async def send(frame: str) -> None:
        await held.wait()
        sent.append(frame)

    outbox = Outbox(1000)
    delivery = asyncio.create_task(outbox.deliver(send))
    for number in range(3):
        outbox.put({"type": str(number)})
    flushed = asyncio.create_task(outbox.flushed())
    await asyncio.sleep(0.05)
    assert not flushed.done()
    held.set()
    await asyncio.wait_for(flushed, SOON)
    assert sent == [f'{{"type":"{number}"}}' for number in range(3)]
    delivery.cancel()


async def test_with_nothing_queued_nobody_waits() -> None:
    await asyncio.wait_for(Outbox(1000).flushed(), SOON)


async def test_more_than_may_lie_unread_is_refused() -> None:
    outbox = Outbox(40)
    outbox.put({"type": "x" * 20})
    with pytest.raises(Problem, match="slow_reader"):
        outbox.put({"type": "x" * 20})


@pytest.mark.parametrize("waiting", [True, False], ids=["who waits", "who comes later"])
async def test_nobody_waits_for_a_writer_that_died(waiting: bool) -> None:
    outbox = Outbox(1000)
    outbox.put({"type": "lost"})
    flushed = asyncio.create_task(outbox.flushed())
    await asyncio.sleep(0)
    if not waiting:
        flushed.cancel()
    with pytest.raises(Broken):
        await outbox.deliver(breaks)
    outbox.put({"type": "too late"})
    await asyncio.wait_for(flushed if waiting else outbox.flushed(), SOON)


async def test_nobody_waits_for_a_writer_that_was_stopped() -> None:
    outbox = Outbox(1000)
    delivery = asyncio.create_task(outbox.deliver(never))
    outbox.put({"type": "lost"})
    flushed = asyncio.create_task(outbox.flushed())
    await asyncio.sleep(0.05)
    assert not flushed.done()
    delivery.cancel()
    await asyncio.wait_for(flushed, SOON)
