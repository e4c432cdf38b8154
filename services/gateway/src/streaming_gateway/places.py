"""Places for sessions: as many as this process takes, and as each key may have, here and at the other gateways."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import monotonic

from stack_model.api_keys import ApiKey

from streaming_gateway.counts import NOBODY, Counts, OfKey
from streaming_gateway.problems import at_capacity, key_limit

_WINDOW_SECONDS = 60.0


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
    def one(self, key: ApiKey) -> Iterator[None]:
        """A place for a session of `key`, as far as this process knows; raises Problem 3009.

        Who is refused, here or by whatever is raised inside, does not count as new.
        """
        if self.taken >= self._most:
            raise at_capacity("capacity")
        self._forget_old()
        self._check(key, self._of_key.get(key.mark, _Mine()), others=OfKey(key=key.mark))
        mine = self._of_key.setdefault(key.mark, _Mine())
        now = self._clock()
        mine.sessions += 1
        mine.begun += [now] if key.max_new_per_minute is not None else []
        self.taken += 1
        self.empty.clear()
        try:
            yield
        except BaseException:
            with contextlib.suppress(ValueError):
                mine.begun.remove(now)
            raise
        finally:
            self.taken -= 1
            mine.sessions -= 1
            if not self.taken:
                self.empty.set()

    def confirm(self, key: ApiKey) -> None:
        """The same for who has a place, once the others' counts are known anew. Raises Problem 3009."""
        self._forget_old()
        self._check(key, self._of_key[key.mark], self._others().of(key.mark), counted=1)

    @staticmethod
    def _check(key: ApiKey, mine: _Mine, others: OfKey, counted: int = 0) -> None:
        """Whether `key` may have one more; `counted` of its sessions here are the one that asks."""
        if key.max_sessions is not None and mine.sessions + others.sessions - counted >= key.max_sessions:
            raise key_limit("key_sessions")
        started = len(mine.begun) + others.started - counted
        if key.max_new_per_minute is not None and started >= key.max_new_per_minute:
            raise key_limit("key_rate")

    def _forget_old(self) -> None:
        before = self._clock() - _WINDOW_SECONDS
        for mark, mine in list(self._of_key.items()):
            while mine.begun and mine.begun[0] <= before:
                mine.begun.popleft()
            if not mine.sessions and not mine.begun:
                del self._of_key[mark]
