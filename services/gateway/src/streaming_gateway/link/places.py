"""Places by route, so that a pool in trouble holds up no other."""

import asyncio
from collections import defaultdict


class Places:
    """`each` for every route of one gateway."""

    def __init__(self, each: int) -> None:
        self._routes: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(each))

    def of(self, route: str) -> asyncio.Semaphore:
        """The places of `route`."""
        return self._routes[route]
