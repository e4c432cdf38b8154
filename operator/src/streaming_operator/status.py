"""From what is wanted and what is there to `status`, and which changes of it are worth an event. Pure.

Nothing volatile: the same facts give the same status, times move only when a condition flips, and counts of sessions
move at most every half minute and only when they say something new.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from stack_model.api import Model, StreamingStack
from stack_model.api.status import (
    Condition,
    ConditionType,
    GatewayStatus,
    LicenseStatus,
    ModelPhase,
    ModelStatus,
    Reason,
    StackStatus,
    UsageStatus,
)

from streaming_operator import names
from streaming_operator.checks import CHAINS, LONGEST_MESSAGE, Finding, View, phase
from streaming_operator.children.config import pools
from streaming_operator.facts import Inputs, Observed, PodsFact

COUNTS_EVERY = timedelta(seconds=30)
_NOTABLE = 0.1
# Without these no client is served; autoscaling that waits for a signal keeps the sizes, and serves.
_SERVING = (
    ConditionType.ACCEPTED,
    ConditionType.LICENSE_VALID,
    ConditionType.MODELS_AVAILABLE,
    ConditionType.GATEWAY_AVAILABLE,
)
_LICENSE_STATES = ("Ready", "Connected", "TrustBased", "Failed")


@dataclass(frozen=True)
class Flip:
    """An event to post."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def compute_status(
    stack: StreamingStack, inputs: Inputs, observed: Observed, previous: StackStatus | None, now: datetime
) -> StackStatus:
    """The status of `stack`; `now` is aware, `previous` what was stored last."""
    now = now.replace(microsecond=0)
    view = View(stack, inputs, observed, now)
    found = {type_: chain(view) for type_, chain in CHAINS.items()}
    found[ConditionType.READY] = _ready(found)
    generation = _generation(stack)
    status = StackStatus(
        observed_generation=generation,
        conditions=[_condition(type_, found[type_], generation, previous, now) for type_ in ConditionType],
        endpoint=_endpoint(stack, inputs),
        license=LicenseStatus.model_validate(
            {"state": _license_state(observed), "trust_expiration": _whole(observed.trust_expiration)}
        ),
        gateway=GatewayStatus(
            ready=observed.gateway.ready,
            desired=observed.gateway.desired,
            draining=observed.gateway.draining,
            sessions=_active(observed.gateway),
            draining_sessions=_draining_active(observed.gateway),
            capacity=observed.gateway.capacity,
        ),
        models=[_model(view, model) for model in pools(stack, inputs)],
        usage=UsageStatus(backlog=observed.usage_backlog),
        counts_time=now,
    )
    return _with_steady_counts(status, previous)


def rejected_status(
    problem: str,
    generation: int | None,
    previous: StackStatus | None,
    now: datetime,
    reason: Reason = Reason.INVALID_SPEC,
) -> StackStatus:
    """For a stack that cannot be carried out: what runs goes on as before, and `problem` says what to mend."""
    now = now.replace(microsecond=0)
    refused = Finding(reason, f"{problem}; what runs stays as it is until that is mended")
    before = previous or StackStatus()
    conditions = []
    for type_ in ConditionType:
        if type_ in (ConditionType.ACCEPTED, ConditionType.READY):
            conditions.append(_condition(type_, refused, generation, previous, now))
        elif (kept := before.condition(type_)) is not None:
            conditions.append(kept)
    return before.model_copy(update={"observed_generation": generation, "conditions": conditions})


def flips(previous: StackStatus | None, current: StackStatus) -> list[Flip]:
    """One event for each condition that changed its status, or that fails for another reason than before.

    Ready=False is told by the condition that caused it. At the first look nothing has flipped; what a user must mend
    is told even then.
    """
    return [flip for condition in current.conditions if (flip := _flip(previous, condition)) is not None]


def _flip(previous: StackStatus | None, condition: Condition) -> Flip | None:
    before = previous.condition(condition.type) if previous else None
    good = condition.status == "True" or condition.type is ConditionType.PROGRESSING
    if before is None:
        told = not good and condition.type in (ConditionType.ACCEPTED, ConditionType.LICENSE_VALID)
    elif before.status != condition.status:
        told = good or condition.type is not ConditionType.READY
    else:
        told = condition.status == "False" and condition.reason != before.reason
        told = told and condition.type not in (ConditionType.READY, ConditionType.PROGRESSING)
    return Flip("Normal" if good else "Warning", condition.reason.value, condition.message) if told else None


def _ready(found: dict[ConditionType, Finding]) -> Finding:
    for type_ in _SERVING:
        if found[type_].status != "True":
            return replace(found[type_], status="False", message=f"{type_.value}: {found[type_].message}")
    signal = found[ConditionType.SCALING_SIGNAL]
    if signal.status != "True":
        return Finding(Reason.READY_NOT_SCALING, f"sessions are served; {signal.message}", "True")
    return Finding(Reason.READY, "sessions are served", "True")


