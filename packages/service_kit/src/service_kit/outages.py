"""Somebody whose answers one needs, away and back: each change is logged once, however often one asks."""

from typing import Any


class Outage:
    """`over` until something fails; `log` is told what that means, and that it is over where `back` says so."""

    def __init__(self, log: Any, away: str, back: str | None = None) -> None:
        self._log, self._away, self._back = log, away, back
        self.over = True

    def failed(self, failure: Exception) -> None:
        """It did not answer, or not what it should. Of the failure only the kind is logged: its text may quote."""
        if self.over:
            self._log.error(self._away, kind=type(failure).__name__)
        self.over = False

    def answered(self) -> None:
        """It answered."""
        if not self.over and self._back is not None:
            self._log.info(self._back)
        self.over = True
