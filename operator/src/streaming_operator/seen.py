"""What is kept of an object that a watch shows: who owns it, whether it drifted, and the few words of its status.

A thousand stacks have some thirty thousand children, so bodies are never kept. Drift is seen in a fingerprint that no
controller's status moves: the labels, annotations and owners, and the generation, where the API server counts one.
Pure.
"""

from hashlib import blake2b
from typing import Any

import msgspec

from streaming_operator import names
from streaming_operator.kinds import AUTOSCALER, DEPLOYMENT, HTTP_ROUTE, POD, STATEFUL_SET, Kind
from streaming_operator.object_parts import Condition, Metadata, Whole, part
from streaming_operator.pod_state import PodState, pod_state

__all__ = [
    "DELETION_COST",
    "HOLD_MANAGER",
    "LEAVING_SINCE",
    "Acceptance",
    "Autoscaling",
    "Metadata",
    "PodState",
    "Seen",
    "Size",
    "State",
    "seen",
]

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


_whole = msgspec.json.Decoder(Whole)


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


def _drift(kind: Kind, whole: Whole) -> bytes:
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


def _state(kind: Kind, whole: Whole) -> State | None:
    if kind in (DEPLOYMENT, STATEFUL_SET):
        return _size(whole)
    if kind is AUTOSCALER:
        return _autoscaling(whole)
    if kind is HTTP_ROUTE:
        return _acceptance(whole)
    if kind is POD:
        return pod_state(whole)
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
    conditions: list[Condition] | None = None


def _size(whole: Whole) -> Size:
    spec = part(whole.spec, _WorkloadSpec, _WorkloadSpec())
    status = part(whole.status, _WorkloadStatus, _WorkloadStatus())
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
    conditions: list[Condition] | None = None


def _autoscaling(whole: Whole) -> Autoscaling:
    status = part(whole.status, _AutoscalerStatus, _AutoscalerStatus())
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
    conditions: list[Condition] | None = None


class _RouteStatus(msgspec.Struct):
    parents: list[_RouteParent] | None = None


def _acceptance(whole: Whole) -> Acceptance:
    status = part(whole.status, _RouteStatus, _RouteStatus())
    told = [
        c for parent in status.parents or () for c in parent.conditions or () if c.type in ("Accepted", "ResolvedRefs")
    ]
    refused = next((c for c in told if c.status == "False"), None)
    if refused:
        return Acceptance(False, f"{refused.reason}: {refused.message}")
    return Acceptance(True) if told else Acceptance()
