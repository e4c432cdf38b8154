"""Debian packages of the cluster: what is missing is installed, and no service of theirs is started."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from e2e_cluster.binaries import Say
from e2e_cluster.errors import ClusterError

# What each program comes with. kubelet and kube-proxy want the later ones.
PACKAGES: Mapping[str, str] = {
    "etcd": "etcd-server",
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    "ip": "iproute2",
    "iptables": "iptables",
    "nft": "nftables",
    "conntrack": "conntrack",
    "ipset": "ipset",
    "ethtool": "ethtool",
    "socat": "socat",
    "nsenter": "util-linux",
    "mount": "mount",
    "sysctl": "procps",
}
_FOLDERS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_POLICY = Path("/usr/sbin/policy-rc.d")


def missing_packages(wanted: Mapping[str, str] = PACKAGES) -> list[str]:
    """Debian's names of the packages whose programs are not there; `wanted` maps programs to packages."""
    path = f"{os.environ.get('PATH', '')}:{_FOLDERS}"
    return sorted({package for program, package in wanted.items() if shutil.which(program, path=path) is None})


def install_packages(say: Say, wanted: Mapping[str, str] = PACKAGES) -> None:
    """Install what is missing; ClusterError with the command where that cannot be done here."""
    missing = missing_packages(wanted)
    if not missing:
        return
    remedy = f"as root run: apt-get install -y --no-install-recommends {' '.join(missing)}"
    if shutil.which("apt-get") is None:
        raise ClusterError(f"missing: {', '.join(missing)}; install them (on Debian, {remedy})")
    if os.geteuid() != 0:
        raise ClusterError(f"missing: {', '.join(missing)}; {remedy}")
    say(f"installing {' '.join(missing)}")
    with _no_services():
        if _apt("install", "-y", "-qq", "--no-install-recommends", *missing) is None:
            return
        _apt("update", "-qq")
        complaint = _apt("install", "-y", "-qq", "--no-install-recommends", *missing)
    if complaint is not None:
        raise ClusterError(f"packages could not be installed; {remedy}: {complaint}")


def _apt(*words: str) -> str | None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    argv: Sequence[str] = ("apt-get", *words)
    done = subprocess.run(argv, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return (done.stderr or done.stdout)[-400:] if done.returncode else None


@contextmanager
def _no_services() -> Iterator[None]:
    """While packages are installed Debian asks this file whether their services may start."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink()
