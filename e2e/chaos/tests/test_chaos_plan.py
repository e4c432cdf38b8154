"""A plan is drawn from its seed alone, spares nothing, and asks for no more than one replica of a part at a time."""

from collections import Counter
from itertools import pairwise

import pytest
from e2e_chaos.plan import APART_S, CUT_S, FIRST_S, FROZEN_S, KINDS, LAST_S, plan
from hypothesis import given
from hypothesis import strategies as st

SEEDS = st.integers(0, 2**32)


@given(SEEDS)
def test_the_same_seed_is_the_same_plan(seed: int) -> None:
    assert plan(seed, 600) == plan(seed, 600)
    assert plan(seed, 600) != plan(seed + 1, 600)


@given(SEEDS, st.floats(FIRST_S + LAST_S, 3600))
def test_troubles_come_one_after_the_other_within_the_run(seed: int, seconds: float) -> None:
    troubles = plan(seed, seconds)
    assert troubles[0].at_s == FIRST_S
    assert troubles[-1].at_s <= seconds - LAST_S + 0.1
    gaps = [after.at_s - before.at_s for before, after in pairwise(troubles)]
    assert all(APART_S[0] - 0.1 <= gap <= APART_S[1] + 0.1 for gap in gaps)
    assert all(before.part != after.part for before, after in pairwise(troubles))


@given(SEEDS)
def test_in_ten_minutes_every_part_is_hit_about_as_often_as_any_other(seed: int) -> None:
    counts = Counter(trouble.part for trouble in plan(seed, 600))
    assert set(counts) == set(KINDS)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert min(counts.values()) >= 3


@given(SEEDS)
def test_each_trouble_is_one_that_its_part_can_have_and_lasts_as_long_as_it_may(seed: int) -> None:
    for trouble in plan(seed, 1200):
        assert trouble.kind in KINDS[trouble.part]
        assert 0 <= trouble.replica < 1
        low, high = {"freeze": FROZEN_S, "cut": CUT_S}.get(trouble.kind, (0, 0))
        assert low - 0.1 <= trouble.hold_s <= high + 0.1


def test_gateway_and_ingress_are_left_alone() -> None:
    assert not {part for part in KINDS if "gateway" in part or "ingress" in part}


def test_a_run_that_is_too_short_says_how_long_it_has_to_be() -> None:
    with pytest.raises(ValueError, match="give it 80 s at least"):
        plan(1, 79)
