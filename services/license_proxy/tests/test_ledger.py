"""The ledger keeps, for every session, the event of the highest sequence, whatever is sent how often in which order."""

import sqlite3
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from license_proxy.bodies import BodyRefused
from license_proxy.ledger import FILE_NAME, Ledger, LedgerUnavailable
from license_proxy.usage import UsageEvent, newest_of_each_session, parse_batch

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def usage(session_id: str, sequence: int, audio_ms: int = 0, ended: bool = False) -> UsageEvent:
    return UsageEvent(
        session_id=session_id,
        sequence=sequence,
        audio_ms=audio_ms,
        session_ms=audio_ms,
        model="en-default",
        started_at=NOW,
        ended=ended,
    )


def rows(state_dir: Path) -> dict[str, tuple[int, int, bool]]:
    connection = sqlite3.connect(state_dir / FILE_NAME)
    found = connection.execute("SELECT session_id, sequence, audio_ms, ended FROM usage").fetchall()
    connection.close()
    return {session: (sequence, audio, bool(ended)) for session, sequence, audio, ended in found}


events = st.builds(usage, st.sampled_from("abc"), st.integers(0, 6), st.integers(0, 2**53 - 1), st.booleans())
batches = st.lists(st.lists(events, max_size=6), max_size=8)


@given(sent=batches, reopen_after=st.integers(0, 8))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_ledger_equals_a_dictionary_where_the_highest_sequence_wins(
    tmp_path_factory: pytest.TempPathFactory, sent: list[list[UsageEvent]], reopen_after: int
) -> None:
    state_dir = tmp_path_factory.mktemp("state")
    ledger = Ledger(state_dir)
    model: dict[str, UsageEvent] = {}
    ledger.record({}, "lic", NOW)
    for at, batch in enumerate(sent):
        for _ in range(2):  # everything is sent twice
            ledger.record(newest_of_each_session(batch), "lic", NOW)
        for event in batch:
            if event.session_id not in model or event.sequence > model[event.session_id].sequence:
                model[event.session_id] = event
        if at == reopen_after:
            ledger.close()
    assert rows(state_dir) == {name: (kept.sequence, kept.audio_ms, kept.ended) for name, kept in model.items()}
    assert ledger.pending() == len(model)
    ledger.close()


