"""A small HTTP server inside a service's own event loop: metrics, health, or a whole Starlette application."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import h11
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

# For the head of a request, from the connection or its first byte on.
HEAD_SECONDS = 10.0
# For some more of an answer to be taken, once it lies there unread.
READING_SECONDS = 30.0
# An idle connection is asked whether it lives: who is gone, without a word, is known to be so within a minute.
_KEEPALIVE = {"TCP_KEEPIDLE": 20, "TCP_KEEPALIVE": 20, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 4}


class _Server(uvicorn.Server):
    """Leaves the signals to the service."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield


class _Punctual(H11Protocol):
    """Hangs up on clients that do not end the head of a request, or leave an answer lying: the library waits for them
    for ever. What is no HTTP is answered in the service's own form."""

    head_seconds = HEAD_SECONDS
    reading_seconds = READING_SECONDS
    no_http = b""
    _due: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._heed_time()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._heed_time()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._stop_looking()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._look_later()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_looking()
        if not self._in_request:
            self._look_later()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._look_later()

    def send_400_response(self, msg: str) -> None:
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.close()  # an answer is on its way, and two are none
            return
        body = self.no_http or msg.encode()
        kind = b"application/json" if self.no_http else b"text/plain; charset=utf-8"
        length = str(len(body)).encode()
        headers = [(b"content-type", kind), (b"content-length", length), (b"connection", b"close")]
        for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
        self._look_later()

    def _heed_time(self) -> None:
        if self._in_request:
            self._stop_waiting()
        elif self._due is None:  # what comes byte by byte gets no more time
            self._due = self.loop.call_later(self.head_seconds, self._hang_up)

    @property
    def _in_request(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _stop_waiting(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _hang_up(self) -> None:
        self._due = None
        if not self._in_request:
            self.transport.close()

    def _look_later(self) -> None:
        self._stop_looking()
        if unread := self.transport.get_write_buffer_size():
            self._unread = self.loop.call_later(self.reading_seconds, self._look, unread)

    def _look(self, before: int) -> None:
        """Nothing is written meanwhile, so whoever reads anything at all leaves less than before."""
        if self.transport.get_write_buffer_size() >= before:
            self.transport.abort()
        else:
            self._look_later()

    def _stop_looking(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None


def metrics_app(registry: CollectorRegistry, *more: Route) -> Starlette:
    """`GET /metrics` in Prometheus' text format, and what else the service answers at that port."""

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/metrics", metrics), *more])


@contextlib.asynccontextmanager
async def serve_http(
    app: ASGIApp,
    host: str,
    port: int,
    *,
    head_seconds: float = HEAD_SECONDS,
    reading_seconds: float = READING_SECONDS,
    no_http: bytes = b"",
) -> AsyncIterator[int]:
    """Serve `app` while the context is open; yields the port, which is a free one when `port` is 0.

    Hung up on is a client whose request has no whole head within `head_seconds`, one that takes nothing of an answer
    for `reading_seconds`, and one whose machine is gone. What is no HTTP is answered 400 with `no_http`, in JSON.
    Raises OSError naming the address when the port is taken.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _ask_whether_alive(listener)
        listener.bind((host, port))
    except OSError as failure:
        listener.close()
        raise OSError(failure.errno, f"{host}:{port}: {failure.strerror}") from None
    manners = {"head_seconds": head_seconds, "reading_seconds": reading_seconds, "no_http": no_http}
    punctual = type("_Punctual", (_Punctual,), manners)  # the library makes the connections
    # No WebSockets: a request that asks for one is answered like any other.
    config = uvicorn.Config(
        app, http=punctual, ws="none", log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=2
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn offers no event
            await asyncio.sleep(0.01)
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await task
        listener.close()


def _ask_whether_alive(listener: socket.socket) -> None:
    """Every connection that it accepts has these options from it. Systems have some of them under other names."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
