"""The state of the licence: a pure function of its claims, the clock and the check-ins.

Without a check-in endpoint a genuine licence in its time is Ready: nobody is asked, so no trust can be lost.
With one:

- Ready       before the first check-in, while it is not overdue
- Connected   the last successful check-in is younger than two intervals (it is always trusted that long)
- TrustBased  it is older, but within the licence's trust window
- Failed      the trust window is over, or the licence expired, or its time has not come

A clock that jumps changes the answer and never raises: a check-in in the future counts as one of this moment.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from license_token import Claims, LicenseExpired, LicenseNotYetValid, check_time

_OVERDUE_AFTER_INTERVALS = 2
_END_OF_TIME = datetime.max.replace(tzinfo=UTC)


class State(StrEnum):
    """What `/v1/status` says."""

    READY = "Ready"
    CONNECTED = "Connected"
    TRUST_BASED = "TrustBased"
    FAILED = "Failed"


class Reason(StrEnum):
    """Why the state is what it is; for logs and metrics."""

    VALID = "Valid"
    CHECK_IN_OVERDUE = "CheckInOverdue"
    EXPIRED = "Expired"
    NOT_YET_VALID = "NotYetValid"
    TRUST_WINDOW_OVER = "TrustWindowOver"


@dataclass(frozen=True)
class CheckIns:
    """Check-ins with a licence server. `since` is when trust began: the first start under this licence."""

    interval: timedelta
    since: datetime
    last_success: datetime | None


@dataclass(frozen=True)
class Verdict:
    """The state, why, and until when it is trusted without another check-in (None: no check-in is needed or known)."""

    state: State
    reason: Reason
    trust_expiration: datetime | None = None


def judge(claims: Claims, now: datetime, check_ins: CheckIns | None) -> Verdict:
    """The verdict on genuine `claims` at `now` (aware). `check_ins` is None where no endpoint is configured."""
    try:
        check_time(claims, now)
    except LicenseExpired:
        return Verdict(State.FAILED, Reason.EXPIRED)
    except LicenseNotYetValid:
        return Verdict(State.FAILED, Reason.NOT_YET_VALID)
    if check_ins is None:
        return Verdict(State.READY, Reason.VALID)
    return _by_trust(claims, now, check_ins)


def _by_trust(claims: Claims, now: datetime, check_ins: CheckIns) -> Verdict:
    trusted_from = min(check_ins.last_success or check_ins.since, now)
    overdue = _OVERDUE_AFTER_INTERVALS * check_ins.interval
    # A trust window shorter than the check-ins are apart would fail between two good ones.
    trusted_until = _later(trusted_from, max(claims.trust_window, overdue))
    shown = min(trusted_until, claims.expires_at)
    if now >= trusted_until:
        return Verdict(State.FAILED, Reason.TRUST_WINDOW_OVER, shown)
    if now >= _later(trusted_from, overdue):
        return Verdict(State.TRUST_BASED, Reason.CHECK_IN_OVERDUE, shown)
    if check_ins.last_success is None:
        return Verdict(State.READY, Reason.VALID)
    return Verdict(State.CONNECTED, Reason.VALID, shown)


def _later(moment: datetime, by: timedelta) -> datetime:
    return moment + by if _END_OF_TIME - moment > by else _END_OF_TIME