def test_usage_is_pending_until_its_sequence_is_delivered_and_again_when_it_grows(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.record({"a": usage("a", 1), "b": usage("b", 1)}, "lic", NOW)
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute("UPDATE usage SET delivered_sequence = 1 WHERE session_id = 'a'")
    connection.close()
    assert ledger.pending() == 1
    ledger.record({"a": usage("a", 2)}, "lic", NOW)
    assert ledger.pending() == 2
    ledger.close()


def test_writes_reach_the_disk_before_they_are_acknowledged(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.record({"a": usage("a", 1)}, "lic", NOW)
    assert ledger._connection is not None
    assert ledger._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert ledger._connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    ledger.close()


def test_many_threads_may_write_at_once(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)

    def write(name: str) -> None:
        for sequence in range(20):
            ledger.record({name: usage(name, sequence, sequence)}, "lic", NOW)

    threads = [threading.Thread(target=write, args=(f"s{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows(tmp_path) == {f"s{number}": (19, 19, False) for number in range(8)}
    ledger.close()


def test_facts_survive_restarts(tmp_path: Path) -> None:
    first = Ledger(tmp_path)
    assert first.recall("x") is None
    first.remember("x", "1")
    first.remember("x", "2")
    first.close()
    second = Ledger(tmp_path)
    assert second.recall("x") == "2"
    second.close()


def not_a_database(state_dir: Path) -> None:
    (state_dir / FILE_NAME).write_bytes(b"x" * 8192)


def a_newer_format(state_dir: Path) -> None:
    with sqlite3.connect(state_dir / FILE_NAME) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


def a_folder_in_its_place(state_dir: Path) -> None:
    (state_dir / FILE_NAME).mkdir()


@pytest.mark.parametrize("spoil", [not_a_database, a_newer_format, a_folder_in_its_place])
def test_what_only_a_person_can_mend_is_said_to_be_lasting_with_the_path(tmp_path: Path, spoil: Any) -> None:
    spoil(tmp_path)
    with pytest.raises(LedgerUnavailable, match=str(tmp_path)) as refused:
        Ledger(tmp_path).remember("x", "1")
    assert refused.value.lasting


def test_a_ledger_held_by_another_process_is_tried_again(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, busy_seconds=0.05)
    ledger.remember("x", "1")
    other = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerUnavailable) as refused:
        ledger.remember("x", "2")
    assert not refused.value.lasting
    other.execute("COMMIT")
    other.close()
    ledger.remember("x", "2")
    assert ledger.recall("x") == "2"
    ledger.close()


GOOD = (
    b'{"session_id": "s", "sequence": 1, "audio_ms": 1, "session_ms": 1, "model": "m",'
    b' "started_at": "2026-05-01T00:00:00Z", "ended": false}'
)


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        (b'"sequence": 1', b'"sequence": -1', "events[1].sequence"),
        (b'"sequence": 1', b'"sequence": "1"', "events[1].sequence"),
        (b'"sequence": 1', b'"sequence": 1.5', "events[1].sequence"),
        (b'"sequence": 1', b'"sequence": true', "events[1].sequence"),
        (b'"sequence": 1', b'"sequence": 9007199254740992', "events[1].sequence"),
        (b'"sequence": 1,', b"", "events[1].sequence"),
        (b'"audio_ms": 1', b'"audio_ms": null', "events[1].audio_ms"),
        (b'"session_ms": 1', b'"session_ms": []', "events[1].session_ms"),
        (b'"session_id": "s"', b'"session_id": ""', "events[1].session_id"),
        (b'"session_id": "s"', b'"session_id": "a b"', "events[1].session_id"),
        (b'"session_id": "s"', b'"session_id": 5', "events[1].session_id"),
        (b'"session_id": "s"', b'"session_id": "' + b"s" * 129 + b'"', "events[1].session_id"),
        (b'"model": "m"', b'"model": null', "events[1].model"),
        (b"2026-05-01T00:00:00Z", b"2026-05-01T00:00:00", "events[1].started_at"),
        (b"2026-05-01T00:00:00Z", b"0001-01-01T00:00:00+14:00", "events[1].started_at"),
        (b"2026-05-01T00:00:00Z", b"yesterday", "events[1].started_at"),
        (b'"ended": false', b'"ended": "no"', "events[1].ended"),
        (b'"ended": false', b'"tenant": "' + b"t" * 4097 + b'"', "events[1].tenant"),
    ],
)
def test_a_wrong_event_is_refused_by_the_name_of_its_field(old: bytes, new: bytes, field: str) -> None:
    assert old in GOOD
    with pytest.raises(BodyRefused) as refused:
        parse_batch(b'{"events": [' + GOOD + b"," + GOOD.replace(old, new) + b"]}")
    assert refused.value.fields[0]["field"] == field


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b"{}", b"null", b'{"events": 7}', b"\xff", b"[" * 100_000])
def test_a_body_that_is_not_a_batch_is_refused(body: bytes) -> None:
    with pytest.raises(BodyRefused):
        parse_batch(body)


def test_an_error_never_repeats_what_was_sent() -> None:
    with pytest.raises(BodyRefused) as refused:
        parse_batch(b'{"events": [' + GOOD.replace(b'"sequence": 1', b'"sequence": "my secret words"') + b"]}")
    assert "secret" not in str(refused.value)


def test_the_name_of_a_tenant_may_be_any_text(tmp_path: Path) -> None:
    body = b'{"events": [' + GOOD.replace(b'"ended"', b'"tenant": "\\u0000 \\n Z\xc3\xbcrich", "ended"') + b"]}"
    ledger = Ledger(tmp_path)
    ledger.record(newest_of_each_session(parse_batch(body)), "lic", NOW)
    ledger.close()
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        assert connection.execute("SELECT tenant FROM usage").fetchone() == ("\0 \n Zürich",)
    connection.close()


def test_fields_of_a_newer_gateway_are_dropped() -> None:
    assert len(parse_batch(b'{"events": [' + GOOD.replace(b'"ended"', b'"region": "eu", "ended"') + b'], "v": 2}')) == 1


def test_too_many_events_are_refused() -> None:
    with pytest.raises(BodyRefused, match="events"):
        parse_batch(b'{"events": [' + b",".join([GOOD] * 1001) + b"]}")
