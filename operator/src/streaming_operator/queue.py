"""The queue of stacks to reconcile: level-triggered, one entry a stack however often it is added.

`Schedule` is the pure part: it knows keys, due times and failures, and is told the time. `KeyQueue` lets workers wait.
Nothing is ever lost: a key that is added while it is being reconciled runs again afterwards.
"""

import asyncio
import contextlib
import heapq
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from service_kit.logs import get_logger

from streaming_operator.kinds import Key

FIRST_BACKOFF_SECONDS = 1.0
LONGEST_BACKOFF_SECONDS = 60.0
RESYNC_SECONDS = 300.0
# Replaced entries of the heap that are borne before it is made anew.
_SPARE_ENTRIES = 64

log = get_logger(__name__)


@dataclass
class Schedule:
    """When which key is due; seconds of any monotonic clock."""

    _due: dict[Key, float] = field(default_factory=dict)
    _heap: list[tuple[float, Key]] = field(default_factory=list)
    _running: dict[Key, float] = field(default_factory=dict)
    _failures: dict[Key, int] = field(default_factory=dict)

    def add(self, key: Key, at: float) -> None:
        """Make `key` due at `at`, or leave it where it is due earlier."""
        known = self._due.get(key)
        if known is None or at < known:
            self._due[key] = at
            heapq.heappush(self._heap, (at, key))
        if len(self._heap) > 2 * len(self._due) + _SPARE_ENTRIES:
            # A licence ends in a year: without this each reconcile until then would leave an entry behind.
            self._heap = [(due, waiting) for waiting, due in self._due.items()]
            heapq.heapify(self._heap)

    def take(self, now: float) -> Key | None:
        """A key that is due and that nobody works on; it is the caller's until `done` or `failed`."""
        held = []
        taken = None
        while self._heap and self._heap[0][0] <= now and taken is None:
            at, key = heapq.heappop(self._heap)
            if self._due.get(key) != at:
                continue  # an entry that an earlier one has replaced
            if key in self._running:
                held.append((at, key))
                continue
            del self._due[key]
            self._running[key] = now
            taken = key
        for entry in held:
            heapq.heappush(self._heap, entry)
        return taken

    def next_due(self) -> float | None:
        """When the next key that nobody works on is due."""
        return min((at for key, at in self._due.items() if key not in self._running), default=None)

    def done(self, key: Key) -> None:
        """The key was reconciled; its failures are forgotten."""
        self._running.pop(key, None)
        self._failures.pop(key, None)

    def failed(self, key: Key, now: float) -> float:
        """The key failed and is due again after 1, 2, 4 ... 60 s; returns that delay."""
        self._running.pop(key, None)
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        delay = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** min(failures - 1, 10))
        self._due.pop(key, None)  # what was added meanwhile waits for the backoff too
        self.add(key, now + delay)
        return delay

    def __len__(self) -> int:
        """Entries kept, those that earlier ones have replaced included."""
        return len(self._heap)

    def depth(self, now: float) -> int:
        """Keys that are due, and those being worked on."""
        return sum(at <= now for at in self._due.values()) + len(self._running)

    def longest_at_work(self, now: float) -> float:
        """Seconds that the longest-running key has been worked on; 0 where none is worked on."""
        return max(0.0, now - min(self._running.values(), default=now))

    def oldest_age(self, now: float) -> float:
        """Seconds that the oldest key has been due, or been worked on; 0 where there is none."""
        since = min((*self._due.values(), *self._running.values()), default=now)
        return max(0.0, now - since)


# Reconciles one key; returns the seconds until it wants to run again, None for the resync.
Reconcile = Callable[[Key], Awaitable[float | None]]
Observe = Callable[[Key, float, Exception | None], None]


class KeyQueue:
    """Workers around a Schedule. `clock` is monotonic; `observe` is told duration and failure of every run."""

    def __init__(self, clock: Callable[[], float], observe: Observe = lambda *_: None) -> None:
        self._schedule = Schedule()
        self._clock = clock
        self._observe = observe
        self._changed = asyncio.Event()
        self._last_ended = clock()

    def add(self, key: Key, delay: float = 0.0) -> None:
        """Have `key` reconciled in `delay` seconds or earlier."""
        self._schedule.add(key, self._clock() + delay)
        self._changed.set()

    def depth(self) -> int:
        """Keys due or being worked on."""
        return self._schedule.depth(self._clock())

    def oldest_age(self) -> float:
        """Seconds that the oldest key has waited."""
        return self._schedule.oldest_age(self._clock())

    def stalled(self, limit: float) -> str | None:
        """Why the queue does not move: a key is worked on for over `limit` seconds, or waits so long and none ends.

        A long queue that moves is slow and not stalled: a restart would only begin anew.
        """
        now = self._clock()
        if self._schedule.longest_at_work(now) > limit:
            return f"a stack has been reconciled for more than {limit:.0f} s"
        if self._schedule.oldest_age(now) > limit and now - self._last_ended > limit / 5:
            return f"a stack has been due for more than {limit:.0f} s, and none is done"
        return None

    async def work(self, reconcile: Reconcile) -> None:
        """One worker: take, reconcile, put back; until cancelled. Run as many as should work side by side."""
        while True:
            key = await self._take()
            started = self._clock()
            try:
                again = await reconcile(key)
            except Exception as failure:  # noqa: BLE001 - one stack's trouble must not stop the others
                delay = self._schedule.failed(key, self._clock())
                self._observe(key, self._clock() - started, failure)
                log.warning("reconciling failed", **_told(key), retry_seconds=delay, problem=_plain(failure))
            else:
                self._schedule.done(key)
                self._observe(key, self._clock() - started, None)
                if again is not None:
                    self._schedule.add(key, self._clock() + again)
            self._last_ended = self._clock()
            self._changed.set()

    async def resync(self, keys: Callable[[], Iterable[Key]], every: float = RESYNC_SECONDS) -> None:
        """Add every key again and again, spread over the interval so that they do not come all at once."""
        while True:
            all_keys = list(keys())
            for number, key in enumerate(all_keys):
                self.add(key, delay=every * (number + 1) / (len(all_keys) + 1))
            await asyncio.sleep(every)

    async def _take(self) -> Key:
        while True:
            now = self._clock()
            key = self._schedule.take(now)
            if key is not None:
                return key
            self._changed.clear()
            due = self._schedule.next_due()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if due is None else max(0.0, due - now)):
                    await self._changed.wait()


def _told(key: Key) -> dict[str, str]:
    return {"namespace": key.namespace, "stack": key.name}


def _plain(failure: Exception) -> str:
    return f"{type(failure).__name__}: {failure}"
