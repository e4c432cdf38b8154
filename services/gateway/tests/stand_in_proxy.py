"""A licence proxy that says what a test wants, and what tests ask of a gateway before it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from service_kit.http import serve_http
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from streamingstack_bench.wire_client import wire_client


@dataclass
class Proxy:
    """A licence proxy that says what a test wants; `usage` keeps the winning event of each session."""

    state: str = "Ready"
    trust_expiration: str | None = None
    session_limit: int | None = None
    models: Any = "*"
    away: bool = False
    most_named: int = 10
    puzzled: bool = False
    usage: dict[str, dict[str, Any]] = field(default_factory=dict)
    url: str = ""

    async def status(self, _: Request) -> Response:
        body = {"state": self.state, "last_successful_checkin": None, "trust_expiration": self.trust_expiration}
        return self._unless_away(body)

    async def terms(self, _: Request) -> Response:
        return self._unless_away({"customer": "c", "models": self.models, "session_limit": self.session_limit})

    async def take(self, request: Request) -> Response:
        events = (await request.json())["events"]
        wrong = [f"events[{index}].model" for index, event in enumerate(events) if " " in event["model"]]
        if self.puzzled:
            return JSONResponse({"detail": "events[0] is not to my taste"}, status_code=422)
        if wrong and not self.away:  # the whole batch, as the licence proxy does
            fields = [{"field": field, "problem": "no spaces"} for field in wrong[: self.most_named]]
            return JSONResponse({"error": "; ".join(wrong), "fields": fields}, status_code=422)
        if not self.away:
            for event in events:
                known = self.usage.get(event["session_id"], {"sequence": -1})
                if event["sequence"] > known["sequence"]:
                    self.usage[event["session_id"]] = event
        return self._unless_away({"accepted": len(events)})

    def _unless_away(self, body: dict[str, Any]) -> Response:
        return Response(status_code=503) if self.away else JSONResponse(body)


@contextlib.asynccontextmanager
async def stand_in_proxy() -> AsyncIterator[Proxy]:
    """Serves while the context is open."""
    made = Proxy()
    routes = [
        Route("/v1/status", made.status),
        Route("/v1/license", made.terms),
        Route("/v1/usage", made.take, methods=["POST"]),
    ]
    async with serve_http(Starlette(routes=routes), "127.0.0.1", 0) as port:
        made.url = f"http://127.0.0.1:{port}"
        yield made


async def ready(running: Any) -> None:
    """Waits until the gateway has a verdict."""
    async with asyncio.timeout(10):
        while not running.running.gateway.ready:
            await asyncio.sleep(0.02)


async def outcome(url: str) -> tuple[str, str]:
    """The first message's type and its error text."""
    async with wire_client(url) as client:
        first = await client.next() or {}
        return first["type"], first.get("error", "")
