"""A small HTTP server inside a service's own event loop: metrics, health, or a whole Starlette application."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

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
# An idle connection is asked whether it lives: who is gone, without a word, is known to be so within a minute.
_KEEPALIVE = {"TCP_KEEPIDLE": 20, "TCP_KEEPALIVE": 20, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 4}


class _Server(uvicorn.Server):
    """Leaves the signals to the service."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield


class _Punctual(H11Protocol):
    """Hangs up on clients that do not end the head of a request: the library waits for them for ever."""

    head_seconds = HEAD_SECONDS
    _due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._heed_time()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._heed_time()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

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


def metrics_app(registry: CollectorRegistry, *more: Route) -> Starlette:
    """`GET /metrics` in Prometheus' text format, and what else the service answers at that port."""

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/metrics", metrics), *more])


@contextlib.asynccontextmanager
async def serve_http(app: ASGIApp, host: str, port: int, *, head_seconds: float = HEAD_SECONDS) -> AsyncIterator[int]:
    """Serve `app` while the context is open; yields the port, which is a free one when `port` is 0.

    A client whose request has no whole head within `head_seconds` is hung up on, and one whose machine is gone, too.
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
    punctual = type("_Punctual", (_Punctual,), {"head_seconds": head_seconds})  # the library makes the connections
    config = uvicorn.Config(
        app, http=punctual, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=2
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
