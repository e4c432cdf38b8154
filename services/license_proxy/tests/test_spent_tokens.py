"""A token goes to the first session that tells, over restarts, until nobody would take it any more."""

import contextlib
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from license_proxy.ledger import FILE_NAME, Ledger
from license_proxy.spent_tokens import LONGER_SECONDS, Spending, Spent, spend

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def spending(token: str = "token", session: str = "one", left: int = 60) -> Spending:
    return Spending(token=token, session_id=session, expires_in_seconds=left)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path)
    yield made
    made.close()


def test_the_first_session_has_it_however_often_it_tells_and_no_other_one(ledger: Ledger) -> None:
    told = [ledger.spend(spending(session=name), NOW) for name in ("one", "one", "two", "one", "two")]
    assert told == [Spent.FIRST, Spent.FIRST, Spent.AGAIN, Spent.FIRST, Spent.AGAIN]
    assert ledger.spend(spending("other", "two"), NOW) is Spent.FIRST


_COMES = st.tuples(st.sampled_from("abc"), st.sampled_from(("one", "two")), st.integers(0, 200))


@given(st.lists(_COMES, max_size=30))
def test_whatever_comes_in_whatever_order_a_token_has_one_session_until_it_ended(
    comes: list[tuple[str, str, int]],
) -> None:
    """Against a dictionary; each token ends at a time of its own."""
    ends = {name: 300 * at + 100 for at, name in enumerate("abc")}
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        owners: dict[str, str] = {}
        now = 0.0
        for token, session, seconds in comes:
            now += seconds
            if now >= ends[token]:
                continue  # no gateway takes it
            owner = owners.setdefault(token, session)
            told = spend(connection, spending(token, session, int(ends[token] - now)), now)
            assert told is (Spent.FIRST if owner == session else Spent.AGAIN)


def test_it_is_kept_beyond_its_end_as_clocks_differ_and_then_forgotten(ledger: Ledger, tmp_path: Path) -> None:
    ledger.spend(spending(left=60), NOW)
    kept = NOW + timedelta(seconds=60 + LONGER_SECONDS)
    assert ledger.spend(spending(session="two"), kept - timedelta(seconds=1)) is Spent.AGAIN
    ledger.spend(spending("other"), kept)
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        assert connection.execute("SELECT token FROM spent_tokens").fetchall() == [("other",)]


def test_there_is_a_most_that_refuses_new_ones_and_still_knows_the_others() -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        told = [spend(connection, spending(name), 0, most=2) for name in "abca"]
        assert told == [Spent.FIRST, Spent.FIRST, Spent.FULL, Spent.FIRST]
        assert spend(connection, spending("a", "two"), 0, most=2) is Spent.AGAIN
        later = 60 + LONGER_SECONDS
        assert spend(connection, spending("c"), later, most=2) is Spent.FIRST


def test_of_many_threads_at_once_one_has_it(ledger: Ledger) -> None:
    told: list[Spent] = []

    def come(session: str) -> None:
        told.append(ledger.spend(spending(session=session), NOW))

    threads = [threading.Thread(target=come, args=(f"s{number}",)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(told) == {Spent.FIRST: 1, Spent.AGAIN: 15}


def test_a_ledger_without_spent_tokens_stays_as_older_releases_know_it(ledger: Ledger, tmp_path: Path) -> None:
    ledger.remember("x", "1")
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        names = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
        assert connection.execute(names).fetchall() == [("facts",), ("usage",)]
        ledger.spend(spending(), NOW)
        assert ("spent_tokens",) in connection.execute(names).fetchall()
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)


def body(**changed: Any) -> dict[str, Any]:
    return {"token": "a" * 64, "session_id": "one", "expires_in_seconds": 60, **changed}


def test_gateways_tell_over_http_and_a_process_that_was_killed_forgot_none(site: Any) -> None:
    proxy = site.start()

    def told(**changed: Any) -> Any:
        reply = proxy.client.post("/v1/spent-tokens", json=body(**changed))
        assert reply.status_code == 200, reply.text
        return reply.json()

    assert told() == {"first": True}
    assert told(session_id="two", newer="field") == {"first": False}
    proxy.process.kill()
    proxy.wait()
    proxy = site.start()
    assert told(session_id="two") == {"first": False}
    assert told() == {"first": True}
    assert told(token="b" * 64, session_id="two") == {"first": True}
    assert "a" * 64 not in proxy.log


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"token": ""}, "token"),
        ({"token": "a b"}, "token"),
        ({"token": "a" * 129}, "token"),
        ({"session_id": 7}, "session_id"),
        ({"expires_in_seconds": -1}, "expires_in_seconds"),
        ({"expires_in_seconds": 3601}, "expires_in_seconds"),
        ({"expires_in_seconds": 1.5}, "expires_in_seconds"),
        ({"expires_in_seconds": None}, "expires_in_seconds"),
    ],
)
def test_a_body_that_is_none_is_refused_by_field(shared_proxy: Any, changed: dict[str, Any], field: str) -> None:
    reply = shared_proxy.client.post("/v1/spent-tokens", json=body(**changed))
    assert reply.status_code == 422
    assert [entry["field"] for entry in reply.json()["fields"]] == [field]
    assert shared_proxy.client.post("/v1/spent-tokens", content=b"{").status_code == 422


def test_where_it_cannot_be_written_nobody_has_it(site: Any) -> None:
    proxy = site.start()
    assert proxy.client.post("/v1/spent-tokens", json=body()).json() == {"first": True}
    with contextlib.closing(sqlite3.connect(proxy.state_dir / FILE_NAME, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        reply = proxy.client.post("/v1/spent-tokens", json=body(token="b"))
        assert reply.status_code == 503
        assert "the token was not spent" in reply.json()["error"]
        other.execute("COMMIT")
    assert proxy.client.post("/v1/spent-tokens", json=body(token="b", session_id="two")).json() == {"first": True}


@pytest.fixture(scope="module")
def shared_proxy(make_site: Any) -> Any:
    """One proxy for the bodies that it refuses."""
    return make_site().start()
