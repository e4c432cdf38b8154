"""Nodes: their folders, control groups, processes and images."""

import os
import subprocess
import urllib.request
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from e2e_cluster.control_plane import ControlPlane
from e2e_cluster.errors import ClusterError
from e2e_cluster.node_files import CNI_PLUGINS, containerd_toml, kube_proxy_yaml, kubelet_yaml, pod_network
from e2e_cluster.pki import write_private
from e2e_cluster.plan import ClusterPlan, NodePlan
from e2e_cluster.programs import Program, flags

CGROUPS = Path("/sys/fs/cgroup")
FELIX_PORT = 9099


def prepare(plan: ClusterPlan, plane: ControlPlane, node: NodePlan, *, pause: str, calico: Path | None) -> None:
    """Write a node's keys, configuration files and folders, and make its control groups."""
    ca = plane.keys.authority("ca")
    plane.keys.server(ca, f"{node.name}-serving", (node.name, str(node.address)))
    kubelet = plane.kubeconfig_of(node.name)
    plane.write_kubeconfig(ca, kubelet, node.name, f"system:node:{node.name}", ("system:nodes",))
    proxy = plane.kubeconfig_of("kube-proxy")
    plane.write_kubeconfig(ca, proxy, "kube-proxy", "system:kube-proxy")
    cni = plane.kubeconfig_of("calico-cni")
    if calico is not None:
        plane.write_kubeconfig(ca, cni, "calico-cni", "calico-cni")
        plane.write_kubeconfig(ca, plane.kubeconfig_of("calico-felix"), "calico-felix", "calico-felix")
    write_private(node.state / "containerd.toml", containerd_toml(node, pause))
    write_private(node.state / "kubelet.yaml", kubelet_yaml(plan, node))
    write_private(node.state / "kube-proxy.yaml", kube_proxy_yaml(plan, node, proxy))
    write_private(node.state / "cni/conf/10-pods.conflist", pod_network(node, cni if calico else None))
    _link_plugins(node, calico)
    node.run.mkdir(parents=True, exist_ok=True)
    (plan.logs / "pods" / node.name).mkdir(parents=True, exist_ok=True)
    make_cgroups(node.cgroup)


def programs(plan: ClusterPlan, plane: ControlPlane, node: NodePlan, calico: Path | None) -> dict[str, Program]:
    """The node's processes by part, in the order in which they start."""
    own = [Program(f"{node.name}-containerd", ("containerd", f"--config={node.state}/containerd.toml"))]
    if calico is not None:
        felix = felix_environment(plane.kubeconfig_of("calico-felix"), node)
        # It mounts /sys/fs/bpf, and makes folders there, even where it is told to do without BPF.
        own.append(Program(f"{node.name}-felix", (str(calico / "calico-felix"),), felix, own_mounts=True))
    own.append(
        Program(
            f"{node.name}-kube-proxy", (str(plane.binaries / "kube-proxy"), f"--config={node.state}/kube-proxy.yaml")
        )
    )
    own.append(
        Program(
            f"{node.name}-kubelet",
            (
                str(plane.binaries / "kubelet"),
                *flags(
                    config=node.state / "kubelet.yaml",
                    kubeconfig=plane.kubeconfig_of(node.name),
                    root_dir=node.state / "kubelet",
                    cert_dir=plan.pki,
                    hostname_override=node.name,
                    node_ip=node.address,
                ),
            ),
        )
    )
    return {program.name.removeprefix(f"{node.name}-"): replace(program, namespace=node.namespace) for program in own}


