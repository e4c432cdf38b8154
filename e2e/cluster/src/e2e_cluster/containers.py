"""Signals for a container's processes, from the node: what no `kubectl exec` can send to the first of them."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

from e2e_cluster import nodes
from e2e_cluster.errors import ClusterError
from e2e_cluster.plan import NodePlan

_ROUNDS = 5


def freeze(node: NodePlan, container: str) -> None:
    """SIGSTOP: the processes stay, with open and silent sockets. ClusterError where there is no such container."""
    _signal(node, container, signal.SIGSTOP)


def thaw(node: NodePlan, container: str) -> None:
    """SIGCONT; nothing happens where kubelet has ended the container meanwhile."""
    for pid in processes(node, container):
        _send(pid, signal.SIGCONT)


def kill(node: NodePlan, container: str) -> None:
    """SIGKILL: nothing is said, nothing is saved. ClusterError where there is no such container."""
    _signal(node, container, signal.SIGKILL)


def cpu_seconds(node: NodePlan) -> float:
    """Processor time that the node's pods have used since the cluster was raised, those that are gone too."""
    for hierarchy in nodes.cgroup_hierarchies():
        first, second = hierarchy / node.cgroup / "cpuacct.usage", hierarchy / node.cgroup / "cpu.stat"
        if first.exists():
            return int(first.read_text()) / 1e9
        if (found := re.search(r"^usage_usec (\d+)$", _read(second), re.M)) is not None:
            return int(found[1]) / 1e6
    return 0.0


def processes(node: NodePlan, container: str) -> set[int]:
    """The container's processes by its control group; `container` is as in a pod's status, or the id alone."""
    return {
        int(pid)
        for group in _groups(node, container.rpartition("/")[2])
        for folder, _, _ in os.walk(group)
        for pid in _read(Path(folder) / "cgroup.procs").split()
    }


def _groups(node: NodePlan, container: str) -> Iterator[Path]:
    """By `os.walk`, which passes over a group that ends meanwhile."""
    if not container:
        return
    for hierarchy in nodes.cgroup_hierarchies():
        pods = os.walk(hierarchy / node.cgroup / "kubepods")
        found = [Path(folder) / container for folder, names, _ in pods if container in names]
        if found:
            yield from found
            return


def _signal(node: NodePlan, container: str, number: signal.Signals) -> None:
    """To every process; once more for those that were made meanwhile."""
    reached: set[int] = set()
    for _ in range(_ROUNDS):
        fresh = processes(node, container) - reached
        for pid in fresh:
            _send(pid, number)
        reached |= fresh
        if not fresh:
            break
    if not reached:
        raise ClusterError(f"{node.name} runs no container {container!r}")


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:  # the container ended
        return ""
