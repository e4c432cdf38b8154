"""What is kept of an object that a watch shows: who owns it, whether it drifted, and the few words of its status.

A thousand stacks have some thirty thousand children, so bodies are never kept. Drift is seen in a fingerprint that no
controller's status moves: the labels, annotations and owners, and the generation, where the API server counts one.
Pure.
"""

from hashlib import blake2b
from typing import Any, TypeVar

import msgspec

from streaming_operator import names
from streaming_operator.kinds import AUTOSCALER, DEPLOYMENT, HTTP_ROUTE, POD, STATEFUL_SET, Kind

LEAVING_SINCE = f"{names.GROUP}/leaving-since"
# Of Kubernetes: a ReplicaSet that shrinks ends the pods with the lowest first; without it a pod has 0.
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
# Holds a rollout that is under way.
HOLD_MANAGER = f"{names.FIELD_MANAGER}-hold"
_HASH_BYTES = 8
# What Kubernetes' own controllers write on our children.
_CONTROLLERS_ANNOTATIONS = frozenset(
    {
        "deployment.kubernetes.io/revision",
        "pv.kubernetes.io/bind-completed",
        "pv.kubernetes.io/bound-by-controller",
        "volume.beta.kubernetes.io/storage-provisioner",
        "volume.kubernetes.io/storage-provisioner",
        "volume.kubernetes.io/selected-node",
    }
)


class Owner(msgspec.Struct, frozen=True):
    """An entry of metadata.ownerReferences."""

    uid: str
    kind: str = ""
    name: str = ""


class _ManagedFields(msgspec.Struct, rename="camel"):
    manager: str = ""
    operation: str = ""
    subresource: str = ""
    fields_v1: msgspec.Raw = msgspec.Raw(b"null")


