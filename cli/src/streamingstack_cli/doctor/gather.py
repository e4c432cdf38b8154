"""Looks at the cluster for the doctor: reads only, and goes on where something may not be read."""

import base64
import binascii
import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from stack_model.api import StreamingStack
from streaming_operator.references import Reference, references

from streamingstack_cli.cluster.api import STACKS, Cluster, ForbiddenError, Object
from streamingstack_cli.doctor.facts import Facts

Answer = TypeVar("Answer")
_DEFAULT_STORAGE = "storageclass.kubernetes.io/is-default-class"
_DEFAULT_INGRESS = "ingressclass.kubernetes.io/is-default-class"


class Gatherer:
    """Asks for one stack."""

    def __init__(self, cluster: Cluster, stack: StreamingStack) -> None:
        self._cluster = cluster
        self._stack = stack
        self._unseen: list[str] = []

    async def facts(self) -> Facts:
        """Everything. Raises CommandError where the cluster does not answer at all."""
        namespace, name = self._cluster.namespace, self._stack.metadata.name
        version = await self._version()
        kinds = await self._kinds()
        applied = await self._cluster.get(f"{STACKS}/namespaces/{namespace}/streamingstacks/{name}")
        data = {found.id: await self._data(found) for found in references(self._stack)}
        return Facts(
            stack=self._stack,
            namespace=namespace,
            version=version,
            kinds=kinds,
            applied=applied,
            storage_classes=await self._defaults("apis/storage.k8s.io/v1/storageclasses", _DEFAULT_STORAGE),
            ingress_classes=await self._defaults("apis/networking.k8s.io/v1/ingressclasses", _DEFAULT_INGRESS),
            gateways=await self._gateways(),
            data={found: values for found, values in data.items() if values != _UNSEEN},
            nodes=await self._list("nodes", "api/v1/nodes"),
            workloads=await self._workloads(),
            quotas=await self._list("ResourceQuotas", f"api/v1/namespaces/{namespace}/resourcequotas"),
            unseen=tuple(dict.fromkeys(self._unseen)),
        )

    async def _version(self) -> tuple[int, int]:
        found = await self._cluster.get("version") or {}
        numbers = [re.match(r"\d+", str(found.get(part, ""))) for part in ("major", "minor")]
        major, minor = (int(number[0]) if number else 0 for number in numbers)
        return major, minor

    async def _kinds(self) -> frozenset[str]:
        found: set[str] = set()
        groups = await self._cluster.get("apis") or {}
        for group in groups.get("groups", []):
            for version in group["versions"]:
                where = version["groupVersion"]
                resources = await self._allowed(f"API {where}", partial(self._cluster.get, f"apis/{where}"))
                found |= {f"{where}/{kind['kind']}" for kind in (resources or {}).get("resources", [])}
                # A group whose server is away answers nothing; that it was registered is told all the same.
                found.add(where)
        return frozenset(found)

    async def _defaults(self, path: str, mark: str) -> dict[str, bool] | None:
        found = await self._list(path.rpartition("/")[2], path)
        if found is None:
            return None
        return {
            entry["metadata"]["name"]: (entry["metadata"].get("annotations") or {}).get(mark) == "true"
            for entry in found
        }

    async def _gateways(self) -> dict[str, frozenset[str]] | None:
        if self._stack.spec.gateway.expose.type != "HTTPRoute":
            return None
        found: dict[str, frozenset[str]] = {}
        for parent in self._stack.spec.gateway.expose.parent_refs:
            where = parent.namespace or self._cluster.namespace
            path = f"apis/gateway.networking.k8s.io/v1/namespaces/{where}/gateways/{parent.name}"
            gateway = await self._allowed(f"Gateway {where}/{parent.name}", partial(self._cluster.get, path))
            if gateway is not None:
                listeners = gateway.get("spec", {}).get("listeners") or []
                found[f"{where}/{parent.name}"] = frozenset(str(listener["name"]) for listener in listeners)
        return found

    async def _data(self, wanted: Reference) -> dict[str, bytes] | None:
        plural = "secrets" if wanted.kind == "Secret" else "configmaps"
        path = f"api/v1/namespaces/{self._cluster.namespace}/{plural}/{wanted.name}"
        before = len(self._unseen)
        found = await self._allowed(f"{wanted.kind} {wanted.name}", lambda: self._cluster.get(path))
        if found is None:
            return _UNSEEN if len(self._unseen) > before else None
        if wanted.kind == "ConfigMap":
            return {key: text.encode() for key, text in (found.get("data") or {}).items()}
        return _decoded(found)

    async def _workloads(self) -> dict[str, tuple[str, ...]] | None:
        found: dict[str, tuple[str, ...]] = {}
        for plural in ("daemonsets", "deployments"):
            listed = await self._list(f"{plural} of the cluster", f"apis/apps/v1/{plural}")
            if listed is None:
                return None
            for entry in listed:
                containers = entry["spec"]["template"]["spec"]["containers"]
                words = [word for c in containers for word in (*(c.get("command") or ()), *(c.get("args") or ()))]
                found[entry["metadata"]["name"]] = tuple(map(str, words))
        return found

    async def _list(self, what: str, path: str) -> tuple[Object, ...] | None:
        found = await self._allowed(what, lambda: self._cluster.items(path))
        return None if found is None else tuple(found)

    async def _allowed(self, what: str, ask: Callable[[], Awaitable[Answer]]) -> Answer | None:
        try:
            return await ask()
        except ForbiddenError:
            self._unseen.append(what)
            return None


_UNSEEN: dict[str, bytes] = {"": b"unseen"}


def _decoded(secret: Object) -> dict[str, bytes]:
    values = {}
    for key, encoded in (secret.get("data") or {}).items():
        try:
            values[key] = base64.b64decode(encoded)
        except binascii.Error:
            continue
    return values
