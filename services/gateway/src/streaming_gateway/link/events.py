"""Events on their way to the session: in order, ended once."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from streamingstack.asr.v1 import recognizer_pb2 as pb


class EventQueue:
    """Never blocks the reader of the stream. A Progress that nobody has taken yet is replaced by the next one."""

    def __init__(self) -> None:
        self._events: deque[pb.RecognizeResponse] = deque()
        self._news = asyncio.Event()
        self._error: Exception | None = None
        self._ended = False

    def put(self, event: pb.RecognizeResponse) -> None:
        """Add an event; ignored after the end."""
        if self._ended:
            return
        if self._events and event.HasField("progress") and self._events[-1].HasField("progress"):
            self._events[-1] = event
        else:
            self._events.append(event)
        self._news.set()

    def end(self, error: Exception | None = None) -> None:
        """No more events; what was put before is still handed out, then `error` is raised."""
        if not self._ended:
            self._ended, self._error = True, error
            self._news.set()

    async def __aiter__(self) -> AsyncIterator[pb.RecognizeResponse]:
        while True:
            while self._events:
                yield self._events.popleft()
            if self._ended:
                if self._error is not None:
                    raise self._error
                return
            self._news.clear()
            await self._news.wait()
