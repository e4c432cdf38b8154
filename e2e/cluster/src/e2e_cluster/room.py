"""Whether the machine has room for the cluster: disk, by folder, and memory; what is short is told in one line."""

import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from e2e_cluster import binaries
from e2e_cluster.errors import ClusterError
from e2e_cluster.plan import ClusterPlan

GIB = 1 << 30
MEMORY_NEEDED = 4 * GIB
# Measured, see README.md; rounded up.
STATE_NEEDED = 6 * GIB
BUILDS_NEEDED = {"XDG_CACHE_HOME": 1 * GIB, "GOCACHE": 5 * GIB, "GOMODCACHE": 2 * GIB}
_GROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Need:
    """What goes into one folder, the variable that puts it elsewhere, and the file system that it is on."""

    folder: Path
    needed: int
    variable: str
    device: int
    free: int


def check(plan: ClusterPlan) -> None:
    """Whether there is room to raise the cluster; ClusterError where not."""
    groups = [path for path in memory_limits(Path("/proc/self/cgroup").read_text(), _GROUPS) if path.is_file()]
    memory = available_memory(Path("/proc/meminfo").read_text(), (path.read_text() for path in groups))
    short = short_of_disk(_needs(plan)) or short_of_memory(memory)
    if short:
        raise ClusterError(short)


def short_of_disk(needs: Iterable[Need]) -> str:
    """What to tell of the first file system on which the folders need more than it has; empty where none is short."""
    for _, found in groupby(sorted(needs, key=lambda need: need.device), key=lambda need: need.device):
        together = list(found)
        needed, free = sum(need.needed for need in together), together[0].free
        if free < needed:
            folders = ", ".join(str(need.folder) for need in together)
            variables = " or ".join(need.variable for need in together)
            return f"disk of {folders}: {_gib(free)} GiB free, {_gib(needed)} needed; free some, or set {variables}"
    return ""


def short_of_memory(available: int) -> str:
    """What to tell where that is too little; empty where it is enough."""
    if available >= MEMORY_NEEDED:
        return ""
    return (
        f"memory: {_gib(available)} GiB available, {_gib(MEMORY_NEEDED)} needed; "
        f"stop what else runs, or give the machine or container more"
    )


def available_memory(meminfo: str, limits: Iterable[str]) -> int:
    """Bytes: what /proc/meminfo calls available, or the least of the control groups' `limits` where that is less."""
    (kibibytes,) = (int(line.split()[1]) for line in meminfo.splitlines() if line.startswith("MemAvailable:"))
    return min([kibibytes << 10, *(int(limit) for limit in limits if limit.strip() != "max")])


def memory_limits(cgroup: str, root: Path) -> list[Path]:
    """Where a process with this /proc/self/cgroup may find limits of its memory, its own and those above it."""
    found = []
    for line in cgroup.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            top, name = root / "memory", "memory.limit_in_bytes"
        elif controllers == "":
            top, name = root, "memory.max"
        else:
            continue
        own = Path(path)
        found += [top / each.relative_to("/") / name for each in (own, *own.parents)]
    return found


def _needs(plan: ClusterPlan) -> list[Need]:
    needs = [_need(plan.state, STATE_NEEDED, "XDG_STATE_HOME")]
    if not any(plan.cache.glob("binaries/kubelet-*/kubelet")):
        folders = {"XDG_CACHE_HOME": plan.cache, **{name: _of_go(name) for name in ("GOCACHE", "GOMODCACHE")}}
        needs += [_need(folders[name], needed, name) for name, needed in BUILDS_NEEDED.items()]
    return needs


def _need(folder: Path, needed: int, variable: str) -> Need:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return Need(folder, needed, variable, os.stat(there).st_dev, shutil.disk_usage(there).free)


def _of_go(name: str) -> Path:
    return Path(subprocess.run([binaries.go(), "env", name], capture_output=True, text=True, check=True).stdout.strip())


def _gib(size: int) -> str:
    return f"{size / GIB:.1f}".removesuffix(".0")
