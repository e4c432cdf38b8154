"""When a recording is tried again, and when its sender is told instead."""

import pytest
from streaming_sync_api.problems import SyncProblem
from streaming_sync_api.recognisers import Attempts
from streaming_sync_api.stream import GaveWay, Lost, NoPlace, Rejected, RouteUnknown, StreamEnded

FULL, AWAY, BROKEN = NoPlace("refused"), GaveWay("gave way"), Lost("broken")


@pytest.mark.parametrize(
    ("ends", "status"),
    [
        ([(0.0, FULL), (9.9, FULL)], None),
        ([(0.0, FULL), (10.0, FULL)], 503),
        ([(20.0, AWAY)], None),
        ([(20.0, AWAY), (29.9, FULL)], None),
        ([(20.0, AWAY), (30.0, FULL)], 503),
        ([(5.0, AWAY), (6.0, AWAY), (7.0, AWAY)], None),
        ([(5.0, BROKEN)], None),
        ([(15.0, BROKEN), (24.0, FULL)], None),
        ([(5.0, BROKEN), (6.0, BROKEN)], 500),
        ([(5.0, BROKEN), (6.0, AWAY), (7.0, BROKEN)], 500),
        ([(0.0, Rejected("rejected"))], 500),
        ([(0.0, RouteUnknown("route unknown"))], 500),
    ],
)
def test_a_place_is_waited_for_so_long_and_a_loss_made_good_once(
    ends: list[tuple[float, StreamEnded]], status: int | None
) -> None:
    attempts, told = Attempts(10.0, 0.0), None
    for at, ended in ends:
        assert told is None
        try:
            assert attempts.pause_after(ended, "pod", at) > 0
        except SyncProblem as problem:
            told = problem.status
    assert told == status


def test_the_next_attempt_avoids_where_the_last_ones_ended_the_newest_first() -> None:
    attempts = Attempts(10.0, 0.0)
    for pod in ["a", "b", "", "a", *"cdefghij"]:
        attempts.pause_after(FULL, pod, 1.0)
    assert attempts.avoid == list("jihgfedc")
    assert attempts.number == 12