class Metadata(msgspec.Struct, rename="camel"):
    """The metadata that decides anything."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int | None = None
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[Owner] | None = None
    managed_fields: list[_ManagedFields] | None = None


class _Whole(msgspec.Struct):
    metadata: Metadata
    spec: msgspec.Raw = msgspec.Raw(b"null")
    status: msgspec.Raw = msgspec.Raw(b"null")


class _Condition(msgspec.Struct):
    type: str
    status: str
    reason: str = ""
    message: str = ""


class Size(msgspec.Struct, frozen=True, gc=False):
    """How far a Deployment or StatefulSet is."""

    desired: int = 1
    ready: int = 0
    # The controller has seen the latest spec, every pod is of it, and there are as many as wanted.
    rolled: bool = False
    # Every pod is of the latest spec that the controller has seen: no rollout is under way.
    updated: bool = False
    # Why the controller cannot make pods: a quota, an admission policy.
    failure: str = ""


class Autoscaling(msgspec.Struct, frozen=True, gc=False):
    """What an HPA wishes, and why it cannot."""

    desired: int = 0
    blocked: str = ""


class Acceptance(msgspec.Struct, frozen=True, gc=False):
    """Whether a Gateway took a route; None while none has said so."""

    accepted: bool | None = None
    message: str = ""


class PodState(msgspec.Struct, frozen=True, gc=False):
    """What a pod says of itself."""

    address: str = ""
    ready: bool = False
    finished: bool = False
    blocked: tuple[str, str] | None = None
    created: str = ""
    grace_seconds: int | None = None


State = Size | Autoscaling | Acceptance | PodState


class Seen(msgspec.Struct, frozen=True, gc=False):
    """One object, as last seen."""

    uid: str
    version: str
    owner: str
    drift: bytes
    component: str = ""
    pool: str = ""
    terminating: bool = False
    # Our field manager holds spec.replicas: an apply without it would reset the size.
    owns_replicas: bool = False
    # Of a Deployment: its rollout was told to wait, by us.
    held: bool = False
    leaving_since: str = ""
    # Of a pod: the Deployment whose ReplicaSet made it, and what its annotation says.
    workload: str = ""
    deletion_cost: int = 0
    state: State | None = None


_whole = msgspec.json.Decoder(_Whole)


def seen(kind: Kind, body: bytes | msgspec.Raw) -> tuple[Metadata, Seen]:
    """What is kept of `body`, and its metadata, which is not. Raises msgspec.DecodeError."""
    whole = _whole.decode(body)
    metadata = whole.metadata
    labels = metadata.labels or {}
    return metadata, Seen(
        uid=metadata.uid,
        version=metadata.resource_version,
        owner=next((owner.uid for owner in metadata.owner_references or () if owner.kind == "StreamingStack"), ""),
        drift=b"" if kind is POD else _drift(kind, whole),
        component=_kept(labels.get(names.COMPONENT)),
        pool=_kept(labels.get(names.POOL)),
        terminating=metadata.deletion_timestamp is not None,
        owns_replicas=kind in (DEPLOYMENT, STATEFUL_SET) and _owns(metadata, names.FIELD_MANAGER, b'"f:replicas"'),
        held=kind is DEPLOYMENT and _owns(metadata, HOLD_MANAGER, b'"f:paused"'),
        leaving_since=(metadata.annotations or {}).get(LEAVING_SINCE, "") if kind is DEPLOYMENT else "",
        workload=_kept(_deployment_of(metadata)) if kind is POD else "",
        deletion_cost=_deletion_cost(metadata) if kind is POD else 0,
        state=_state(kind, whole),
    )


_labels_seen: dict[str, str] = {}


def _kept(value: str | None) -> str:
    """One string for all the equal ones."""
    return _labels_seen.setdefault(value, value) if value else ""


def _drift(kind: Kind, whole: _Whole) -> bytes:
    metadata = whole.metadata
    annotations = {k: v for k, v in (metadata.annotations or {}).items() if k not in _CONTROLLERS_ANNOTATIONS}
    told: list[Any] = [metadata.labels, annotations, metadata.owner_references]
    if kind is AUTOSCALER:  # it counts no generation, and its status moves every few seconds
        told.append(msgspec.json.decode(whole.spec))
    elif metadata.generation is not None:
        told.append(metadata.generation)
    else:
        told.append(metadata.resource_version)
    return blake2b(msgspec.json.encode(told, order="sorted"), digest_size=_HASH_BYTES).digest()


def _owns(metadata: Metadata, manager: str, field: bytes) -> bool:
    return any(
        entry.manager == manager
        and entry.operation == "Apply"
        and not entry.subresource
        and field in bytes(entry.fields_v1)
        for entry in metadata.managed_fields or ()
    )


def _deployment_of(metadata: Metadata) -> str:
    """The name of a pod's Deployment, told by that of its ReplicaSet; empty for a pod that none made."""
    suffix = f"-{(metadata.labels or {}).get('pod-template-hash', '')}"
    owners = (owner.name for owner in metadata.owner_references or () if owner.kind == "ReplicaSet")
    return next((name.removesuffix(suffix) for name in owners if suffix != "-" and name.endswith(suffix)), "")


def _deletion_cost(metadata: Metadata) -> int:
    try:
        return int((metadata.annotations or {}).get(DELETION_COST, "0"))
    except ValueError:  # the API server lets none in
        return 0


def _state(kind: Kind, whole: _Whole) -> State | None:
    if kind in (DEPLOYMENT, STATEFUL_SET):
        return _size(whole)
    if kind is AUTOSCALER:
        return _autoscaling(whole)
    if kind is HTTP_ROUTE:
        return _acceptance(whole)
    if kind is POD:
        return _pod(whole)
    return None


class _WorkloadSpec(msgspec.Struct):
    replicas: int = 1


class _WorkloadStatus(msgspec.Struct, rename="camel"):
    observed_generation: int = 0
    replicas: int = 0
    ready_replicas: int = 0
    updated_replicas: int = 0
    current_revision: str = ""
    update_revision: str = ""
    conditions: list[_Condition] | None = None


T = TypeVar("T")


def _part(body: msgspec.Raw, kind: type[T], empty: T) -> T:
    return empty if bytes(body) == b"null" else msgspec.json.decode(body, type=kind)


