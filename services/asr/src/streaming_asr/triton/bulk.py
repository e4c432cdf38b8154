"""Decodes of whole recordings beside those of live sessions: one at a time, and none begins while live ones queue."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

# A decode that runs cannot be stopped: more of them at once could keep every worker from a live session.
MOST_AT_ONCE = 1


class BulkPlace:
    """Who wants to decode in bulk waits here; `live` says how many live decodes wait or run."""

    def __init__(self, deep: int) -> None:
        """With `deep` live decodes and more, bulk waits."""
        self._deep = deep
        self._free = asyncio.Semaphore(MOST_AT_ONCE)
        self._calm = asyncio.Event()
        self._calm.set()

    def live(self, decodes: int) -> None:
        """So many live decodes wait or run now."""
        if decodes >= self._deep:
            self._calm.clear()
        else:
            self._calm.set()

    @contextlib.asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """The place, when it is free and the live decodes are few."""
        async with self._free:
            while not self._calm.is_set():  # it may be busy again by the time that who waits is woken
                await self._calm.wait()
            yield