def felix_environment(kubeconfig: Path, node: NodePlan) -> Mapping[str, str]:
    """How Felix, Calico's policy engine, is told to enforce NetworkPolicies and nothing else."""
    off = ("IPV6SUPPORT", "BPFENABLED", "XDPENABLED", "VXLANENABLED", "IPINIPENABLED", "WIREGUARDENABLED")
    return {
        "KUBECONFIG": str(kubeconfig),
        "FELIX_DATASTORETYPE": "kubernetes",
        "FELIX_FELIXHOSTNAME": node.name,
        # A fresh namespace has no rules yet, and would be taken for one of the old kind.
        "FELIX_IPTABLESBACKEND": "nft",
        "FELIX_DEFAULTENDPOINTTOHOSTACTION": "RETURN",
        "FELIX_IPTABLESLOCKFILEPATH": f"{node.run}/xtables.lock",
        "FELIX_HEALTHENABLED": "true",
        "FELIX_HEALTHHOST": str(node.address),
        "FELIX_HEALTHPORT": str(FELIX_PORT),
        "FELIX_USAGEREPORTINGENABLED": "false",
        "FELIX_LOGFILEPATH": "none",
        "FELIX_LOGSEVERITYFILE": "none",
        "FELIX_LOGSEVERITYSYS": "none",
        "FELIX_LOGSEVERITYSCREEN": "warning",
        **{f"FELIX_{name}": "false" for name in off},
    }


def make_cgroups(name: str) -> None:
    """Make a control group of that name in every hierarchy of version 1, or in the one of version 2."""
    if (CGROUPS / "cgroup.controllers").exists():
        group = CGROUPS / name
        group.mkdir(exist_ok=True)
        for parent in (CGROUPS, group):
            wanted = " ".join(f"+{controller}" for controller in (parent / "cgroup.controllers").read_text().split())
            (parent / "cgroup.subtree_control").write_text(wanted)
        _give_weight(group / "cpu.weight", 100)
        return
    for hierarchy in cgroup_hierarchies():
        group = hierarchy / name
        group.mkdir(exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):
            # A new set is empty, and nothing can run in it.
            if (group / file).exists() and not (group / file).read_text().strip():
                (group / file).write_text((hierarchy / file).read_text())
        _give_weight(group / "cpu.shares", 1024)


def _give_weight(file: Path, one: int) -> None:
    """As much for a node's pods as kubelet gives them on a machine of their own: by default a whole node has no more of
    a busy machine than any one process beside it."""
    if file.exists():
        file.write_text(str(one * (os.cpu_count() or 1)))


def cgroup_hierarchies() -> list[Path]:
    """Roots of the control groups' hierarchies: one of version 2, or those of version 1."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [
        folder for folder in sorted(CGROUPS.iterdir()) if (folder / "cgroup.procs").exists() and not folder.is_symlink()
    ]


def _link_plugins(node: NodePlan, calico: Path | None) -> None:
    folder = node.state / "cni/bin"
    folder.mkdir(parents=True, exist_ok=True)
    plugins = {name: CNI_PLUGINS / name for name in ("ptp", "host-local", "portmap", "loopback")}
    if calico is not None:
        plugins["calico"] = calico / "calico"
    for name, path in plugins.items():
        if not path.exists():
            raise ClusterError(f"{path} is missing; as root run: apt-get install -y containernetworking-plugins")
        link = folder / name
        if not (link.is_symlink() and link.readlink() == path):
            link.unlink(missing_ok=True)
            link.symlink_to(path)


def ctr(node: NodePlan, *words: str) -> str:
    """Run containerd's `ctr` on a node; ClusterError with what it complains of."""
    argv = ["ctr", f"--address={node.containerd_socket}", "--namespace=k8s.io", *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"{node.name}: ctr {' '.join(words)}: {done.stderr.strip()[-400:]}")
    return done.stdout


def containerd_answers(node: NodePlan) -> bool:
    """Whether the node's containerd takes orders."""
    try:
        ctr(node, "version")
    except ClusterError:
        return False
    return True


def felix_ready(node: NodePlan) -> bool:
    """Whether the node's policy engine has written its rules."""
    try:
        with urllib.request.urlopen(f"http://{node.address}:{FELIX_PORT}/readiness", timeout=2) as answer:
            return bool(200 <= answer.status < 300)
    except OSError:
        return False
