"""Taking the local cluster down: processes, mounts, control groups, network and files, in this order.

Nothing is asked of the cluster: it may be broken. What is ours is known by its network namespaces, control groups and
folders.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from e2e_cluster import machine_mounts, network, nodes, sysctls
from e2e_cluster.errors import ClusterError
from e2e_cluster.plan import ClusterPlan, NodePlan
from e2e_cluster.supervision import Supervisor

_CNI_RESULTS = Path("/var/lib/cni/results")
# kubelet's links for collectors of logs; the folder is fixed in it.
_LOG_LINKS = Path("/var/log/containers")
_DEVICE_PLUGINS = Path("/var/lib/kubelet/device-plugins")
# Folders that parts make wherever they are told to work; they go when nothing is in them.
_SHARED = (
    *(Path("/run/containerd/s"), Path("/run/containerd"), _LOG_LINKS, _CNI_RESULTS, _CNI_RESULTS.parent),
    *(_DEVICE_PLUGINS, _DEVICE_PLUGINS.parent),
)
_KILL_SECONDS = 20


def down(plan: ClusterPlan) -> None:
    """Remove all of the cluster but its logs and caches; ClusterError where something will not go."""
    Supervisor(plan).shut_down()
    _kill_all(plan)
    sockets = list(_shim_sockets(plan))
    pods = [folder.name for node in plan.nodes for folder in _sandboxes(node)]
    _unmount(plan)
    for node in plan.nodes:
        _remove_cgroups(node.cgroup)
    network.lower_network(plan)
    sysctls.put_back(plan.state / "sysctls.json")
    machine_mounts.put_back(plan.state / "mounts.json")
    results = [file for pod in pods for file in _CNI_RESULTS.glob(f"*-{pod}-*")]
    for file in [*sockets, *results, *_log_links(plan), _DEVICE_PLUGINS / "kubelet.sock"]:
        file.unlink(missing_ok=True)
    for folder in (plan.state, plan.run, plan.memory):
        shutil.rmtree(folder, ignore_errors=False) if folder.exists() else None
    _remove_empty(plan.run.parent, plan.memory.parent, *_SHARED)


def remains(plan: ClusterPlan) -> list[str]:
    """What of the cluster is on this machine, one line each; empty after `down`."""
    lines = [f"process {process.pid} {process.name()}" for process in _processes(plan)]
    lines += [f"mount {path}" for path in _mounts(plan)]
    lines += [f"control group {group}" for node in plan.nodes for group in _cgroups(node.cgroup)]
    lines += [f"network namespace {node.cgroup}" for node in plan.nodes if node.namespace.exists()]
    if network.owner(plan) == plan.owner:
        lines.append(f"bridge {plan.bridge}")
    lines += [f"link {link}" for link in _log_links(plan)]
    return lines + [f"folder {folder}" for folder in (plan.state, plan.run, plan.memory) if folder.exists()]


def _kill_all(plan: ClusterPlan) -> None:
    deadline = time.monotonic() + _KILL_SECONDS
    while processes := list(_processes(plan)):
        for process in processes:
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(processes, timeout=1)
        if time.monotonic() > deadline:
            raise ClusterError(f"processes that will not end: {', '.join(str(process.pid) for process in processes)}")


def _processes(plan: ClusterPlan) -> Iterator[psutil.Process]:
    """Living processes in the nodes' network namespaces (shims and parts) or control groups (pods)."""
    namespaces = {node.namespace.stat().st_ino for node in plan.nodes if node.namespace.exists()}
    grouped = {
        int(pid)
        for node in plan.nodes
        for group in _cgroups(node.cgroup)
        for pid in (group / "cgroup.procs").read_text().split()
    }
    for process in psutil.process_iter():
        try:
            inside = os.stat(f"/proc/{process.pid}/ns/net").st_ino in namespaces
            if (inside or process.pid in grouped) and process.status() != psutil.STATUS_ZOMBIE:
                yield process
        except (OSError, psutil.NoSuchProcess):
            continue


def _mounts(plan: ClusterPlan) -> list[str]:
    """Mount points below the cluster's folders, the innermost first."""
    own = tuple(f"{folder}/" for folder in (plan.state, plan.run, plan.logs))
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4].encode().decode("unicode_escape") for line in lines]
    return [point for point in reversed(points) if point.startswith(own)]


def _unmount(plan: ClusterPlan) -> None:
    for point in _mounts(plan):
        subprocess.run(["umount", "--lazy", point], capture_output=True, check=False)
    left = _mounts(plan)
    if left:
        # Removing files now would remove what is mounted there.
        raise ClusterError(f"mounts that will not go: {', '.join(left[:3])}; unmount them and run `down` again")


def _cgroups(name: str) -> list[Path]:
    """All groups of that name and below it, in every hierarchy, the innermost first."""
    found = []
    for hierarchy in nodes.cgroup_hierarchies():
        for folder, _, _ in os.walk(hierarchy / name, topdown=False):
            found.append(Path(folder))
    return found


def _remove_cgroups(name: str) -> None:
    deadline = time.monotonic() + _KILL_SECONDS
    while groups := _cgroups(name):
        for group in groups:
            try:
                group.rmdir()
            except OSError as error:
                # The kernel lets go of killed processes in its own time.
                if time.monotonic() > deadline:
                    raise ClusterError(f"{group} will not go: {error}") from error
        time.sleep(0.05)


def _shim_sockets(plan: ClusterPlan) -> Iterator[Path]:
    for node in plan.nodes:
        for address in (node.run / "containerd/io.containerd.runtime.v2.task/k8s.io").glob("*/address"):
            yield Path(address.read_text().removeprefix("unix://"))


def _log_links(plan: ClusterPlan) -> Iterator[Path]:
    for link in _LOG_LINKS.glob("*.log"):
        if link.is_symlink() and str(link.readlink()).startswith(f"{plan.logs}/"):
            yield link


def _sandboxes(node: NodePlan) -> Iterator[Path]:
    return (node.state / "containerd/io.containerd.grpc.v1.cri/sandboxes").glob("*")


def _remove_empty(*folders: Path) -> None:
    for folder in folders:
        if folder.exists() and not any(folder.iterdir()):
            folder.rmdir()
