"""The open turn, told before the session closes: what is waited for, and for how long."""

from dataclasses import dataclass

from streaming_gateway.problems import Closing, cancelled

# Everything is heard and the answer to the last finalize is still missing.
_STUCK_SECONDS = 10.0


@dataclass
class LastWish:
    """The session closes as `answered` says when `finalize_id` is answered, at `deadline` as `late` says.

    `deadline` is in seconds of the clock that `check` is given the time of.
    """

    finalize_id: int
    answered: Closing
    deadline: float
    late: Closing
    caught_up_since: float | None = None

    def check(self, now: float, backlog_seconds: float) -> Closing | None:
        """How to close, if now; `backlog_seconds` of audio are not heard yet. Raises Problem 3005 if nothing moves."""
        if now >= self.deadline:
            return self.late
        if backlog_seconds > 0:
            self.caught_up_since = None
        elif self.caught_up_since is None:
            self.caught_up_since = now
        elif now - self.caught_up_since >= _STUCK_SECONDS:
            raise cancelled("recogniser_stuck")
        return None
