"""What the licence proxy knows: the licence in force, the last check-in, the ledger; and how it follows the files."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime

from license_token import Claims
from service_kit.logs import get_logger

from license_proxy.ledger import Ledger, LedgerUnavailable
from license_proxy.license_file import Followed, LicenseFiles, Outcome, look_again
from license_proxy.metrics import ProxyMetrics
from license_proxy.spent_tokens import Spending, Spent
from license_proxy.states import CheckIns, Verdict, judge
from license_proxy.usage import UsageEvent, newest_of_each_session

LAST_CHECK_IN = "last_successful_checkin"
STARTED_AT = "started_at"

log = get_logger(__name__)


class LicenseProxy:
    """The state behind the routes. `clock` gives aware times; blocking work runs in threads."""

    def __init__(
        self, claims: Claims, files: LicenseFiles, ledger: Ledger, metrics: ProxyMetrics, clock: Callable[[], datetime]
    ) -> None:
        self._followed = Followed(claims)
        self._files = files
        self._ledger = ledger
        self._metrics = metrics
        self._clock = clock
        self._shown: Verdict | None = None
        # Checking in with a licence server sets both; until then nobody is asked.
        self.check_ins: CheckIns | None = None
        self.last_check_in: datetime | None = None

    @property
    def claims(self) -> Claims:
        """The claims of the licence in force."""
        return self._followed.claims

    def verdict(self) -> Verdict:
        """The state of the licence now; a change is logged and counted."""
        verdict = judge(self.claims, self._clock(), self.check_ins)
        self._metrics.show_license(verdict, self.claims)
        if self._shown is None or (verdict.state, verdict.reason) != (self._shown.state, self._shown.reason):
            log.info("licence state", state=verdict.state.value, reason=verdict.reason.value, **_identity(self.claims))
        self._shown = verdict
        return verdict

    def start(self) -> None:
        """Read what earlier runs left, and see that the ledger can be written.

        A full disk is no reason not to start: the state of the licence is served without it.
        Raises LedgerUnavailable where only a person can mend it.
        """
        try:
            self._ledger.remember(STARTED_AT, self._clock().isoformat())
        except LedgerUnavailable as error:
            if error.lasting:
                raise
            log.error("usage cannot be written now", problem=str(error))
        with contextlib.suppress(LedgerUnavailable):
            self.last_check_in = _moment(self._ledger.recall(LAST_CHECK_IN))
        self.verdict()

    async def accept(self, events: list[UsageEvent]) -> None:
        """Write the events down; they are durable when this returns. Raises LedgerUnavailable."""
        if events:
            newest = newest_of_each_session(events)
            await asyncio.to_thread(self._ledger.record, newest, self.claims.license_id, self._clock())

    async def spend(self, spending: Spending) -> Spent:
        """Let its session have the token; durable when this returns. Raises LedgerUnavailable."""
        return await asyncio.to_thread(self._ledger.spend, spending, self._clock())

    async def pending(self) -> int:
        """Sessions with undelivered usage. Raises LedgerUnavailable."""
        return await asyncio.to_thread(self._ledger.pending)

    async def follow(self, every_seconds: float) -> None:
        """Follow the licence's files and the clock, for ever."""
        while True:
            await asyncio.sleep(every_seconds)
            self._followed, outcome = await asyncio.to_thread(look_again, self._followed, self._files, self._clock())
            if outcome is Outcome.RENEWED:
                log.info("licence renewed", **_identity(self.claims))
            elif outcome is not Outcome.UNCHANGED:
                self._metrics.replacements_refused.inc()
                log.error(
                    "licence file not taken, the one in force stays",
                    outcome=outcome.value,
                    problem=self._followed.problem,
                    **_identity(self.claims),
                )
            self.verdict()


def _identity(claims: Claims) -> dict[str, str]:
    return {"license_id": claims.license_id, "customer": claims.customer, "expires_at": claims.expires_at.isoformat()}


def _moment(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        log.error("the last check-in on disk is not a time; it is ignored")
        return None
    return moment.astimezone(UTC) if moment else None
