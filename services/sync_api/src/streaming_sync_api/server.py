"""The routes: recordings, and what probes ask."""

import asyncio
import contextlib
from typing import Any

from service_kit.faults import place_of
from service_kit.logs import get_logger
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from streaming_sync_api.metrics import SyncMetrics
from streaming_sync_api.problems import SyncProblem, bad_request, inference_error
from streaming_sync_api.service import SyncApi, Upload

TRANSCRIBE_PATHS = ("/transcribe", "/v1/transcribe", "/v1/transcribe/live", "/v1/transcribe/stream")
_LOOK_SECONDS = 0.25
_SWALLOW_SECONDS = 5.0
_NOBODY = 499  # who asked is gone; nobody reads the answer

# Answered where no request can be read, and so none is seen here.
NO_HTTP = bytes(JSONResponse(bad_request("the request is not HTTP/1.1; send it with an HTTP client").body()).body)

_log = get_logger(__name__)


def sync_app(api: SyncApi, metrics: SyncMetrics) -> Starlette:
    """The application over `api`."""
    routes = _Routes(api, metrics)
    return Starlette(
        routes=[
            *(Route(path, routes.transcribe, methods=["POST"]) for path in TRANSCRIBE_PATHS),
            Route("/readyz", routes.readyz),
            Route("/healthz", routes.healthz),
            Route("/v1/warm", routes.healthz),
        ],
        exception_handlers={HTTPException: _not_here},
    )


class _Routes:
    def __init__(self, api: SyncApi, metrics: SyncMetrics) -> None:
        self._api, self._metrics = api, metrics

    async def transcribe(self, request: Request) -> Response:
        """A recording in, its words out."""
        answer, code = await self._answered(request)
        self._metrics.answers.labels(str(answer.status_code), code).inc()
        return answer

    async def readyz(self, _: Request) -> Response:
        """503 during cold start and while the pod leaves."""
        ready = self._api.ready
        return JSONResponse({"ready": ready}, 200 if ready else 503)

    async def healthz(self, _: Request) -> Response:
        """The process lives; a client's connection is warm."""
        return JSONResponse({"status": "ok"})

    async def _answered(self, request: Request) -> tuple[Response, str]:
        received = asyncio.Event()
        try:
            return JSONResponse(await self._while_asked(request, received)), "ok"
        except SyncProblem as problem:
            return _refusal(problem, rest_unread=not received.is_set()), problem.code
        except ClientDisconnect:
            return Response(status_code=_NOBODY), "client_gone"
        except Exception as failure:  # noqa: BLE001 - its text may quote what was said; its type and place do not
            _log.error("request failed", kind=type(failure).__name__, place=place_of(failure))
            return _refusal(inference_error(), rest_unread=not received.is_set()), "inference_error"

    async def _while_asked(self, request: Request, received: asyncio.Event) -> dict[str, Any]:
        """The answer, unless the client leaves: then its place is free at once. Raises ClientDisconnect."""
        work = asyncio.create_task(self._api.transcribe(_upload(request, received)))
        watch = asyncio.create_task(_until_gone(request, received))
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            raise ClientDisconnect
        finally:
            for task in (work, watch):
                task.cancel()
            await asyncio.gather(work, watch, return_exceptions=True)


def _upload(request: Request, received: asyncio.Event) -> Upload:
    async def chunks() -> Any:
        async for chunk in request.stream():
            if chunk:
                yield chunk
        received.set()

    length = request.headers.get("content-length", "")
    return Upload(
        authorization=_credential(request),
        content_type=request.headers.get("content-type", ""),
        content_length=int(length) if length.isascii() and length.isdigit() else None,
        chunks=chunks(),
    )


def _credential(request: Request) -> str | None:
    """The header's bytes as a key is compared; Starlette reads them as Latin-1."""
    given = request.headers.get("authorization")
    return None if given is None else given.encode("latin-1").decode("ascii", "surrogateescape")


async def _until_gone(request: Request, received: asyncio.Event) -> None:
    """Until the client has left; before the body's end its reader finds out."""
    await received.wait()
    while not await request.is_disconnected():  # noqa: ASYNC110 - Starlette offers no event
        await asyncio.sleep(_LOOK_SECONDS)


class _EarlyAnswer(JSONResponse):
    """An answer to a request whose body is not read to its end.

    Most clients read no answer before they have sent all they want to: for a few seconds the rest is thrown away, so
    that the end of the connection does not take the answer with it.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Say it at once, swallow, close."""
        headers = [*self.raw_headers, (b"connection", b"close")]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SWALLOW_SECONDS):
                while (await receive()).get("more_body", False):
                    pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _refusal(problem: SyncProblem, *, rest_unread: bool = False) -> Response:
    kind = _EarlyAnswer if rest_unread else JSONResponse
    return kind(problem.body(), problem.status, problem.headers())


async def _not_here(_: Request, refused: Exception) -> Response:
    """An unknown path or method, in the same form."""
    assert isinstance(refused, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(refused.status_code, "bad_request")
    return _refusal(SyncProblem(refused.status_code, code, f"POST a recording to {TRANSCRIBE_PATHS[0]}"))
