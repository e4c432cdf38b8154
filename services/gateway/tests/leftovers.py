"""What sessions may leave behind: nothing."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from streamingstack_bench.wire_client import wire_client


@contextlib.asynccontextmanager
async def leaving_nothing(stack: Any, **query: Any) -> AsyncIterator[None]:
    """At its end sessions, slots, tasks and file descriptors are as after one whole session, which opens the ways.

    `query`: what that one asks for, see `wire_client`.
    """
    async with wire_client(stack.url, **query) as client:
        await client.audio(900)
        assert await client.terminate() == (1000, "Session Ended")
    await stack.is_empty()
    gc.collect()
    tasks, files = len(asyncio.all_tasks()), open_files()
    yield
    await stack.is_empty()
    async with asyncio.timeout(20):
        while len(asyncio.all_tasks()) > tasks or open_files() > files:
            gc.collect()
            await asyncio.sleep(0.1)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
