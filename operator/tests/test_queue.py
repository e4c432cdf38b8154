import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streaming_operator.kinds import Key
from streaming_operator.queue import KeyQueue, Schedule

A, B = Key("one", "a"), Key("one", "b")


def test_a_key_that_is_added_many_times_is_taken_once() -> None:
    schedule = Schedule()
    for _ in range(50):
        schedule.add(A, 0)
    assert [schedule.take(0), schedule.take(0)] == [A, None]


def test_a_key_is_taken_when_it_is_due_and_not_before() -> None:
    schedule = Schedule()
    schedule.add(A, 10)
    assert (schedule.take(9.9), schedule.next_due(), schedule.take(10)) == (None, 10, A)


def test_the_earlier_of_two_times_holds() -> None:
    schedule = Schedule()
    schedule.add(A, 300)
    schedule.add(A, 5)
    schedule.add(A, 100)
    assert schedule.take(5) == A
    schedule.done(A)
    assert schedule.take(1000) is None


def test_a_key_that_is_due_in_a_year_and_added_before_that_again_and_again_takes_no_more_room() -> None:
    schedule = Schedule()
    for minute in range(1000):
        schedule.add(A, at=minute * 60.0)
        assert schedule.take(minute * 60.0) == A
        schedule.done(A)
        schedule.add(A, at=minute * 60.0 + 365 * 86400)
    assert len(schedule) < 100


def test_a_key_is_never_worked_on_twice_at_once_and_runs_again_if_it_was_added_meanwhile() -> None:
    schedule = Schedule()
    schedule.add(A, 0)
    schedule.take(0)
    schedule.add(A, 0)
    assert schedule.take(1) is None
    schedule.done(A)
    assert schedule.take(1) == A


def test_a_key_at_work_holds_up_no_other() -> None:
    schedule = Schedule()
    schedule.add(A, 0)
    schedule.take(0)
    schedule.add(A, 0)
    schedule.add(B, 1)
    assert schedule.take(1) == B


def test_failures_back_off_from_one_second_to_a_minute_and_a_success_forgets_them() -> None:
    schedule = Schedule()
    delays = []
    for _ in range(9):
        schedule.add(A, 0)
        schedule.take(1e9)
        delays.append(schedule.failed(A, 0))
    assert delays == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    schedule.take(1e9)
    schedule.done(A)
    schedule.add(A, 0)
    schedule.take(1e9)
    assert schedule.failed(A, 0) == 1


def test_a_change_after_a_failure_is_tried_at_once() -> None:
    schedule = Schedule()
    schedule.add(A, 0)
    schedule.take(0)
    schedule.failed(A, 0)
    schedule.add(A, 0.1)
    assert schedule.take(0.1) == A


def test_the_oldest_key_is_the_one_that_is_due_longest_and_a_backoff_is_no_age() -> None:
    schedule = Schedule()
    schedule.add(A, 100)
    assert schedule.oldest_age(50) == 0
    schedule.add(B, 20)
    assert schedule.oldest_age(50) == 30


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.sampled_from("abc"), st.floats(0, 100)),
            st.tuples(st.just("take"), st.just(""), st.floats(0, 100)),
            st.tuples(st.sampled_from(["done", "failed"]), st.sampled_from("abc"), st.floats(0, 100)),
        )
    )
)
def test_no_key_is_ever_lost_or_worked_on_twice(steps: list[tuple[str, str, float]]) -> None:
    schedule, wanted, running = Schedule(), set[Key](), set[Key]()
    now = 0.0
    for what, name, time in steps:
        key = Key("one", name)
        now = max(now, time)
        if what == "add":
            schedule.add(key, time)
            wanted.add(key)
        elif what == "take":
            taken = schedule.take(now)
            if taken is not None:
                assert taken in wanted
                assert taken not in running
                wanted.discard(taken)
                running.add(taken)
        elif key in running:
            running.discard(key)
            schedule.done(key) if what == "done" else schedule.failed(key, now)
            if what == "failed":
                wanted.add(key)
    for key in running:
        schedule.done(key)
    left = set()
    while (taken := schedule.take(1e9)) is not None:
        left.add(taken)
    assert left == wanted


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.005)


