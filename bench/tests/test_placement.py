"""Placement by its rules: what theory says of random placement, and what each policy is for."""

import random
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamingstack_bench.placement import Policy, Pool, World, arrivals, erlang_b, refusals, scale_up
from streamingstack_bench.placement_table import markdown

SMALL = World(gateways=5, capacity=10, proxies=2)
POLICIES = st.sampled_from(list(Policy))


def pool(policy, world=SMALL):
    return Pool(world, policy, random.Random(1))


@pytest.mark.parametrize(("offered", "places", "share"), [(1, 1, 0.5), (2, 2, 0.4), (10, 10, 0.2146), (0.1, 1, 0.0909)])
def test_erlangs_formula(offered, places, share):
    assert erlang_b(offered, places) == pytest.approx(share, abs=1e-4)


@pytest.mark.parametrize("load", [0.75, 0.9])
@pytest.mark.parametrize("spread", [0.3, 1.2])
def test_random_placement_refuses_what_theory_says_however_long_sessions_are(load, spread):
    world = World(spread=spread)
    met = refusals(world, Policy.RANDOM, load, seed=3, count=60_000)
    assert met.share == pytest.approx(erlang_b(load * world.capacity, world.capacity), rel=0.2)


def test_least_request_by_the_true_count_refuses_only_when_all_are_full():
    met = refusals(World(), Policy.LEAST, 0.9, count=30_000)
    assert met.share == pytest.approx(erlang_b(0.9 * 20 * 48, 20 * 48), abs=1e-3)


def test_every_policy_refuses_what_is_beyond_all_places():
    for policy in Policy:
        assert refusals(SMALL, policy, 2.0, count=5_000).share > 0.4


def test_two_choices_refuse_less_than_random_and_more_than_the_true_count():
    shares = [refusals(World(), policy, 0.9, count=30_000).share for policy in Policy]
    by = dict(zip(Policy, shares, strict=True))
    assert by[Policy.RANDOM] > by[Policy.TWO_CHOICES] >= by[Policy.LEAST_OWN] >= by[Policy.LEAST]


def test_a_retry_finds_a_place_where_others_have_one():
    once, twice = (refusals(World(), Policy.RANDOM, 0.9, retries=n, count=30_000) for n in (0, 1))
    assert twice.share < once.share / 3
    assert twice.tries_refused >= twice.refused * 2


@given(POLICIES, st.integers(0, 50), st.floats(0.1, 3))
def test_no_gateway_has_more_than_it_takes_and_no_count_is_lost(policy, seed, load):
    gateways = Pool(SMALL, policy, random.Random(seed))
    for arrival in islice(arrivals(gateways, load, 1), 400):
        assert max(gateways.active) <= SMALL.capacity
        assert min(gateways.active) >= 0
        assert gateways.active == [sum(counts) for counts in zip(*gateways.own, strict=True)]
        if arrival.gateway is None:
            assert SMALL.capacity in gateways.active


@given(POLICIES, st.integers(0, 50))
def test_a_seed_repeats_its_run(policy, seed):
    assert refusals(SMALL, policy, 0.9, seed=seed, count=200) == refusals(SMALL, policy, 0.9, seed=seed, count=200)


def test_round_robin_takes_turns():
    gateways = pool(Policy.ROUND_ROBIN)
    assert sorted(gateways.choose(0) for _ in range(5)) == list(range(5))


def test_two_choices_go_by_what_this_proxy_sent_and_know_nothing_of_others():
    gateways = pool(Policy.TWO_CHOICES, World(gateways=2, capacity=10, proxies=2))
    for _ in range(3):
        gateways.enter(0, 1)
    assert {gateways.choose(0) for _ in range(20)} == {0}
    assert {gateways.choose(1) for _ in range(50)} == {0, 1}


def test_a_new_gateway_is_found_at_once_by_least_request_and_late_by_chance():
    least, chance = (scale_up(World(), policy, 0.75) for policy in (Policy.LEAST, Policy.RANDOM))
    assert least.first_minute > 0.2
    assert chance.first_minute < 0.1
    assert least.half_full_after is not None
    assert chance.half_full_after is None or chance.half_full_after > 3 * least.half_full_after


def test_the_table_has_every_policy_and_load():
    table = markdown(SMALL, count=300, seeds=2)
    assert all(sum(line.startswith(f"| {policy} |") for line in table.splitlines()) == 2 for policy in Policy)
    assert "| policy | 50 % | 75 % | 90 % |" in table
