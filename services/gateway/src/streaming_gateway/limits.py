"""Bounds of one session."""

import dataclasses
from dataclasses import dataclass

# Audio that comes while what was buffered is being heard.
_BEYOND_BUFFER_SECONDS = 60.0


@dataclass(frozen=True)
class SessionLimits:
    """Seconds and bytes as their names say."""

    session_seconds: float
    backlog_seconds: float
    unread_bytes: int

    def while_buffering(self, seconds: float | None) -> "SessionLimits":
        """The same for a session that may wait `seconds` for a recogniser: what comes meanwhile is not too much."""
        backlog = max(self.backlog_seconds, (seconds or 0) + _BEYOND_BUFFER_SECONDS)
        return self if seconds is None else dataclasses.replace(self, backlog_seconds=backlog)

    def capped(self, seconds: int | None) -> "SessionLimits":
        """The same for a session that a token allows `seconds`; None: as long as any."""
        return (
            self if seconds is None else dataclasses.replace(self, session_seconds=min(self.session_seconds, seconds))
        )
