"""Messages on their way to one client: bounded, so that a client that does not read harms only itself."""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable

from streaming_gateway.problems import reads_too_slowly
from streaming_gateway.wire import WireMessage


class Outbox:
    """A queue of text frames of at most `limit_bytes` in all."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._frames: deque[str] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()
        self._flushed = asyncio.Event()
        self._flushed.set()
        self._over = False

    def put(self, message: WireMessage) -> None:
        """Queue `message`; raises Problem 3005 when the client has left too much unread."""
        frame = json.dumps(message, separators=(",", ":"), ensure_ascii=False)
        if self._bytes + len(frame) > self._limit:
            raise reads_too_slowly()
        self._frames.append(frame)
        self._bytes += len(frame)
        if not self._over:
            self._flushed.clear()
        self._changed.set()

    async def deliver(self, send: Callable[[str], Awaitable[None]]) -> None:
        """Send what is queued, for ever, once; ends with the exception of `send`."""
        try:
            while True:
                await self._changed.wait()
                self._changed.clear()
                while self._frames:
                    frame = self._frames[0]
                    await send(frame)
                    self._frames.popleft()
                    self._bytes -= len(frame)
                self._flushed.set()
        finally:
            self._over = True
            self._flushed.set()

    async def flushed(self) -> None:
        """Wait until everything queued was sent, or never will be, as `deliver` has ended."""
        await self._flushed.wait()
