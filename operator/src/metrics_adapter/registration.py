"""Registers the API with the API server while it is served, where nobody else serves it.

The APIService is made only by an adapter that is ready: one that leads nowhere would keep namespaces from ending, as
the namespace controller has to know every kind there is. For the same reason the operator takes it away when no adapter
answers any more, and the next adapter that is ready puts it back. It is owned by a ClusterRole of the chart, so it goes
with the release, by whatever tool that is taken away.
"""

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from service_kit.logs import get_logger
from streaming_operator import names
from streaming_operator.api_errors import ApiRefusal, ApiUnreachable
from streaming_operator.api_server import ApiServer
from streaming_operator.kinds import API_SERVICE, Kind
from streaming_operator.names import METRICS_ADAPTER, METRICS_API

from metrics_adapter.answers import GROUP, VERSION

EVERY_SECONDS = 10.0
_SOON_SECONDS = 0.5
CLUSTER_ROLE = Kind("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles")
# As every adapter of this group has them: below Kubernetes' own.
_PRIORITIES = {"groupPriorityMinimum": 100, "versionPriority": 100}

State = Literal["Registered", "Taken", "Unknown"]
log = get_logger(__name__)


class _Service(msgspec.Struct):
    namespace: str = ""
    name: str = ""
    port: int = 443


class _Spec(msgspec.Struct, rename="camel"):
    service: _Service | None = None
    ca_bundle: str = ""


class _Metadata(msgspec.Struct, rename="camel"):
    uid: str = ""
    resource_version: str = ""
    deletion_timestamp: str | None = None


class _Object(msgspec.Struct):
    metadata: _Metadata
    spec: _Spec = msgspec.field(default_factory=_Spec)


class OwnerMissingError(Exception):
    """Without the owner nothing would ever take the APIService away, so it is not made."""


@dataclass
class Registration:
    """`authorities` are the CAs to publish, None while there are none; `owner` names a ClusterRole, or is empty."""

    api: ApiServer
    namespace: str
    service: str
    owner: str
    port: int
    authorities: Callable[[], str | None]
    serving: Callable[[], bool]
    state: State = "Unknown"

    async def run(self) -> None:
        """Again and again, until cancelled."""
        while True:
            try:
                await self.look()
            except (ApiRefusal, ApiUnreachable, OwnerMissingError, msgspec.DecodeError) as failure:
                self._became("Unknown", str(failure))
            await asyncio.sleep(EVERY_SECONDS if self.serving() else _SOON_SECONDS)

    async def look(self) -> None:
        """Make it, or bring it up to date, where it is free or ours. Raises ApiRefusal, ApiUnreachable."""
        authorities = self.authorities()
        if authorities is None or not self.serving():
            return
        body = await self.api.get(API_SERVICE, None, METRICS_API)
        found = None if body is None else msgspec.json.decode(body, type=_Object)
        if found is not None and found.metadata.deletion_timestamp is not None:
            return
        if found is not None and not self._is_ours(found):
            whose = found.spec.service
            other = f"{whose.namespace}/{whose.name}" if whose else "the API server itself"
            self._became("Taken", f"{METRICS_API} leads to {other}")
            return
        bundle = base64.b64encode(authorities.encode()).decode()
        if found is None or not self._is_current(found, bundle):
            manifest = await self._manifest(bundle, found.metadata.resource_version if found else "")
            # Not forced: what somebody else made in this very moment stays theirs.
            await self.api.apply(API_SERVICE, None, METRICS_API, manifest, manager=METRICS_ADAPTER, force=False)
            log.info("the API is registered", name=METRICS_API)
        self._became("Registered", "")

    def _is_ours(self, found: _Object) -> bool:
        service = found.spec.service
        return service is not None and (service.namespace, service.name) == (self.namespace, self.service)

    def _is_current(self, found: _Object, bundle: str) -> bool:
        service = found.spec.service
        return service is not None and service.port == self.port and found.spec.ca_bundle == bundle

    async def _manifest(self, bundle: str, version: str) -> bytes:
        metadata: dict[str, Any] = {
            "name": METRICS_API,
            "labels": {names.PART_OF: names.APP, names.MANAGED_BY: METRICS_ADAPTER},
        }
        if version:
            metadata["resourceVersion"] = version
        if self.owner:
            metadata["ownerReferences"] = [await self._owner()]
        spec = {
            "group": GROUP,
            "version": VERSION,
            **_PRIORITIES,
            "service": {"namespace": self.namespace, "name": self.service, "port": self.port},
            "caBundle": bundle,
        }
        whole = {"apiVersion": API_SERVICE.api_version, "kind": API_SERVICE.name, "metadata": metadata, "spec": spec}
        return msgspec.json.encode(whole)

    async def _owner(self) -> dict[str, str]:
        body = await self.api.get(CLUSTER_ROLE, None, self.owner, metadata_only=True)
        if body is None:
            raise OwnerMissingError(f"there is no ClusterRole {self.owner}, with which the registration would go")
        uid = msgspec.json.decode(body, type=_Object).metadata.uid
        return {
            "apiVersion": CLUSTER_ROLE.api_version,
            "kind": CLUSTER_ROLE.name,
            "name": self.owner,
            "uid": uid,
        }

    def _became(self, state: State, why: str) -> None:
        if state != self.state or state == "Unknown":
            log.log(30 if why else 20, "registration", state=state, problem=why)
        self.state = state
