"""How many sessions there are, in all and of each API key. Pure."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

# What a key has used up of its own; more of anything would not help, so nothing scales by it.
KeyLimit = Literal["key_sessions", "key_rate"]


class OfKey(BaseModel):
    """Sessions of one key, known by a mark; `started` are those begun within the last minute, ended or not."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    key: str
    sessions: int = 0
    started: int = 0


class Counts(BaseModel):
    """Sessions of one gateway, or of several together."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    sessions: int = 0
    keys: Sequence[OfKey] = ()

    def of(self, key: str) -> OfKey:
        """Those of one key."""
        return next((one for one in self.keys if one.key == key), OfKey(key=key))


NOBODY = Counts()


def at_least(one: Counts, other: Counts) -> Counts:
    """The greater of both, count by count."""
    names = dict.fromkeys(of_key.key for counts in (one, other) for of_key in counts.keys)
    pairs = [(one.of(name), other.of(name)) for name in names]
    keys = [OfKey(key=a.key, sessions=max(a.sessions, b.sessions), started=max(a.started, b.started)) for a, b in pairs]
    return Counts(sessions=max(one.sessions, other.sessions), keys=keys)
