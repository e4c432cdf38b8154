"""Liveness, readiness and metrics over HTTP."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from streaming_operator.metrics import OperatorMetrics
from streaming_operator.queue import KeyQueue

OLDEST_KEY_SECONDS = 300.0


@dataclass(frozen=True)
class Probes:
    """What probes look at. `workers_alive` and `synced` are asked each time."""

    queue: KeyQueue
    metrics: OperatorMetrics
    workers_alive: Callable[[], bool]
    synced: Callable[[], bool]
    refresh: Callable[[], None]

    def unhealthy(self) -> str | None:
        """Why the operator should be restarted; None where it is well."""
        if not self.workers_alive():
            return "a worker has ended"
        return self.queue.stalled(OLDEST_KEY_SECONDS)

    async def healthz(self, _: web.Request) -> web.Response:
        """200, or 503 with the reason."""
        problem = self.unhealthy()
        return web.Response(text=problem or "ok", status=503 if problem else 200)

    async def readyz(self, _: web.Request) -> web.Response:
        """200 once everything that is watched has been listed."""
        ready = self.synced()
        return web.Response(text="ok" if ready else "listing", status=200 if ready else 503)

    async def expose(self, _: web.Request) -> web.Response:
        """Prometheus' text format."""
        self.refresh()
        self.metrics.queue_depth.set(self.queue.depth())
        self.metrics.oldest_key.set(self.queue.oldest_age())
        return web.Response(body=generate_latest(self.metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


@asynccontextmanager
async def serve_probes(probes: Probes, port: int, host: str = "0.0.0.0") -> AsyncIterator[int]:
    """Serve while the context is open; yields the port. Raises OSError where it is taken."""
    app = web.Application()
    app.add_routes(
        [
            web.get("/healthz", probes.healthz),
            web.get("/readyz", probes.readyz),
            web.get("/metrics", probes.expose),
        ]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
