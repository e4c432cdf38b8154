"""What this machine must allow, asked before anything starts; each answer is one line with the remedy."""

import os
import platform
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from e2e_cluster import machine_mounts
from e2e_cluster.errors import ClusterError
from e2e_cluster.plan import ClusterPlan

_CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_CHROOT": 18, "CAP_SYS_ADMIN": 21, "CAP_MKNOD": 27}
_CGROUPS = Path("/sys/fs/cgroup")
_CONTROLLERS = {"cpu", "cpuset", "memory", "pids"}


def check_permissions() -> None:
    """Whether this is Linux on x86-64, root, with the capabilities; ClusterError with the first that is missing."""
    if platform.system() != "Linux":
        raise ClusterError(f"this is {platform.system()}: the local cluster needs Linux; use CLUSTER=kind")
    if os.geteuid() != 0:
        raise ClusterError("not root: nodes are network namespaces and mounts; run it with sudo, or use CLUSTER=kind")
    status = Path("/proc/self/status").read_text()
    missing = missing_capabilities(status)
    if missing:
        raise ClusterError(
            f"{', '.join(missing)} missing: this container needs more rights; or use a machine of its own"
        )


def check_kernel(plan: ClusterPlan) -> None:
    """Whether the kernel has what nodes are made of, by trying it; ClusterError with the first that is missing."""
    controllers = _CONTROLLERS - _cgroup_controllers()
    if controllers:
        raise ClusterError(f"control groups lack {', '.join(sorted(controllers))}: mount them at {_CGROUPS}")
    unmounted = machine_mounts.absent()
    probe = f"sst-probe{os.getpid() % 10000}"
    _try("network namespaces are not allowed", ["ip", "netns", "add", probe])
    inside = ["nsenter", f"--net=/run/netns/{probe}"]
    try:
        _try("the kernel has no bridges", [*inside, "ip", "link", "add", "name", "br0", "type", "bridge"])
        _try(
            "the kernel has no veth", [*inside, "ip", "link", "add", "name", "v0", "type", "veth", "peer", "name", "v1"]
        )
        rules = (
            "add table ip t; add chain ip t c { type nat hook prerouting priority 0; }; add rule ip t c ct state new"
        )
        _try("the kernel has no nftables with NAT", [*inside, "nft", rules])
    finally:
        subprocess.run(["ip", "netns", "delete", probe], capture_output=True, check=False)
        machine_mounts.take_away(unmounted)
    plan.state.mkdir(parents=True, exist_ok=True)
    _check_overlay(plan.state)


def missing_capabilities(status: str) -> list[str]:
    """Which needed capabilities the text of /proc/self/status lacks."""
    effective = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:"))
    return [name for name, bit in _CAPABILITIES.items() if not effective >> bit & 1]


def _cgroup_controllers() -> set[str]:
    unified = _CGROUPS / "cgroup.controllers"
    if unified.exists():
        return set(unified.read_text().split())
    return {folder.name for folder in _CGROUPS.iterdir()} if _CGROUPS.exists() else set()


def _check_overlay(folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as trial:
        for part in ("lower", "upper", "work", "all"):
            Path(trial, part).mkdir()
        options = f"lowerdir={trial}/lower,upperdir={trial}/upper,workdir={trial}/work"
        wrong = f"no overlay mounts on {folder}: set XDG_STATE_HOME to a folder on ext4 or xfs"
        _try(wrong, ["mount", "-t", "overlay", "-o", options, "overlay", f"{trial}/all"])
        subprocess.run(["umount", f"{trial}/all"], check=True)


def _try(wrong: str, argv: list[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(
            f"{wrong} ({done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'no reason given'})"
        )


def calico_folder(environ: Mapping[str, str] = os.environ) -> Path | None:
    """The policy engine's folder that CALICO_DIR names, None without it; ClusterError where it lacks a part."""
    named = environ.get("CALICO_DIR")
    if not named:
        return None
    folder = Path(named).absolute()
    for part in ("calico-felix", "calico", "crd"):
        if not (folder / part).exists():
            raise ClusterError(f"CALICO_DIR={named}: no {part} in it; unset it, or see e2e/cluster/README.md")
    return folder
