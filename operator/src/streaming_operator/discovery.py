"""What this cluster offers: optional APIs, its version, StorageClasses. Asked at most once a minute."""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from streaming_operator.api_errors import ApiRefusal
from streaming_operator.api_server import ApiServer
from streaming_operator.kinds import NODE, OPTIONAL, STACK, STORAGE_CLASS

FRESH_SECONDS = 60.0
_OPENSHIFT = "security.openshift.io/v1/SecurityContextConstraints"
_OPTIONAL_IDS = frozenset({*(kind.id for kind in OPTIONAL), _OPENSHIFT})
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
# As NVIDIA's GPU feature discovery labels nodes.
_GPU_MEMORY = "nvidia.com/gpu.memory"
_IMAGE_VOLUMES_SINCE = (1, 35)


@dataclass(frozen=True)
class Offer:
    """What the cluster has. `apis` are "group/version/Kind", of the optional ones only."""

    apis: frozenset[str]
    # By name, and whether it is the default one; None where the operator may not look.
    storage_classes: Mapping[str, bool] | None
    image_volumes: bool
    # Labels of the nodes whose NVIDIA cards tell their memory; None where none does, or nodes may not be listed.
    gpu_nodes: tuple[Mapping[str, str], ...] | None


class _Resource(msgspec.Struct):
    name: str
    kind: str


class _Resources(msgspec.Struct):
    resources: list[_Resource] = msgspec.field(default_factory=list)


class _Version(msgspec.Struct):
    major: str = "0"
    minor: str = "0"


class _Metadata(msgspec.Struct):
    name: str
    annotations: dict[str, str] | None = None


class _Labels(msgspec.Struct):
    labels: dict[str, str] | None = None


class _Labelled(msgspec.Struct):
    metadata: _Labels


class _Class(msgspec.Struct):
    metadata: _Metadata


class Discovery:
    """Keeps the last answer; `clock` is monotonic."""

    def __init__(self, api: ApiServer, clock: Callable[[], float]) -> None:
        self._api = api
        self._clock = clock
        self._lock = asyncio.Lock()
        self._offer: Offer | None = None
        self._asked = 0.0

    async def offer(self) -> Offer:
        """What the cluster offers, not older than a minute. Raises ApiRefusal, ApiUnreachable."""
        async with self._lock:
            if self._offer is None or self._clock() - self._asked > FRESH_SECONDS:
                self._offer = await self._ask()
                self._asked = self._clock()
            return self._offer

    async def stacks_are_served(self) -> bool:
        """Whether the custom resource definition of StreamingStacks is there."""
        return STACK.id in await self._kinds(STACK.group, STACK.version)

    async def _ask(self) -> Offer:
        apis: set[str] = set()
        for group, version in sorted({(i.split("/")[0], i.split("/")[1]) for i in _OPTIONAL_IDS}):
            apis |= await self._kinds(group, version)
        return Offer(
            apis=frozenset(apis & _OPTIONAL_IDS),
            storage_classes=await self._storage_classes(),
            image_volumes=await self._version() >= _IMAGE_VOLUMES_SINCE,
            gpu_nodes=await self._gpu_nodes(),
        )

    async def _kinds(self, group: str, version: str) -> set[str]:
        try:
            body = await self._api.get_path(f"/apis/{group}/{version}")
        except ApiRefusal as refusal:
            if refusal.code in (403, 404):
                return set()
            raise
        found = msgspec.json.decode(body, type=_Resources).resources
        return {f"{group}/{version}/{resource.kind}" for resource in found if "/" not in resource.name}

    async def _storage_classes(self) -> Mapping[str, bool] | None:
        found: dict[str, bool] = {}
        try:
            async for page in self._api.pages(STORAGE_CLASS, None, None, metadata_only=True):
                for item in page.items or ():
                    metadata = msgspec.json.decode(item, type=_Class).metadata
                    found[metadata.name] = (metadata.annotations or {}).get(_DEFAULT_CLASS) == "true"
        except ApiRefusal as refusal:
            if refusal.code in (403, 404):
                return None
            raise
        return found

    async def _gpu_nodes(self) -> tuple[Mapping[str, str], ...] | None:
        found: list[Mapping[str, str]] = []
        try:
            async for page in self._api.pages(NODE, None, _GPU_MEMORY, metadata_only=True):
                found += [msgspec.json.decode(item, type=_Labelled).metadata.labels or {} for item in page.items or ()]
        except ApiRefusal as refusal:
            if refusal.code == 403:
                return None
            raise
        return tuple(found) or None

    async def _version(self) -> tuple[int, int]:
        told = msgspec.json.decode(await self._api.get_path("/version"), type=_Version)
        return _number(told.major), _number(told.minor)


def _number(text: str) -> int:
    """Some providers write `34+`."""
    found = re.match(r"\d+", text)
    return int(found.group()) if found else 0
