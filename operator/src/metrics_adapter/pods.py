"""The pods of stacks that carry load, as a watch shows them. Pure: told what was seen."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec
from streaming_operator import names
from streaming_operator.kinds import Key, Kind
from streaming_operator.seen import Metadata

from metrics_adapter.catalogue import PARTS


class Group(NamedTuple):
    """The pods of one Deployment: of one gateway, or of one model's pool. `pool` is empty for a gateway."""

    stack: Key
    component: str
    pool: str


class Pod(msgspec.Struct, frozen=True):
    """One pod, as last seen. `group` is None for a pod that carries no load or belongs to no stack."""

    uid: str
    version: str
    namespace: str
    name: str
    labels: Mapping[str, str]
    group: Group | None = None
    address: str = ""
    ready: bool = False
    terminating: bool = False
    finished: bool = False

    @property
    def counts(self) -> bool:
        """Whether its sessions are load: one that ends drains, and its sessions will never need room elsewhere."""
        return self.group is not None and not self.terminating and not self.finished

    @property
    def answers(self) -> bool:
        """Whether it can be asked for its metrics."""
        return self.counts and bool(self.address)


class _Condition(msgspec.Struct):
    type: str
    status: str


class _Status(msgspec.Struct, rename="camel"):
    phase: str = ""
    pod_ip: str = msgspec.field(default="", name="podIP")
    conditions: list[_Condition] | None = None


class _Whole(msgspec.Struct):
    metadata: Metadata
    status: _Status = msgspec.field(default_factory=_Status)


_whole = msgspec.json.Decoder(_Whole)


def read_pod(_: Kind, body: bytes | msgspec.Raw) -> tuple[Metadata, Pod]:
    """What is kept of a pod. Raises msgspec.DecodeError."""
    whole = _whole.decode(body)
    metadata, status = whole.metadata, whole.status
    labels = metadata.labels or {}
    return metadata, Pod(
        uid=metadata.uid,
        version=metadata.resource_version,
        namespace=metadata.namespace,
        name=metadata.name,
        labels=labels,
        group=_group(metadata.namespace, labels),
        address=status.pod_ip,
        ready=any(c.type == "Ready" and c.status == "True" for c in status.conditions or ()),
        terminating=metadata.deletion_timestamp is not None,
        finished=status.phase in ("Succeeded", "Failed"),
    )


def _group(namespace: str, labels: Mapping[str, str]) -> Group | None:
    stack, component = labels.get(names.STACK), labels.get(names.COMPONENT, "")
    if not stack or component not in PARTS:
        return None
    return Group(Key(namespace, stack), component, labels.get(names.POOL, ""))


class Pods:
    """Every pod that is there: a sink of watches."""

    def __init__(self) -> None:
        self._pods: dict[str, dict[str, Pod]] = {}
        self._groups: dict[Group, set[tuple[str, str]]] = {}

    def sighted(self, _: Kind, metadata: Metadata, pod: Pod) -> None:
        """A pod is there, as listed or changed."""
        self._forget(metadata.namespace, metadata.name)
        self._pods.setdefault(metadata.namespace, {})[metadata.name] = pod
        if pod.group is not None:
            self._groups.setdefault(pod.group, set()).add((metadata.namespace, metadata.name))

    def gone(self, _: Kind, metadata: Metadata, uid: str) -> None:
        """A pod was deleted; nothing where another of its name has taken its place."""
        found = self.get(metadata.namespace, metadata.name)
        if found is not None and found.uid == uid:
            self._forget(metadata.namespace, metadata.name)

    def listed(self, _: Kind, namespace: str | None, uids: set[str]) -> None:
        """A list is complete: what it does not have is gone, though no event said so."""
        for pod in [pod for pod in self.everywhere() if namespace in (None, pod.namespace) and pod.uid not in uids]:
            self._forget(pod.namespace, pod.name)

    def get(self, namespace: str, name: str) -> Pod | None:
        """One pod."""
        return self._pods.get(namespace, {}).get(name)

    def of_namespace(self, namespace: str) -> Iterable[Pod]:
        """All pods of a namespace."""
        return self._pods.get(namespace, {}).values()

    def of_group(self, group: Group) -> list[Pod]:
        """All pods of one Deployment, those that end too."""
        return [self._pods[namespace][name] for namespace, name in self._groups.get(group, ())]

    def everywhere(self) -> list[Pod]:
        """All pods."""
        return [pod for pods in self._pods.values() for pod in pods.values()]

    def __len__(self) -> int:
        """How many there are."""
        return sum(map(len, self._pods.values()))

    def _forget(self, namespace: str, name: str) -> None:
        pod = self._pods.get(namespace, {}).pop(name, None)
        if pod is None:
            return
        if not self._pods[namespace]:
            del self._pods[namespace]
        if pod.group is not None:
            self._groups[pod.group].discard((namespace, name))
            if not self._groups[pod.group]:
                del self._groups[pod.group]
