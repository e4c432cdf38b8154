"""The HTTP face of the model store: read-only, inside the namespace."""

import os
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from model_store.cache import Cache
from model_store.serving.keeper import Keeper
from model_store.serving.metrics import StoreMetrics


@dataclass
class Readiness:
    """Whether pods may come, and what is wrong with the list of models."""

    list_read: bool = False
    list_error: str | None = None
    draining: bool = False

    @property
    def ready(self) -> bool:
        """Ready means able to answer, not that every model is here: pods wait through the store."""
        return self.list_read and not self.draining


def create_app(keeper: Keeper, readiness: Readiness, metrics: StoreMetrics) -> Starlette:
    """The routes over `keeper`."""
    routes = _Routes(keeper, readiness, metrics)
    return Starlette(
        routes=[
            Route("/health", routes.health),
            Route("/readyz", routes.readyz),
            Route("/models", routes.models),
            Route("/models/{name}", routes.model),
            Route("/digests/{digest:str}", routes.manifest),
            Route("/digests/{digest:str}/{path:path}", routes.file),
        ]
    )


class _Routes:
    def __init__(self, keeper: Keeper, readiness: Readiness, metrics: StoreMetrics) -> None:
        self._keeper, self._readiness, self._metrics = keeper, readiness, metrics

    async def health(self, _: Request) -> Response:
        """The process lives; no state of any model is a reason to restart it."""
        return JSONResponse({"status": "ok"})

    async def readyz(self, _: Request) -> Response:
        """Whether pods may ask."""
        state = self._readiness
        return JSONResponse({"ready": state.ready, "listError": state.list_error}, 200 if state.ready else 503)

    async def models(self, _: Request) -> Response:
        """How far each model is."""
        shown = [state.shown() for state in self._keeper.states]
        return JSONResponse({"models": shown, "listError": self._readiness.list_error})

    async def model(self, request: Request) -> Response:
        """How far one model is."""
        state = self._keeper.state(request.path_params["name"])
        if state is None:
            return _missing("no such model in this store's list; it takes a minute until a changed list gets here")
        return JSONResponse(state.shown())

    async def manifest(self, request: Request) -> Response:
        """The files of a model: path, bytes, sha256."""
        digest = request.path_params["digest"]
        files = _files(self._keeper.cache, digest)
        if not files:
            return _missing("no such digest here")
        folder = self._keeper.cache.model(digest)
        shown = [{"path": path, "bytes": _size(folder / path), "sha256": sha256} for path, sha256 in files.items()]
        return JSONResponse({"digest": digest, "files": shown})

    async def file(self, request: Request) -> Response:
        """One file, or a range of it; its sha256 is its ETag, so that half a copy is never continued with another."""
        digest, path = request.path_params["digest"], request.path_params["path"]
        sha256 = _files(self._keeper.cache, digest).get(path)
        if sha256 is None:
            return _missing("no such file here")
        self._metrics.served.inc()
        return FileResponse(
            self._keeper.cache.model(digest) / path,
            media_type="application/octet-stream",
            headers={"ETag": f'"{sha256}"', "Cache-Control": "public, max-age=31536000, immutable"},
        )


def _files(cache: Cache, digest: str) -> dict[str, str]:
    """Only what a manifest names is ever opened, so no path leads out of a model."""
    known = len(digest) == 64 and all(letter in "0123456789abcdef" for letter in digest)
    return (cache.files(digest) or {}) if known else {}


def _size(path: Path) -> int:
    return os.stat(path).st_size


def _missing(why: str) -> Response:
    return JSONResponse({"error": why}, 404)
