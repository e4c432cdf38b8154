"""One kind, watched for ever: listed in pages, then followed; what vanished between two lists is told as gone."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import msgspec
from service_kit.logs import get_logger

from streaming_operator.api_errors import ApiRefusal, ApiUnreachable
from streaming_operator.api_server import ApiServer, WatchEvent, refusal_of
from streaming_operator.kinds import Kind
from streaming_operator.seen import Metadata

FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 30.0
_SHORTEST, _LONGEST = 240, 480
# Refusals after which a namespace counts as closed to us; rights that were granted a moment ago are seen by then.
_BELIEVED = 3

log = get_logger(__name__)


class Sighting(Protocol):
    """What is kept of an object, whatever else that is."""

    @property
    def uid(self) -> str:
        """Of the object."""

    @property
    def version(self) -> str:
        """Its resourceVersion."""


Kept = TypeVar("Kept", bound=Sighting)
Told = TypeVar("Told", bound=Sighting, contravariant=True)


class Sink(Protocol[Told]):
    """Who is told."""

    def sighted(self, kind: Kind, metadata: Metadata, sighting: Told) -> None:
        """An object is there, as listed or changed."""

    def gone(self, kind: Kind, metadata: Metadata, uid: str) -> None:
        """An object was deleted."""

    def listed(self, kind: Kind, namespace: str | None, uids: set[str]) -> None:
        """A list is complete; whatever is known and not among `uids` is gone."""


@dataclass
class Watch(Generic[Kept]):
    """One kind in one namespace, or in all where it is None.

    `read` says what is kept of an object, and may raise msgspec.DecodeError. `listing` lets few list at once: a page of
    whole objects is some megabytes, and memory once taken is kept.
    """

    api: ApiServer
    kind: Kind
    namespace: str | None
    selector: str | None
    sink: Sink[Kept]
    synced: asyncio.Event
    listing: asyncio.Semaphore
    read: Callable[[Kind, bytes | msgspec.Raw], tuple[Metadata, Kept]]

    async def run(self) -> None:
        """Until cancelled. Nothing that the API server does ends it."""
        delay = FIRST_RETRY_SECONDS
        forbidden = 0
        version = ""
        while True:
            try:
                if not version:
                    async with self.listing:
                        version = await self._list()
                    self.synced.set()
                async for event in self._events(version):
                    version = self._take(event) or version
                    delay = FIRST_RETRY_SECONDS
            except ApiRefusal as refusal:
                version = ""
                if refusal.code != 410 and refusal.reason != "Expired":
                    self._tell(refusal)
                forbidden += refusal.code == 403
                if self.namespace and forbidden >= _BELIEVED:
                    # A namespace that was deleted took our rights in it along: the others must not wait for it.
                    self.synced.set()
            except (ApiUnreachable, msgspec.DecodeError) as failure:
                self._tell(failure)
            else:
                await asyncio.sleep(0.1)  # the server ended the watch in peace: go on from the same version
                continue
            await asyncio.sleep(delay * random.uniform(0.8, 1.2))  # noqa: S311 - spreads load, no secret
            delay = min(LONGEST_RETRY_SECONDS, delay * 2)

    @property
    def _metadata_only(self) -> bool:
        return self.kind.watched == "metadata"

    async def _list(self) -> str:
        uids: set[str] = set()
        version = ""
        async for page in self.api.pages(self.kind, self.namespace, self.selector, metadata_only=self._metadata_only):
            version = page.metadata.resource_version
            for item in page.items or ():
                metadata, sighting = self.read(self.kind, item)
                uids.add(sighting.uid)
                self.sink.sighted(self.kind, metadata, sighting)
            await asyncio.sleep(0)  # thousands of objects must not hold up the probes
        self.sink.listed(self.kind, self.namespace, uids)
        return version

    def _events(self, version: str) -> AsyncIterator[WatchEvent]:
        seconds = random.randint(_SHORTEST, _LONGEST)  # noqa: S311 - spreads load, no secret
        return self.api.watch(
            self.kind, self.namespace, self.selector, version, seconds=seconds, metadata_only=self._metadata_only
        )

    def _take(self, event: WatchEvent) -> str:
        """Tell the sink; returns the version to go on from."""
        if event.type == "ERROR":
            raise refusal_of(event.object)
        if event.type == "BOOKMARK":
            return _bookmark.decode(event.object).metadata.resource_version
        metadata, sighting = self.read(self.kind, event.object)
        if event.type == "DELETED":
            self.sink.gone(self.kind, metadata, sighting.uid)
        else:
            self.sink.sighted(self.kind, metadata, sighting)
        return sighting.version

    def _tell(self, failure: Exception) -> None:
        log.warning("a watch failed", kind=self.kind.name, namespace=self.namespace or "", problem=str(failure))


class _BookmarkMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""


class _Bookmark(msgspec.Struct):
    metadata: _BookmarkMeta


_bookmark = msgspec.json.Decoder(_Bookmark)
