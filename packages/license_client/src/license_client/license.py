"""Whether the licence allows new sessions: asks the licence proxy, and remembers its verdict while it is trusted."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

import httpx2
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError
from service_kit.logs import get_logger
from service_kit.outages import Outage

_log = get_logger(__name__)
POLL_SECONDS = 5.0
_FIRST_POLL_SECONDS = 0.5
# A verdict without any trust window holds this long while the proxy is away.
_UNSAID_TRUST_SECONDS = 3600


@dataclass(frozen=True)
class LicenseRefusal:
    """Why a session is refused; `exhausted`: for want of sessions, not of a licence."""

    reason: str
    exhausted: bool = False


class ProxyStatus(BaseModel):
    """Answer of `GET /v1/status`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    state: Literal["Ready", "Connected", "TrustBased", "Failed"]
    last_successful_checkin: AwareDatetime | None = None
    trust_expiration: AwareDatetime | None = None


class LicenseTerms(BaseModel):
    """Answer of `GET /v1/license`. `models` are speech models or routes; `*` is all of them."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    models: list[str] | Literal["*"] = "*"
    session_limit: int | None = None
    expires_at: AwareDatetime | None = None
    trust_window_seconds: int = _UNSAID_TRUST_SECONDS

    def covers(self, names: set[str]) -> bool:
        """Whether any of the model's names is licensed."""
        return self.models == "*" or "*" in self.models or not names.isdisjoint(self.models)


@dataclass(frozen=True)
class LicenseView:
    """What is known of the licence. `status` is None before the first answer of the proxy."""

    status: ProxyStatus | None = None
    terms: LicenseTerms = field(default_factory=LicenseTerms)
    seen_at: datetime | None = None

    def refusal(self, now: datetime, names: set[str], sessions: int) -> LicenseRefusal | None:
        """Why a new session of the model called `names` beside `sessions` open ones is refused; None: it is not."""
        if self.status is None or self.seen_at is None:
            return LicenseRefusal("license not checked yet")
        if self.status.state == "Failed" or self._has_ended(now):
            return LicenseRefusal("license not valid")
        if now >= self._trusted_until(self.status, self.seen_at):
            return LicenseRefusal("license cannot be checked")
        if not self.terms.covers(names):
            return LicenseRefusal("model not licensed")
        if self.terms.session_limit is not None and sessions >= self.terms.session_limit:
            return LicenseRefusal("as many sessions as the license allows are open", exhausted=True)
        return None

    def _trusted_until(self, status: ProxyStatus, seen_at: datetime) -> datetime:
        """How long this verdict holds without another one."""
        return status.trust_expiration or seen_at + timedelta(seconds=self.terms.trust_window_seconds)

    def _has_ended(self, now: datetime) -> bool:
        """The licence's own end: also while the proxy is away, or allows for clocks that differ."""
        return self.terms.expires_at is not None and now >= self.terms.expires_at


class License:
    """Without an endpoint: development, everything is allowed."""

    @property
    def checked(self) -> bool:
        """Whether there is a verdict."""
        return True

    @property
    def limited(self) -> bool:
        """Whether it is for so many sessions only."""
        return False

    def refusal(self, names: set[str], sessions: int) -> LicenseRefusal | None:
        """See LicenseView.refusal."""
        return None

    async def watch(self) -> None:
        """Nothing to watch."""


class ProxiedLicense(License):
    """Asks the licence proxy every few seconds."""

    def __init__(self, client: httpx2.AsyncClient, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """`client` has the proxy's base URL."""
        self._client = client
        self._clock = clock
        self._view = LicenseView()
        self._outage = Outage(_log, "licence proxy gives no verdict, keeping the last one")

    @property
    def checked(self) -> bool:
        """Whether the proxy ever answered."""
        return self._view.status is not None

    @property
    def limited(self) -> bool:
        """Whether it is for so many sessions only."""
        return self._view.terms.session_limit is not None

    def refusal(self, names: set[str], sessions: int) -> LicenseRefusal | None:
        """See LicenseView.refusal."""
        return self._view.refusal(self._clock(), names, sessions)

    async def watch(self) -> None:
        """Poll for ever."""
        while True:
            await self.look()
            await asyncio.sleep(POLL_SECONDS if self.checked else _FIRST_POLL_SECONDS)

    async def look(self) -> None:
        """Ask once; a proxy that is away changes nothing."""
        try:
            status = ProxyStatus.model_validate_json(await self._get("/v1/status"))
            terms = LicenseTerms.model_validate_json(await self._get("/v1/license"))
        except (httpx2.HTTPError, ValidationError) as failure:
            self._outage.failed(failure)
            return
        if not self._outage.over or self._view.status is None or self._view.status.state != status.state:
            _log.info("licence checked", state=status.state)
        self._outage.answered()
        self._view = LicenseView(status, terms, self._clock())

    async def _get(self, path: str) -> bytes:
        answer = await self._client.get(path)
        answer.raise_for_status()
        return answer.content
