"""What is shown of a stack: read leniently from the object, as a newer or older operator wrote it. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Condition:
    """One condition."""

    type: str
    status: str
    reason: str
    message: str
    since: datetime | None

    @property
    def is_good(self) -> bool:
        """Whether nobody needs to look: Progressing is good when it is over."""
        return self.status == ("False" if self.type == "Progressing" else "True")


@dataclass(frozen=True)
class Load:
    """Sessions or streams on the pods of a part that take more; None where nobody said."""

    active: int | None = None
    capacity: int | None = None
    # Pods that should have said, and did not.
    silent: int = 0


@dataclass(frozen=True)
class Part:
    """The gateway, or one model's pool."""

    name: str
    ready: int = 0
    desired: int = 0
    draining: int = 0
    load: Load = field(default_factory=Load)
    # The pods themselves told the load, just now; otherwise it is of the stack's status.
    live: bool = False
    draining_active: int | None = None
    phase: str = ""


@dataclass(frozen=True)
class StackView:
    """One stack. `counted` is when the counts of its status were taken, None: never."""

    namespace: str
    name: str
    conditions: tuple[Condition, ...] = ()
    gateway: Part = field(default_factory=lambda: Part("gateway"))
    models: tuple[Part, ...] = ()
    endpoint: str | None = None
    license_state: str = "Unknown"
    trusted_until: datetime | None = None
    backlog: int | None = None
    counted: datetime | None = None
    ending: bool = False
    # The operator has not looked at the spec as it is now.
    behind: bool = False

    @property
    def ready(self) -> Condition | None:
        """The condition Ready."""
        return next((condition for condition in self.conditions if condition.type == "Ready"), None)


def view_of(stack: Mapping[str, Any]) -> StackView:
    """What the object says."""
    metadata, status = stack["metadata"], stack.get("status") or {}
    license_, usage = status.get("license") or {}, status.get("usage") or {}
    known = {entry.get("name"): entry for entry in status.get("models") or []}
    wanted = [model["name"] for model in stack.get("spec", {}).get("models") or []]
    return StackView(
        namespace=metadata.get("namespace", "default"),
        name=metadata["name"],
        conditions=tuple(_condition(entry) for entry in status.get("conditions") or []),
        gateway=_part("gateway", status.get("gateway") or {}, "sessions"),
        models=tuple(
            _part(name, known.get(name, {}), "streams")
            for name in [*wanted, *(name for name in known if name not in wanted)]
        ),
        endpoint=status.get("endpoint"),
        license_state=license_.get("state", "Unknown"),
        trusted_until=_time(license_.get("trustExpiration")),
        backlog=usage.get("backlog"),
        counted=_time(status.get("countsTime")),
        ending="deletionTimestamp" in metadata,
        behind=status.get("observedGeneration") != metadata.get("generation"),
    )


def with_live(view: StackView, gateway: Load | None, models: Mapping[str, Load]) -> StackView:
    """The same stack with counts that its pods told just now; a part whose pods told none keeps those of the status."""
    return replace(
        view,
        gateway=_with_live(view.gateway, gateway),
        models=tuple(_with_live(part, models.get(part.name)) for part in view.models),
    )


def _with_live(part: Part, told: Load | None) -> Part:
    return part if told is None else replace(part, load=told, live=True)


def summed(loads: Iterable[Load]) -> Load | None:
    """All of them together; None where no pod said anything."""
    told = list(loads)
    if all(load.active is None for load in told):
        return None
    return Load(
        sum(load.active or 0 for load in told),
        sum(load.capacity or 0 for load in told),
        sum(load.silent for load in told),
    )


def _part(name: str, entry: Mapping[str, Any], count: str) -> Part:
    everywhere, draining = entry.get(count), entry.get(f"draining{count.title()}")
    return Part(
        name=name,
        ready=entry.get("ready") or 0,
        desired=entry.get("desired") or 0,
        draining=entry.get("draining") or 0,
        load=Load(None if everywhere is None else max(0, everywhere - (draining or 0)), entry.get("capacity")),
        draining_active=draining,
        phase=entry.get("phase") or "",
    )


def _condition(entry: Mapping[str, Any]) -> Condition:
    return Condition(
        type=entry.get("type", "?"),
        status=entry.get("status", "Unknown"),
        reason=entry.get("reason", ""),
        message=entry.get("message", ""),
        since=_time(entry.get("lastTransitionTime")),
    )


def _time(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
