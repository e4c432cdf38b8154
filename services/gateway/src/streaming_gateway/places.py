"""The sessions of this process: how many there are, how many of each key, and how many of each are new."""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Callable, Iterator
from time import monotonic

from streaming_gateway.api_keys import ApiKey
from streaming_gateway.problems import at_capacity, key_limit

_WINDOW_SECONDS = 60.0


class Places:
    """Gives `most` places, and each key what its limits allow. `empty` is set while none is taken."""

    def __init__(self, most: int, clock: Callable[[], float] = monotonic) -> None:
        self._most = most
        self._clock = clock
        self._of_key: Counter[str] = Counter()
        self._begun: dict[str, deque[float]] = {}
        self.taken = 0
        self.empty = asyncio.Event()
        self.empty.set()

    @contextlib.contextmanager
    def one(self, key: ApiKey) -> Iterator[None]:
        """A place for a session of `key`; raises Problem 3009. Who is refused does not count as new."""
        if self.taken >= self._most:
            raise at_capacity("capacity")
        self._check(key)
        self.taken += 1
        self._of_key[key.sha256] += 1
        self.empty.clear()
        try:
            yield
        finally:
            self.taken -= 1
            self._leave(key)
            if not self.taken:
                self.empty.set()

    def _check(self, key: ApiKey) -> None:
        if key.max_sessions is not None and self._of_key[key.sha256] >= key.max_sessions:
            raise key_limit("key_sessions")
        if key.max_new_per_minute is None:
            self._begun.pop(key.sha256, None)
            return
        begun = self._begun.setdefault(key.sha256, deque())
        while begun and self._clock() - begun[0] >= _WINDOW_SECONDS:
            begun.popleft()
        if len(begun) >= key.max_new_per_minute:
            raise key_limit("key_rate")
        begun.append(self._clock())

    def _leave(self, key: ApiKey) -> None:
        self._of_key[key.sha256] -= 1
        if not self._of_key[key.sha256]:
            del self._of_key[key.sha256]
