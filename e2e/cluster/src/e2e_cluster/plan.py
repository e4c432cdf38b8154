"""The plan of one local cluster: every name, address, port and folder, decided before anything starts.

All addresses are from 198.18.0.0/15, which is set aside for tests of networks and routed nowhere.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

KUBERNETES = "1.34.4"
# The longest path of a UNIX socket is 107 bytes; kubelet has some like `device-plugins/kubelet.sock`.
_LONGEST_STATE = 60
_HOST = IPv4Address("198.18.0.1")
_NETWORK = IPv4Network("198.18.0.0/24")
_PODS = IPv4Network("198.18.16.0/20")
_SERVICES = IPv4Network("198.19.0.0/16")


@dataclass(frozen=True)
class NodePlan:
    """One node: a network namespace with its own containerd, kubelet and kube-proxy."""

    name: str
    address: IPv4Address
    pods: IPv4Network
    state: Path
    run: Path
    cgroup: str
    link: str
    """The host's end of the node's cable; 15 characters at most."""

    @property
    def namespace(self) -> Path:
        """The network namespace's file; its name is the control group's, too."""
        return Path("/run/netns") / self.cgroup

    @property
    def containerd_socket(self) -> Path:
        """Where the node's containerd listens."""
        return self.run / "containerd.sock"


@dataclass(frozen=True)
class ClusterPlan:
    """One local cluster. Folders: `state` is on disk, `memory` holds what syncs often, `run` sockets; `logs` stays."""

    name: str
    state: Path
    run: Path
    memory: Path
    logs: Path
    cache: Path
    nodes: tuple[NodePlan, ...]
    bridge: str = "sst0"
    host: IPv4Address = _HOST
    network: IPv4Network = _NETWORK
    pods: IPv4Network = _PODS
    services: IPv4Network = _SERVICES
    domain: str = "cluster.local"
    api_port: int = 6443
    etcd_port: int = 23790
    etcd_peer_port: int = 23800
    controller_manager_port: int = 10257
    scheduler_port: int = 10259
    kubernetes: str = KUBERNETES

    @property
    def dns(self) -> IPv4Address:
        """The Service address of the cluster's DNS."""
        return self.services[10]

    @property
    def api_service(self) -> IPv4Address:
        """The Service address of the API server."""
        return self.services[1]

    @property
    def api_url(self) -> str:
        """Where every client finds the API server."""
        return f"https://{self.host}:{self.api_port}"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.state / "kubeconfig"

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.state / "pki"

    @property
    def owner(self) -> str:
        """What the bridge is labelled with, so that two clusters never share it."""
        return f"e2e-cluster {self.name} {self.state}"

    @property
    def etc(self) -> Path:
        """Configuration files of the parts."""
        return self.state / "etc"

    @property
    def supervisor_socket(self) -> Path:
        """Where the cluster's supervisord listens."""
        return self.run / "supervisor.sock"

    @property
    def supervisor_config(self) -> Path:
        """The cluster's supervisord.conf."""
        return self.etc / "supervisord.conf"

    def node(self, name: str) -> NodePlan:
        """The node of that name; KeyError with the names there are."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(f"no node {name!r}; there are {', '.join(node.name for node in self.nodes)}")


def plan(name: str = "local", *, nodes: int = 2, environ: Mapping[str, str] | None = None) -> ClusterPlan:
    """The plan of the cluster `name` (1 to 8 of a-z, 0-9) with 1 to 4 nodes, its folders from the XDG variables.

    Raises ValueError for a name or a number of nodes that cannot be, and for folders too deep for UNIX sockets.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]{0,7}", name):
        raise ValueError(f"cluster name {name!r}: 1 to 8 of a-z and 0-9, beginning with a letter")
    if not 1 <= nodes <= 4:
        raise ValueError(f"{nodes} nodes: 1 to 4 fit on one machine")
    env = os.environ if environ is None else environ
    home = Path(env.get("HOME") or "/root")
    state = Path(env.get("XDG_STATE_HOME") or home / ".local/state") / "streamingstack/cluster" / name
    if len(str(state)) > _LONGEST_STATE:
        raise ValueError(f"{state} is too long for UNIX sockets below it; set XDG_STATE_HOME to a shorter folder")
    run = Path("/run/sst-cluster") / name
    cache = cache_folder(env)
    pods = _PODS.subnets(new_prefix=24)
    return ClusterPlan(
        name=name,
        state=state,
        run=run,
        memory=Path("/dev/shm/sst-cluster") / name,
        logs=state.parent / f"{name}-logs",
        cache=cache,
        nodes=tuple(
            NodePlan(
                name=f"node{number}",
                address=_NETWORK[10 + number],
                pods=next(pods),
                state=state / f"node{number}",
                run=run / f"node{number}",
                cgroup=f"sst-{name}-node{number}",
                link=f"v-{name}{number}",
            )
            for number in range(1, nodes + 1)
        ),
    )


def cache_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Where everything that is built is kept by content: `${XDG_CACHE_HOME:-~/.cache}/streamingstack/cluster`."""
    env = os.environ if environ is None else environ
    return Path(env.get("XDG_CACHE_HOME") or Path(env.get("HOME") or "/root") / ".cache") / "streamingstack/cluster"