def _condition(
    type_: ConditionType, found: Finding, generation: int | None, previous: StackStatus | None, now: datetime
) -> Condition:
    before = previous.condition(type_) if previous else None
    message = found.message if len(found.message) <= LONGEST_MESSAGE else found.message[: LONGEST_MESSAGE - 3] + "..."
    if before is None:
        since = now
    elif before.status == found.status:
        since = before.last_transition_time
    else:
        since = max(now, before.last_transition_time)
    return Condition(
        type=type_,
        status=found.status,
        reason=found.reason,
        message=message,
        observed_generation=generation,
        last_transition_time=since,
    )


def _generation(stack: StreamingStack) -> int | None:
    generation = (stack.metadata.model_extra or {}).get("generation")
    return generation if isinstance(generation, int) else None


def _endpoint(stack: StreamingStack, inputs: Inputs) -> str:
    expose = stack.spec.gateway.expose
    host = next((host for host in expose.hostnames if not host.startswith("*")), None)
    if expose.type == "None" or host is None:
        namespace = stack.metadata.namespace or "default"
        service = f"{names.gateway(stack.metadata.name)}.{namespace}.svc.{inputs.cluster_domain}"
        return f"ws://{service}:{names.GATEWAY_PORT}/v3/ws"
    # The certificate of an HTTPRoute is its Gateway's business; nobody should speak to the outside without one.
    scheme = "ws" if expose.type == "Ingress" and expose.tls is None else "wss"
    return f"{scheme}://{host}/v3/ws"


def _license_state(observed: Observed) -> str:
    return observed.license_state if observed.license_state in _LICENSE_STATES else "Unknown"


def _whole(time: datetime | None) -> datetime | None:
    return time.replace(microsecond=0) if time else None


def _active(pods: PodsFact) -> int | None:
    """Sessions or streams of all pods, those that drain included."""
    known = [count for count in (pods.active, pods.draining_active) if count is not None]
    return sum(known) if known else None


def _draining_active(pods: PodsFact) -> int | None:
    return pods.draining_active if pods.draining else None


def _model(view: View, model: Model) -> ModelStatus:
    pods = view.observed.models.get(model.name, PodsFact())
    leaving = model not in view.stack.spec.models
    return ModelStatus(
        name=model.name,
        ready=pods.ready,
        desired=pods.desired,
        draining=pods.draining,
        streams=_active(pods),
        draining_streams=_draining_active(pods),
        capacity=pods.capacity,
        digest=view.observed.digests.get(model.name),
        phase=ModelPhase.DRAINING if leaving else phase(view, model),
    )


def _with_steady_counts(status: StackStatus, previous: StackStatus | None) -> StackStatus:
    """With the counts of `previous`, unless it is time for new ones and they say something new."""
    if previous is None or previous.counts_time is None or status.counts_time is None:
        return status
    told, now = dict(_counts(previous)), dict(_counts(status))
    due = status.counts_time - previous.counts_time >= COUNTS_EVERY
    if due and any(_is_notable(told.get(name), count) for name, count in now.items()):
        return status
    return _with_counts(status, told, previous.counts_time)


def _counts(status: StackStatus) -> Iterator[tuple[tuple[str, str], int | None]]:
    yield ("gateway", "sessions"), status.gateway.sessions
    yield ("gateway", "draining_sessions"), status.gateway.draining_sessions
    yield ("gateway", "capacity"), status.gateway.capacity
    yield ("usage", "backlog"), status.usage.backlog
    for model in status.models:
        yield (f"models/{model.name}", "streams"), model.streams
        yield (f"models/{model.name}", "draining_streams"), model.draining_streams
        yield (f"models/{model.name}", "capacity"), model.capacity


def _with_counts(status: StackStatus, told: dict[tuple[str, str], int | None], time: datetime) -> StackStatus:
    def of(what: str, *fields: str) -> dict[str, int | None]:
        return {field: told.get((what, field)) for field in fields}

    def draining(what: str, field: str, pods: int) -> dict[str, int | None]:
        return of(what, field) if pods else {field: None}  # not a moment longer than the pods

    return status.model_copy(
        update={
            "gateway": status.gateway.model_copy(
                update={
                    **of("gateway", "sessions", "capacity"),
                    **draining("gateway", "draining_sessions", status.gateway.draining),
                }
            ),
            "usage": status.usage.model_copy(update=of("usage", "backlog")),
            "models": [
                model.model_copy(
                    update={
                        **of(f"models/{model.name}", "streams", "capacity"),
                        **draining(f"models/{model.name}", "draining_streams", model.draining),
                    }
                )
                for model in status.models
            ],
            "counts_time": time,
        }
    )


def _is_notable(told: int | None, now: int | None) -> bool:
    if told is None or now is None:
        return told is not now
    if (told == 0) != (now == 0):
        return True
    return abs(now - told) > _NOTABLE * told