def _size(whole: _Whole) -> Size:
    spec = _part(whole.spec, _WorkloadSpec, _WorkloadSpec())
    status = _part(whole.status, _WorkloadStatus, _WorkloadStatus())
    current = status.observed_generation >= (whole.metadata.generation or 0)
    # Once a StatefulSet is rolled its controller stops counting updatedReplicas and makes both revisions one.
    updated = status.updated_replicas == status.replicas or (
        bool(status.update_revision) and status.update_revision == status.current_revision
    )
    failure = next(
        (c.message for c in status.conditions or () if c.type == "ReplicaFailure" and c.status == "True"), ""
    )
    return Size(
        desired=spec.replicas,
        ready=status.ready_replicas,
        rolled=current and updated and status.replicas == spec.replicas,
        updated=updated,
        failure=failure,
    )


class _AutoscalerStatus(msgspec.Struct, rename="camel"):
    desired_replicas: int = 0
    conditions: list[_Condition] | None = None


def _autoscaling(whole: _Whole) -> Autoscaling:
    status = _part(whole.status, _AutoscalerStatus, _AutoscalerStatus())
    # A pool without pods has no metric, and that is no trouble: ScalingDisabled says the target's size is 0.
    blocked = next(
        (
            f"{c.reason}: {c.message}"
            for c in status.conditions or ()
            if c.type in ("AbleToScale", "ScalingActive") and c.status == "False" and c.reason != "ScalingDisabled"
        ),
        "",
    )
    return Autoscaling(desired=status.desired_replicas, blocked=blocked)


class _RouteParent(msgspec.Struct):
    conditions: list[_Condition] | None = None


class _RouteStatus(msgspec.Struct):
    parents: list[_RouteParent] | None = None


def _acceptance(whole: _Whole) -> Acceptance:
    status = _part(whole.status, _RouteStatus, _RouteStatus())
    told = [
        c for parent in status.parents or () for c in parent.conditions or () if c.type in ("Accepted", "ResolvedRefs")
    ]
    refused = next((c for c in told if c.status == "False"), None)
    if refused:
        return Acceptance(False, f"{refused.reason}: {refused.message}")
    return Acceptance(True) if told else Acceptance()


class _Waiting(msgspec.Struct):
    reason: str = ""
    message: str = ""


class _Running(msgspec.Struct, rename="camel"):
    started_at: str = ""


class _ContainerState(msgspec.Struct):
    waiting: _Waiting | None = None
    running: _Running | None = None


class _Container(msgspec.Struct, rename="camel"):
    name: str = ""
    ready: bool = False
    started: bool | None = None
    state: _ContainerState = msgspec.field(default_factory=_ContainerState)


class _PodStatus(msgspec.Struct, rename="camel"):
    phase: str = ""
    pod_ip: str = msgspec.field(default="", name="podIP")
    conditions: list[_Condition] | None = None
    init_container_statuses: list[_Container] | None = None
    container_statuses: list[_Container] | None = None


# Waiting reasons of every healthy start.
_ORDINARY = ("ContainerCreating", "PodInitializing")


def _pod(whole: _Whole) -> PodState:
    status = _part(whole.status, _PodStatus, _PodStatus())
    ready = any(c.type == "Ready" and c.status == "True" for c in status.conditions or ())
    return PodState(
        address=status.pod_ip,
        ready=ready,
        finished=status.phase in ("Succeeded", "Failed"),
        blocked=None if ready else _blocked(whole.metadata.name, status),
        created=whole.metadata.creation_timestamp,
        grace_seconds=whole.metadata.deletion_grace_period_seconds,
    )


def _blocked(name: str, status: _PodStatus) -> tuple[str, str] | None:
    """Why a pod is not ready, in Kubernetes' words; LoadingModel and FetchingModel carry the time of their begin."""
    for condition in status.conditions or ():
        if condition.type == "PodScheduled" and condition.status == "False":
            return condition.reason, f"{name}: {condition.message}"
    containers = [*(status.init_container_statuses or ()), *(status.container_statuses or ())]
    for container in containers:
        waiting = container.state.waiting
        if waiting and waiting.reason not in _ORDINARY:
            return waiting.reason, f"{name}, container {container.name}: {waiting.message}".rstrip(": ")
    for container in containers:
        running = container.state.running
        if running and container.name == "triton" and not container.started:
            return "LoadingModel", running.started_at
        if running and container.name == "fetch":
            return "FetchingModel", running.started_at
    return None
