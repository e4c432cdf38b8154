"""A client's connection that ends when the client reads nothing, whatever else it does."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.server import Server, ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.server import ServerProtocol

from streaming_gateway.problems import reads_too_slowly

# What the library lets wait before `send` waits too.
WRITE_LIMIT = 32 * 1024


@dataclass(frozen=True)
class Patience:
    """With one client: bytes that may lie unread beyond WRITE_LIMIT; how often a ping is sent, and how long its answer
    may take, in seconds."""

    unread_bytes: int
    ping_seconds: float
    pong_seconds: float


class ClientConnection(ServerConnection):
    """`send`, `recv` and iteration raise Problem 3005, slow_reader, once the client was cut off for leaving too much
    unread.

    The library answers each ping at once, however much is unread, and sends no ping of its own while a write waits. So
    a client that reads nothing could fill the memory with answers, or keep its place for ever.
    """

    def __init__(self, protocol: ServerProtocol, server: Server, *, patience: Patience, **options: Any) -> None:
        """`options` are the library's."""
        super().__init__(protocol, server, **options)
        self._patience = patience
        self._unread = False
        self._due: asyncio.TimerHandle | None = None

    async def send(self, *args: Any, **options: Any) -> None:
        """See ServerConnection.send."""
        with self._told():
            await super().send(*args, **options)

    async def recv(self, *args: Any, **options: Any) -> Any:
        """See ServerConnection.recv."""
        with self._told():
            return await super().recv(*args, **options)

    async def __aiter__(self) -> AsyncIterator[Any]:
        """See ServerConnection."""
        with self._told():
            async for message in super().__aiter__():
                yield message

    def data_received(self, data: bytes) -> None:
        """Called with what the client sent; the answers to its pings are written by now."""
        super().data_received(data)
        if self.transport.get_write_buffer_size() > WRITE_LIMIT + self._patience.unread_bytes:
            self._cut_off()

    def pause_writing(self) -> None:
        """Called when the client leaves more than WRITE_LIMIT unread."""
        super().pause_writing()
        seconds = self._patience.ping_seconds + self._patience.pong_seconds
        self._due = self.loop.call_later(seconds, self._cut_off)

    def resume_writing(self) -> None:
        """Called when the client has read most of it."""
        self._stop_waiting()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called at the end."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _stop_waiting(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _cut_off(self) -> None:
        self._unread = True
        self.transport.abort()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except ConnectionClosed:
            if self._unread:
                raise reads_too_slowly() from None
            raise


def connections(patience: Patience) -> Callable[..., ClientConnection]:
    """What makes the connections of a server."""

    def make(protocol: ServerProtocol, server: Server, **options: Any) -> ClientConnection:
        return ClientConnection(protocol, server, patience=patience, **options)

    return make
