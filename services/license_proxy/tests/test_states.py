"""The state of the licence follows from its claims, the clock and the check-ins alone."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from license_proxy.states import CheckIns, Reason, State, judge
from license_token import Claims, development_claims

NOW = datetime(2026, 5, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CLAIMS = development_claims("acme", NOW - DAY)  # 30 days long, trusted for 4 days


def check_ins(last: timedelta | None, since: timedelta = -10 * HOUR) -> CheckIns:
    """Hourly check-ins; `last` and `since` are relative to NOW."""
    return CheckIns(HOUR, NOW + since, None if last is None else NOW + last)


@pytest.mark.parametrize(
    ("ins", "state", "reason", "trusted_for"),
    [
        (None, State.READY, Reason.VALID, None),
        (check_ins(None, timedelta(0)), State.READY, Reason.VALID, None),
        (check_ins(None, -3 * HOUR), State.TRUST_BASED, Reason.CHECK_IN_OVERDUE, 4 * DAY - 3 * HOUR),
        (check_ins(None, -4 * DAY), State.FAILED, Reason.TRUST_WINDOW_OVER, timedelta(0)),
        (check_ins(timedelta(0)), State.CONNECTED, Reason.VALID, 4 * DAY),
        (check_ins(-2 * HOUR + timedelta(seconds=1)), State.CONNECTED, Reason.VALID, None),
        (check_ins(-2 * HOUR), State.TRUST_BASED, Reason.CHECK_IN_OVERDUE, 4 * DAY - 2 * HOUR),
        (check_ins(-4 * DAY + timedelta(seconds=1)), State.TRUST_BASED, Reason.CHECK_IN_OVERDUE, timedelta(seconds=1)),
        (check_ins(-4 * DAY), State.FAILED, Reason.TRUST_WINDOW_OVER, timedelta(0)),
        (check_ins(3 * DAY), State.CONNECTED, Reason.VALID, 4 * DAY),  # the clock jumped back
    ],
)
def test_the_state_of_a_licence_in_its_time(
    ins: CheckIns | None, state: State, reason: Reason, trusted_for: timedelta | None
) -> None:
    verdict = judge(CLAIMS, NOW, ins)
    assert (verdict.state, verdict.reason) == (state, reason)
    if trusted_for is not None:
        assert verdict.trust_expiration == NOW + trusted_for


@pytest.mark.parametrize("ins", [None, check_ins(timedelta(0)), check_ins(None)])
@pytest.mark.parametrize(("at", "reason"), [(-2 * DAY, Reason.NOT_YET_VALID), (30 * DAY, Reason.EXPIRED)])
def test_out_of_its_time_a_licence_has_failed_however_well_it_checks_in(
    ins: CheckIns | None, at: timedelta, reason: Reason
) -> None:
    verdict = judge(CLAIMS, NOW + at, ins)
    assert (verdict.state, verdict.reason) == (State.FAILED, reason)


def test_a_trust_window_shorter_than_the_check_ins_are_apart_does_not_fail_between_two_good_ones() -> None:
    claims = CLAIMS.model_copy(update={"trust_window_seconds": 0})
    assert judge(claims, NOW, check_ins(-HOUR)).state is State.CONNECTED
    assert judge(claims, NOW, check_ins(-2 * HOUR)).state is State.FAILED


def test_trust_never_outlives_the_licence() -> None:
    late = CLAIMS.expires_at - HOUR
    verdict = judge(CLAIMS, late, CheckIns(HOUR, NOW, late))
    assert verdict.trust_expiration == CLAIMS.expires_at


moments = st.datetimes(timezones=st.just(UTC))


@st.composite
def any_claims(draw: st.DrawFn) -> Claims:
    begins = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=draw(st.integers(0, 10**10)))
    lasts = timedelta(seconds=draw(st.integers(1, 10**10)))
    return development_claims("acme", begins, lasts).model_copy(
        update={"trust_window_seconds": draw(st.integers(0, 3 * 10**8))}
    )


@given(
    claims=any_claims(),
    now=moments,
    interval=st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=30)),
    since=moments,
    last=st.none() | moments,
)
def test_no_clock_and_no_check_in_ever_raises_and_trust_ends_within_the_window(
    claims: Claims, now: datetime, interval: timedelta, since: datetime, last: datetime | None
) -> None:
    verdict = judge(claims, now, CheckIns(interval, since, last))
    if verdict.state in {State.CONNECTED, State.TRUST_BASED}:
        assert verdict.trust_expiration is not None
        assert verdict.trust_expiration <= claims.expires_at
        assert verdict.trust_expiration - now <= max(claims.trust_window, 2 * interval)
    if verdict.state is State.CONNECTED:
        assert last is not None
    assert (judge(claims, now, None).state is State.FAILED) <= (verdict.state is State.FAILED)
