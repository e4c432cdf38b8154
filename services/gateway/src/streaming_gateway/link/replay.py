"""Catching up after a loss: how long it took, and a place among the few sessions of a route that do so at once."""

import asyncio
import contextlib
import time
from collections.abc import Iterator

from streaming_gateway.link.ledger import FRAME, Ledger

# Nobody's session waits longer for others: recognisers bound their replays themselves.
_LONGEST_WAIT = 4.0


class Replay:
    """From a loss until another recogniser has caught up with the lost one, over as many streams as that takes.

    A place is held from before a recogniser is asked until the replay is through or lost again.
    """

    def __init__(self, places: asyncio.Semaphore, *, lost_at: float, processed: int, deadline: float) -> None:
        """`lost_at`: the lost stream's last message; `deadline`: when no recogniser is looked for any more, both on
        the monotonic clock. `processed`: how far the lost stream was."""
        self.deadline = deadline
        self._places = places
        self._lost_at, self._processed = lost_at, processed
        self._holding = False

    async def take_place(self) -> None:
        """Wait for a place among those that replay, for a few seconds at most; not where nothing is to be replayed."""
        if self._holding or not self._processed:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST_WAIT):
                await self._places.acquire()
                self._holding = True

    @contextlib.contextmanager
    def place_kept_for_a_while(self) -> Iterator[None]:
        """While a recogniser is looked for; who finds none for longer than others wait keeps nobody waiting."""
        timer = asyncio.get_running_loop().call_later(_LONGEST_WAIT, self.give_place)
        try:
            yield
        finally:
            timer.cancel()

    def give_place(self) -> None:
        """Give the place to another session; idempotent."""
        if self._holding:
            self._holding = False
            self._places.release()

    def caught_up(self, ledger: Ledger) -> float | None:
        """The gap in seconds, once the new stream is where the lost one was, and the place is given; None before."""
        if not self._is_through(ledger):
            return None
        self.give_place()
        return time.monotonic() - self._lost_at

    def _is_through(self, ledger: Ledger) -> bool:
        slack = FRAME if self._processed else 0
        return ledger.stream_processed >= self._processed - slack