async def test_workers_run_a_key_once_for_many_adds_and_again_for_one_that_came_meanwhile() -> None:
    queue = KeyQueue(asyncio.get_running_loop().time)
    runs = 0
    started, go_on = asyncio.Event(), asyncio.Event()

    async def reconcile(_: Key) -> None:
        nonlocal runs
        runs += 1
        started.set()
        await go_on.wait()

    workers = [asyncio.create_task(queue.work(reconcile)) for _ in range(3)]
    for _ in range(50):
        queue.add(A)
    await started.wait()
    queue.add(A)
    await asyncio.sleep(0.05)
    assert runs == 1
    go_on.set()
    await _until(lambda: runs == 2 and queue.depth() == 0)
    for worker in workers:
        worker.cancel()


async def test_a_failure_is_tried_again_and_told_and_stops_no_worker() -> None:
    told: list[Exception | None] = []
    queue = KeyQueue(asyncio.get_running_loop().time, lambda _key, _seconds, failure: told.append(failure))

    async def reconcile(_: Key) -> None:
        if len(told) == 0:
            raise RuntimeError("no")

    worker = asyncio.create_task(queue.work(reconcile))
    queue.add(A)
    await _until(lambda: len(told) == 2)
    assert isinstance(told[0], RuntimeError)
    assert told[1] is None
    assert not worker.done()
    worker.cancel()


async def test_a_wished_delay_brings_the_key_back() -> None:
    queue = KeyQueue(asyncio.get_running_loop().time)
    runs = 0

    async def reconcile(_: Key) -> float | None:
        nonlocal runs
        runs += 1
        return 0.01 if runs < 3 else None

    worker = asyncio.create_task(queue.work(reconcile))
    queue.add(A)
    await _until(lambda: runs == 3 and queue.depth() == 0)
    worker.cancel()


@pytest.mark.parametrize("turns", range(6))
async def test_a_worker_ends_when_it_is_cancelled_while_a_key_wakes_it(turns: int) -> None:
    """`asyncio.wait_for` of Python 3.11 forgot the cancellation then, and the operator did not stop."""
    queue = KeyQueue(asyncio.get_running_loop().time)
    worker = asyncio.create_task(queue.work(lambda _: asyncio.sleep(0)))
    queue.add(A, delay=60)
    await asyncio.sleep(0.01)
    queue.add(B, delay=60)
    for _ in range(turns):
        await asyncio.sleep(0)
    worker.cancel()
    await asyncio.wait({worker}, timeout=1)
    ended = worker.cancelled()
    worker.cancel()
    assert ended


async def test_a_resync_adds_every_key() -> None:
    queue = KeyQueue(asyncio.get_running_loop().time)
    seen = []

    async def reconcile(key: Key) -> None:
        seen.append(key)

    tasks = [asyncio.create_task(queue.work(reconcile)), asyncio.create_task(queue.resync(lambda: [A, B], every=0.05))]
    await _until(lambda: seen.count(A) >= 2 and seen.count(B) >= 2)
    for task in tasks:
        task.cancel()


@pytest.mark.parametrize(
    ("story", "stalled"),
    [
        ("nothing to do", False),
        ("a key waits for its backoff", False),
        ("a key at work for long", True),
        ("keys wait and none ends", True),
        ("a long queue that moves", False),
    ],
)
async def test_liveness_fails_for_a_queue_that_stands_still_and_not_for_a_long_one(story: str, stalled: bool) -> None:
    clock = Clock()
    queue = KeyQueue(clock)
    if story == "a key waits for its backoff":
        queue.add(A, delay=10_000)
    elif story == "a key at work for long":
        queue.add(A)
        worker = asyncio.create_task(queue.work(lambda _: asyncio.sleep(60)))
        await asyncio.sleep(0.01)
        clock.now = 400
        assert queue.stalled(300)
        worker.cancel()
    elif story == "keys wait and none ends":
        queue.add(A)
    elif story == "a long queue that moves":
        queue.add(A)
        queue.add(B)
        clock.now = 395

        async def reconcile(key: Key) -> None:
            if key == B:
                await asyncio.sleep(60)

        worker = asyncio.create_task(queue.work(reconcile))
        await asyncio.sleep(0.01)
        queue.add(A)
        worker.cancel()
    clock.now = 400
    assert (queue.stalled(300) is not None) is stalled
