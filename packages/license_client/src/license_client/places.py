"""Places for sessions, live ones or recordings: as many as this process takes, and as each key may have, here and at
the other services that tell the same licence proxy."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import monotonic

from stack_model.api_keys import ApiKey

from license_client.counts import NOBODY, Counts, KeyLimit, OfKey

_WINDOW_SECONDS = 60.0
# Nobody knows when a session ends; it is soon enough to ask again.
_ASK_AGAIN_SECONDS = 5.0


class ProcessFull(Exception):
    """This process takes no more sessions; another one may."""


class KeyLimitReached(Exception):
    """The key has as many sessions as it may, or began as many within the last minute.

    `again_seconds`: when it makes sense to come again.
    """

    def __init__(self, limit: KeyLimit, again_seconds: float) -> None:
        super().__init__(limit)
        self.limit, self.again_seconds = limit, again_seconds


@dataclass
class Place:
    """Of one session. `begun`: it counts as new from now on, however it ends."""

    begun: bool = False


@dataclass
class _Mine:
    """This process's sessions of one key; `begun` are the times of the new ones, where they are limited."""

    sessions: int = 0
    begun: deque[float] = field(default_factory=deque)


class Places:
    """Gives `most` places, and each key what its limits allow. `empty` is set while none is taken."""

    def __init__(
        self, most: int, others: Callable[[], Counts] = lambda: NOBODY, clock: Callable[[], float] = monotonic
    ) -> None:
        """`others` are the counts of the other gateways, `clock` is in seconds."""
        self._most = most
        self._others = others
        self._clock = clock
        self._of_key: dict[str, _Mine] = {}
        self.taken = 0
        self.empty = asyncio.Event()
        self.empty.set()

    @property
    def mine(self) -> Counts:
        """This process's sessions, for the other gateways."""
        self._forget_old()
        keys = [OfKey(key=mark, sessions=mine.sessions, started=len(mine.begun)) for mark, mine in self._of_key.items()]
        return Counts(sessions=self.taken, keys=keys)

    @property
    def everywhere(self) -> int:
        """Sessions here and at the other gateways."""
        return self.taken + self._others().sessions

    @contextlib.contextmanager
    def one(self, key: ApiKey) -> Iterator[Place]:
        """A place for a session of `key`, as far as this process knows. Raises ProcessFull, KeyLimitReached.

        Who is refused, here or by whatever is raised inside before the session has begun, does not count as new.
        """
        if self.taken >= self._most:
            raise ProcessFull
        self._forget_old()
        self._check(key, self._of_key.get(key.mark, _Mine()), others=OfKey(key=key.mark))
        mine = self._of_key.setdefault(key.mark, _Mine())
        now = self._clock()
        mine.sessions += 1
        mine.begun += [now] if key.max_new_per_minute is not None else []
        self.taken += 1
        self.empty.clear()
        place = Place()
        try:
            yield place
        except BaseException:
            with contextlib.suppress(ValueError):
                if not place.begun:
                    mine.begun.remove(now)
            raise
        finally:
            self.taken -= 1
            mine.sessions -= 1
            if not self.taken:
                self.empty.set()

    def confirm(self, key: ApiKey) -> None:
        """The same for who has a place, once the others' counts are known anew. Raises KeyLimitReached."""
        self._forget_old()
        self._check(key, self._of_key[key.mark], self._others().of(key.mark), counted=1)

    def _check(self, key: ApiKey, mine: _Mine, others: OfKey, counted: int = 0) -> None:
        """Whether `key` may have one more; `counted` of its sessions here are the one that asks."""
        if key.max_sessions is not None and mine.sessions + others.sessions - counted >= key.max_sessions:
            raise KeyLimitReached("key_sessions", _ASK_AGAIN_SECONDS)
        started = len(mine.begun) + others.started - counted
        if key.max_new_per_minute is not None and started >= key.max_new_per_minute:
            oldest = mine.begun[0] + _WINDOW_SECONDS - self._clock() if len(mine.begun) > counted else _WINDOW_SECONDS
            raise KeyLimitReached("key_rate", oldest)

    def _forget_old(self) -> None:
        before = self._clock() - _WINDOW_SECONDS
        for mark, mine in list(self._of_key.items()):
            while mine.begun and mine.begun[0] <= before:
                mine.begun.popleft()
            if not mine.sessions and not mine.begun:
                del self._of_key[mark]
