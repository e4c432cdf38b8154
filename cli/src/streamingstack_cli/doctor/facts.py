"""What the doctor knows of a cluster and a stack, as plain values; and what it finds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from stack_model.api import StreamingStack


class Level(StrEnum):
    """How bad: the stack will not run, it runs with less than it promises, or something could not be seen."""

    STOPS = "stops"
    WEAKENS = "weakens"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """One thing, in one sentence, and what to do about it in another."""

    level: Level
    about: str
    problem: str
    remedy: str


@dataclass(frozen=True)
class Facts:
    """`None` anywhere: nobody may see it, or nobody asked."""

    stack: StreamingStack
    namespace: str
    version: tuple[int, int] = (0, 0)
    # "group/version/Kind" of every kind, but those of the core.
    kinds: frozenset[str] = frozenset()
    storage_classes: Mapping[str, bool] | None = None
    ingress_classes: Mapping[str, bool] | None = None
    # "namespace/name" of Gateways, with the names of their listeners.
    gateways: Mapping[str, frozenset[str]] | None = None
    # By reference id, "Secret/name" or "ConfigMap/name"; a value of None: it is not there.
    data: Mapping[str, Mapping[str, bytes] | None] = field(default_factory=dict)
    nodes: tuple[Mapping[str, Any], ...] | None = None
    # Names of DaemonSets and Deployments of the whole cluster, with the arguments of their containers.
    workloads: Mapping[str, tuple[str, ...]] | None = None
    quotas: tuple[Mapping[str, Any], ...] | None = None
    # The stack as the cluster has it; None where it is not applied yet.
    applied: Mapping[str, Any] | None = None
    unseen: tuple[str, ...] = ()
