"""Admission."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streaming_asr.slots import Full, Slots


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
