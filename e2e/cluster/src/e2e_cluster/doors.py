"""Which door CLUSTER opens."""

import importlib
from collections.abc import Callable
from typing import Protocol, cast

from e2e_cluster import local_door
from e2e_cluster.binaries import Say
from e2e_cluster.door import Door
from e2e_cluster.plan import ClusterPlan


class _OtherCluster(Protocol):
    """What `kind.py` and `current.py` offer; each raises ClusterError."""

    check: Callable[[], None]
    up: Callable[[Say], None]
    down: Callable[[Say], None]
    door: Callable[[Say], Door]


def door(cluster: str, plan: ClusterPlan, say: Say) -> Door:
    """The door of the cluster that CLUSTER names; ClusterError where it is not up."""
    return local_door.door(plan, say) if cluster == "local" else other(cluster).door(say)


def other(cluster: str) -> _OtherCluster:
    """`kind` or `current`; imported only when it is asked for."""
    return cast(_OtherCluster, importlib.import_module(f"e2e_cluster.{cluster}"))
