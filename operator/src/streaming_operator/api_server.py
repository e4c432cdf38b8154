"""The API server over HTTP: paths, server-side apply, pages, watches, and its refusals as exceptions.

lightkube gives configuration, credentials and TLS; requests are our own because children are read as metadata only or
as a few words of their status, which no typed client decodes.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import msgspec
from lightkube.config.client_adapter import ConnectionParams
from lightkube.config.kubeconfig import KubeConfig
from lightkube.core.exceptions import ConfigError

from streaming_operator import names
from streaming_operator.api_errors import ApiRefusal, ApiUnreachable, Cause
from streaming_operator.kinds import Kind

REQUEST_SECONDS = 30.0
CONNECT_SECONDS = 10.0
# A kind of which nothing ever happens gets no bookmarks either, so silence is no trouble; but it may also be a dead
# connection, so a watch does not wait longer.
SILENCE_SECONDS = 150.0
PAGE = 500
_APPLY = {"Content-Type": "application/apply-patch+yaml"}
_MERGE = {"Content-Type": "application/merge-patch+json"}
_METADATA = "application/json;as=PartialObjectMetadata{list};g=meta.k8s.io;v=v1"


class _Details(msgspec.Struct):
    causes: list[Cause] | None = None


class _Status(msgspec.Struct):
    code: int = 0
    reason: str = ""
    message: str = ""
    details: _Details | None = None


class _ListMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class Page(msgspec.Struct):
    """Some objects of a list, undecoded."""

    metadata: _ListMeta
    # An empty list of metadata is written as null.
    items: list[msgspec.Raw] | None = None


class WatchEvent(msgspec.Struct):
    """ADDED, MODIFIED, DELETED, BOOKMARK or ERROR."""

    type: str
    object: msgspec.Raw


# Told of every request: verb, kind, HTTP status (0: no answer).
Count = Callable[[str, str, int], None]


def connect(kubeconfig: str | None = None) -> httpx2.AsyncClient:
    """A client with the pod's service account, else with KUBECONFIG; `kubeconfig` names a file instead.

    Raises lightkube's ConfigError where there is neither.
    """
    config = (KubeConfig.from_file(kubeconfig) if kubeconfig else KubeConfig.from_env()).get()
    if config is None:
        raise ConfigError("the kubeconfig has no current context")
    timeout = httpx2.Timeout(REQUEST_SECONDS, connect=CONNECT_SECONDS)
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=20)
    return httpx2.AsyncClient(**ConnectionParams(timeout=timeout, trust_env=False).httpx_params(config), limits=limits)


class ApiServer:
    """Requests to one API server. Every method raises ApiRefusal and ApiUnreachable."""

    def __init__(self, http: httpx2.AsyncClient, count: Count = lambda *_: None) -> None:
        self._http = http
        self._count = count

    async def get(self, kind: Kind, namespace: str | None, name: str, *, metadata_only: bool = False) -> bytes | None:
        """One object's JSON; None where there is none."""
        headers = {"Accept": _METADATA.format(list="")} if metadata_only else None
        try:
            return await self._request("GET", kind, kind.path(namespace, name), headers=headers)
        except ApiRefusal as refusal:
            if refusal.code == 404:
                return None
            raise

    async def get_path(self, path: str, accept: str = "application/json") -> bytes:
        """Any document, as those of discovery."""
        return await self._request("GET", None, path, headers={"Accept": accept})

    async def apply(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        body: bytes,
        *,
        manager: str = names.FIELD_MANAGER,
        subresource: str | None = None,
        dry_run: bool = False,
        force: bool = True,
    ) -> bytes:
        """Server-side apply; returns the object as it is now. Without force a field of another's is Conflict (409)."""
        params = {"force": "true" if force else "false", "fieldManager": manager}
        if dry_run:
            params["dryRun"] = "All"
        path = kind.path(namespace, name, subresource)
        return await self._request("PATCH", kind, path, params=params, headers=_APPLY, content=body)

    async def merge(self, kind: Kind, namespace: str, name: str, body: bytes, *, manager: str) -> bytes:
        """Merge a few fields into an object that is there (404 where it is not); returns the object as it is now."""
        params = {"fieldManager": manager}
        path = kind.path(namespace, name)
        return await self._request("PATCH", kind, path, params=params, headers=_MERGE, content=body)

    async def create(self, kind: Kind, namespace: str, body: bytes) -> bytes:
        """Make a new object; raises ApiRefusal AlreadyExists (409)."""
        params = {"fieldManager": names.FIELD_MANAGER}
        headers = {"Content-Type": "application/json"}
        return await self._request("POST", kind, kind.path(namespace), params=params, headers=headers, content=body)

    async def delete(
        self, kind: Kind, namespace: str, name: str, *, uid: str, grace_seconds: int | None = None
    ) -> None:
        """Delete the object with that uid, in the background; one that is gone already is no error."""
        options: dict[str, Any] = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        headers = {"Content-Type": "application/json"}
        content = msgspec.json.encode(options)
        try:
            await self._request("DELETE", kind, kind.path(namespace, name), headers=headers, content=content)
        except ApiRefusal as refusal:
            if refusal.code not in (404, 409):
                raise

    async def pages(
        self, kind: Kind, namespace: str | None, selector: str | None, *, metadata_only: bool
    ) -> AsyncIterator[Page]:
        """All objects, some hundred at a time."""
        headers = {"Accept": _METADATA.format(list="List")} if metadata_only else None
        params = {"limit": str(PAGE), **({"labelSelector": selector} if selector else {})}
        while True:
            body = await self._request("GET", kind, kind.path(namespace), params=params, headers=headers, verb="LIST")
            page = _page.decode(body)
            yield page
            if not page.metadata.continue_:
                return
            params["continue"] = page.metadata.continue_

    async def watch(
        self, kind: Kind, namespace: str | None, selector: str | None, since: str, *, seconds: int, metadata_only: bool
    ) -> AsyncIterator[WatchEvent]:
        """Events after the version `since`, until the server ends the watch after `seconds`, or falls silent."""
        params = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": since,
            "timeoutSeconds": str(seconds),
            **({"labelSelector": selector} if selector else {}),
        }
        headers = {"Accept": _METADATA.format(list="")} if metadata_only else None
        timeout = httpx2.Timeout(REQUEST_SECONDS, connect=CONNECT_SECONDS, read=SILENCE_SECONDS)
        request = self._http.build_request("GET", kind.path(namespace), params=params, headers=headers, timeout=timeout)
        async with self._answers("WATCH", kind):
            response = await self._http.send(request, stream=True)
            try:
                if response.status_code >= 400:
                    raise _refusal(response.status_code, await response.aread())
                self._count("WATCH", kind.name, response.status_code)
                async for line in _lines(response.aiter_bytes()):
                    yield _event.decode(line)
            except httpx2.ReadTimeout:
                return
            finally:
                await response.aclose()

    async def _request(
        self,
        method: str,
        kind: Kind | None,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        verb: str | None = None,
    ) -> bytes:
        async with self._answers(verb or method, kind):
            response = await self._http.request(
                method, path, params=dict(params or {}), headers=dict(headers or {}), content=content
            )
            if response.status_code >= 400:
                raise _refusal(response.status_code, response.content)
            self._count(verb or method, kind.name if kind else "", response.status_code)
            return response.content

    @asynccontextmanager
    async def _answers(self, verb: str, kind: Kind | None) -> AsyncIterator[None]:
        """Turns the client's exceptions into ours, and counts what failed."""
        name = kind.name if kind else ""
        try:
            yield
        except ApiRefusal as refusal:
            self._count(verb, name, refusal.code)
            raise
        except (httpx2.TransportError, httpx2.StreamError) as failure:
            self._count(verb, name, 0)
            raise ApiUnreachable(f"{verb} {name}: {type(failure).__name__}") from failure


_page = msgspec.json.Decoder(Page)
_event = msgspec.json.Decoder(WatchEvent)
_status = msgspec.json.Decoder(_Status)


def refusal_of(status: bytes | msgspec.Raw) -> ApiRefusal:
    """The refusal in a Status object, as a watch's ERROR event carries it."""
    return _refusal(0, bytes(status))


def _refusal(code: int, body: bytes) -> ApiRefusal:
    try:
        status = _status.decode(body)
    except msgspec.DecodeError:  # not from the API server's own handlers, as for a path that nobody serves
        return ApiRefusal(code, "", body[:200].decode("utf-8", "replace").strip())
    causes = tuple(status.details.causes or ()) if status.details else ()
    return ApiRefusal(status.code or code, status.reason, status.message, causes)


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line:
                yield line
