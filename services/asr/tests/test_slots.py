"""Admission."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streaming_asr.slots import Full, Slot, Slots


def test_new_streams_stop_at_the_capacity_and_resumed_ones_at_the_reserve() -> None:
    slots = Slots(10, replays=100)
    for _ in range(10):
        slots.take(resume=False)
    with pytest.raises(Full, match="all 10 streams"):
        slots.take(resume=False)
    for _ in range(2):
        slots.take(resume=True)
    with pytest.raises(Full, match="all 12 streams"):
        slots.take(resume=True)


def test_a_small_pod_still_keeps_one_place_for_a_resumed_stream() -> None:
    assert Slots(1).reserve == 1


def test_replays_at_the_same_time_are_bounded_until_one_has_caught_up() -> None:
    slots = Slots(20, replays=2)
    first = slots.take(resume=True)
    slots.take(resume=True)
    with pytest.raises(Full, match="catching up"):
        slots.take(resume=True)
    first.caught_up()
    slots.take(resume=True)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3))))
def test_freeing_twice_or_after_catching_up_never_miscounts(steps: list[tuple[bool, int]]) -> None:
    slots = Slots(5, replays=2)
    for resume, frees in steps:
        try:
            slot = slots.take(resume=resume)
        except Full:
            continue
        slot.caught_up()
        for _ in range(frees):
            slot.free()
        if not frees:
            slot.free()
    assert (slots.active, slots.replaying) == (0, 0)


def test_bulk_takes_none_of_the_reserve_and_no_live_place() -> None:
    slots = Slots(10)
    for _ in range(8):
        slots.take(resume=False, bulk=True)
    with pytest.raises(Full, match="kept for live sessions") as full:
        slots.take(resume=False, bulk=True)
    assert full.value.shortage == "bulk"
    for _ in range(10):
        slots.take(resume=False)
    with pytest.raises(Full, match="all 10 streams"):
        slots.take(resume=False)


def test_the_only_place_of_a_small_pod_is_for_bulk_while_nobody_is_live() -> None:
    slots = Slots(1)
    bulk = slots.take(resume=False, bulk=True)
    slots.take(resume=False)
    assert slots.crowded
    bulk.free()
    assert not slots.crowded


@given(st.integers(1, 12), st.lists(st.tuples(st.sampled_from(["live", "resume", "bulk", "free"]), st.integers(0, 99))))
def test_whatever_bulk_does_live_streams_are_let_in_as_if_it_were_not_there(
    capacity: int, steps: list[tuple[str, int]]
) -> None:
    """And never more than the pod takes, where bulk goes when it is told to."""
    slots, without = Slots(capacity, replays=100), Slots(capacity, replays=100)
    bulk: list[Slot] = []
    live: list[tuple[Slot, Slot]] = []
    for kind, which in steps:
        if kind == "bulk":
            if slots.active < slots.bulk_capacity:
                bulk.append(slots.take(resume=False, bulk=True))
        elif kind == "free":
            if which % 2 and bulk:
                bulk.pop(which % len(bulk)).free()
            elif live:
                for slot in live.pop(which % len(live)):
                    slot.free()
        else:
            live += _both(slots, without, resume=kind == "resume")
            while slots.crowded:
                bulk.pop().free()
        assert slots.active - slots.bulk == without.active
        assert slots.bulk == len(bulk)
        assert slots.active <= max(capacity, without.active)


def _both(slots: Slots, without: Slots, *, resume: bool) -> list[tuple[Slot, Slot]]:
    """A live stream beside bulk and one without it: both are let in, or neither."""
    try:
        wanted = without.take(resume=resume)
    except Full:
        with pytest.raises(Full):
            slots.take(resume=resume)
        return []
    return [(slots.take(resume=resume), wanted)]
