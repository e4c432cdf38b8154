"""What is kept of a pod's status: whether it serves, where, and what keeps it from that. Pure."""

import msgspec

from streaming_operator.object_parts import Condition, Whole, part


class PodState(msgspec.Struct, frozen=True, gc=False):
    """What a pod says of itself."""

    address: str = ""
    ready: bool = False
    finished: bool = False
    blocked: tuple[str, str] | None = None
    created: str = ""
    grace_seconds: int | None = None


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
    conditions: list[Condition] | None = None
    init_container_statuses: list[_Container] | None = None
    container_statuses: list[_Container] | None = None


# Waiting reasons of every healthy start.
_ORDINARY = ("ContainerCreating", "PodInitializing")


def pod_state(whole: Whole) -> PodState:
    """Whether a pod serves, where, and why not. Raises msgspec.DecodeError."""
    status = part(whole.status, _PodStatus, _PodStatus())
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
