"""Sessions over all gateways are counted in one place, and who is gone is soon counted no more."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from license_proxy.leases import LEASE_SECONDS, SETTLING_SECONDS, Counts, Lease, Leases, OfKey

HOLDERS = ("one", "two", "three")


def lease(holder: str, sessions: int = 0, **keys: tuple[int, int]) -> Lease:
    of_keys = [OfKey(key=key, sessions=now, started=started) for key, (now, started) in keys.items()]
    return Lease(holder=holder, sessions=sessions, keys=of_keys)


def test_everybody_is_answered_what_the_others_have() -> None:
    leases = Leases(0)
    assert leases.take(lease("one", 3, a=(2, 5), b=(1, 1)), 0) == Counts()
    assert leases.take(lease("two", 4, a=(4, 4)), 0).sessions == 3
    others = leases.take(lease("three"), 0)
    assert others.sessions == 7
    assert {one.key: (one.sessions, one.started) for one in others.keys} == {"a": (6, 9), "b": (1, 1)}
    assert leases.take(lease("one", 1), 0).sessions == 4, "the newest counts, and nobody is told of itself"
    assert leases.total(0) == 5


def test_a_holder_that_says_nothing_any_more_ends_with_its_lease() -> None:
    leases = Leases(0)
    leases.take(lease("one", 3), 0)
    assert leases.take(lease("two"), LEASE_SECONDS - 0.1).sessions == 3
    assert leases.take(lease("two"), LEASE_SECONDS).sessions == 0


def test_after_a_start_it_takes_a_while_until_everybody_has_told() -> None:
    leases = Leases(100)
    assert not leases.settled(100 + SETTLING_SECONDS - 0.1)
    assert leases.settled(100 + SETTLING_SECONDS)


@given(st.lists(st.tuples(st.sampled_from(HOLDERS), st.booleans()), max_size=60), st.integers(1, 5))
def test_whoever_tells_before_letting_in_never_lets_in_more_than_may(
    attempts: list[tuple[str, bool]], limit: int
) -> None:
    """Each holder tells with the session that it wants, and gives it up where there are too many; others end."""
    leases, has = Leases(0), dict.fromkeys(HOLDERS, 0)
    for holder, wants in attempts:
        if not wants:
            has[holder] = max(0, has[holder] - 1)
            leases.take(lease(holder, has[holder]), 0)
        elif has[holder] + 1 + leases.take(lease(holder, has[holder] + 1), 0).sessions <= limit:
            has[holder] += 1
        else:
            leases.take(lease(holder, has[holder]), 0)
        assert sum(has.values()) <= limit
        assert leases.total(0) == sum(has.values())


def test_gateways_tell_over_http_and_the_sum_is_a_metric(site: Any) -> None:
    proxy = site.start()

    def tell(holder: str, sessions: int, **more: Any) -> Any:
        reply = proxy.client.post("/v1/leases", json={"holder": holder, "sessions": sessions, **more})
        assert reply.status_code == 200, reply.text
        return reply.json()

    first = tell("one", 2, keys=[{"key": "a", "sessions": 2, "started": 3}], newer="field")
    assert first == {"lease_seconds": 30.0, "settled": False, "others": {"sessions": 0, "keys": []}}
    keys = [{"key": "a", "sessions": 2, "started": 3}]
    assert tell("two", 1)["others"] == {"sessions": 2, "keys": keys}
    assert proxy.metric("license_proxy_sessions_leased") == 3
    site.eventually(lambda: tell("one", 0)["settled"], "it settles")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "holder"),
        ({"holder": "", "sessions": 1}, "holder"),
        ({"holder": "one", "sessions": -1}, "sessions"),
        ({"holder": "one", "sessions": "1"}, "sessions"),
        ({"holder": "one", "keys": [{"key": "a b"}]}, "keys[0].key"),
        ({"holder": "one", "keys": [{"key": "a", "started": 1.5}]}, "keys[0].started"),
        ({"holder": "one", "keys": {"a": 1}}, "keys"),
    ],
)
def test_a_body_that_is_none_is_refused_by_field_and_changes_nothing(
    shared_proxy: Any, body: dict[str, Any], field: str
) -> None:
    reply = shared_proxy.client.post("/v1/leases", json=body)
    assert reply.status_code == 422
    assert [entry["field"] for entry in reply.json()["fields"]] == [field]
    assert shared_proxy.metric("license_proxy_sessions_leased") == 0


@pytest.fixture(scope="module")
def shared_proxy(make_site: Any) -> Any:
    """One proxy for the bodies that it refuses."""
    return make_site().start()
