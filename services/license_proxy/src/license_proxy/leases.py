"""Sessions of all gateways, counted in one place for limits that hold over all of them. Pure: the time is an argument.

Each gateway tells what it has, the session that it is about to let in among it, and is answered what the others have.
Whoever tells first comes first: of two gateways that want the last place, the second one sees it taken. What a gateway
told is its lease: it ends after LEASE_SECONDS, so that a gateway that died holds nothing for longer.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from license_proxy.bodies import Count, Id

LEASE_SECONDS = 30.0
# Twice what gateways tell by themselves: whoever is alive has told again what a restart forgot.
SETTLING_SECONDS = 10.0
_MOST_HOLDERS = 5000


class OfKey(BaseModel):
    """Sessions of one API key, of which only a mark is known here."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    key: Id
    sessions: Count = 0
    started: Annotated[Count, Field(description="Of them and of ended ones: begun within the last minute.")] = 0


class Counts(BaseModel):
    """Sessions of one gateway, or of several together, and those of each API key among them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    sessions: Count = 0
    keys: Annotated[list[OfKey], Field(max_length=20_000)] = []


class Lease(Counts):
    """The body of `POST /v1/leases`."""

    holder: Id = Field(description="One gateway; the same after its process was started anew.")


class TooManyHolders(Exception):
    """More gateways than any licence is for."""


@dataclass(frozen=True)
class _Held:
    counts: Counts
    until: float


class Leases:
    """In memory alone: after a restart everybody tells again within seconds. `since` is when it began."""

    def __init__(self, since: float) -> None:
        self._since = since
        self._held: dict[str, _Held] = {}

    def take(self, lease: Lease, now: float) -> Counts:
        """Note what its holder has, and answer what the others have. Raises TooManyHolders."""
        self._forget_ended(now)
        if lease.holder not in self._held and len(self._held) >= _MOST_HOLDERS:
            raise TooManyHolders
        self._held[lease.holder] = _Held(lease, now + LEASE_SECONDS)
        return _sum(held.counts for holder, held in self._held.items() if holder != lease.holder)

    def settled(self, now: float) -> bool:
        """Whether everybody who lives has had the time to tell."""
        return now - self._since >= SETTLING_SECONDS

    def total(self, now: float) -> int:
        """Sessions of all gateways."""
        self._forget_ended(now)
        return sum(held.counts.sessions for held in self._held.values())

    def _forget_ended(self, now: float) -> None:
        self._held = {holder: held for holder, held in self._held.items() if now < held.until}


def _sum(several: Iterable[Counts]) -> Counts:
    sessions, of_keys, started = 0, Counter[str](), Counter[str]()
    for counts in several:
        sessions += counts.sessions
        for one in counts.keys:
            of_keys[one.key] += one.sessions
            started[one.key] += one.started
    keys = [OfKey(key=key, sessions=of_keys[key], started=started[key]) for key in of_keys]
    return Counts(sessions=sessions, keys=keys)
