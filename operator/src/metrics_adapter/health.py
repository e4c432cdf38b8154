"""Liveness, readiness and metrics over HTTP: the kubelet has no client certificate."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest


@asynccontextmanager
async def serve_health(
    registry: CollectorRegistry, waiting_for: Callable[[], str | None], port: int, host: str = "0.0.0.0"
) -> AsyncIterator[int]:
    """Serve while the context is open; yields the port. Ready when there is nothing to wait for.

    Alive is whoever answers: a part that ends takes the process with it. Raises OSError where the port is taken.
    """

    async def alive(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def ready(_: web.Request) -> web.Response:
        problem = waiting_for()
        return web.Response(text=problem or "ok", status=503 if problem else 200)

    async def expose(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes(
        [
            web.get("/healthz", alive),
            web.get("/livez", alive),
            web.get("/readyz", ready),
            web.get("/metrics", expose),
        ]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
