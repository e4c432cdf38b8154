"""Work that runs beside a service's clients, for as long as it serves."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from service_kit.logs import get_logger

_log = get_logger(__name__)
_AGAIN_SECONDS = 5.0


@contextlib.asynccontextmanager
async def in_background(*works: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Each of `works` runs while the context is open. One that fails is logged by its name and begun anew: clients
    must not notice what runs beside them."""
    tasks = [asyncio.create_task(_keep_up(work)) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _keep_up(work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await work()
            return
        except Exception as failure:  # noqa: BLE001
            _log.error("background work failed", work=work.__qualname__, kind=type(failure).__name__)
            await asyncio.sleep(_AGAIN_SECONDS)
