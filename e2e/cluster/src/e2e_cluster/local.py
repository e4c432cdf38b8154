"""The local cluster: raised step by step, each step idempotent, timed and told."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from filelock import FileLock, Timeout

from e2e_cluster import (
    addons,
    binaries,
    dns,
    installation,
    loading,
    machine_mounts,
    network,
    nodes,
    preflight,
    room,
    sysctls,
    teardown,
)
from e2e_cluster.addons.oci_archive import ScratchImage, archived
from e2e_cluster.binaries import Say
from e2e_cluster.certificates import Authority
from e2e_cluster.control_plane import ControlPlane
from e2e_cluster.errors import ClusterError
from e2e_cluster.kubernetes_api import KubernetesApi
from e2e_cluster.node_files import node_object
from e2e_cluster.plan import ClusterPlan, NodePlan
from e2e_cluster.programs import Program
from e2e_cluster.supervision import Supervisor

PAUSE_IMAGE = "registry.k8s.io/pause:3.10"
_API_SECONDS = 90
_NODE_SECONDS = 120


@dataclass(frozen=True)
class Local:
    """A local cluster while it is raised: what steps and addons work with. `calico` is the policy engine's folder."""

    plan: ClusterPlan
    calico: Path | None
    say: Say

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.plan.kubeconfig

    @property
    def ca(self) -> Authority:
        """The cluster's certificate authority."""
        return self.plane.keys.authority("ca")

    @cached_property
    def plane(self) -> ControlPlane:
        """The control plane, its programs built where they are missing."""
        plan = self.plan
        return ControlPlane(
            folder=plan.state,
            address=plan.host,
            api_port=plan.api_port,
            etcd_port=plan.etcd_port,
            etcd_peer_port=plan.etcd_peer_port,
            services=str(plan.services),
            binaries=binaries.folder(binaries.KUBERNETES_PROGRAMS, self.say),
            data=plan.memory / "etcd",
            controller_manager_port=plan.controller_manager_port,
            scheduler_port=plan.scheduler_port,
            names=(str(plan.api_service), f"kubernetes.default.svc.{plan.domain}"),
        )

    @cached_property
    def supervisor(self) -> Supervisor:
        """What keeps the processes running."""
        return Supervisor(self.plan)

    @cached_property
    def api(self) -> KubernetesApi:
        """The API server as its administrator."""
        return KubernetesApi(self.plan.kubeconfig)

    def node_programs(self, node: NodePlan) -> dict[str, Program]:
        """A node's processes by part, in the order in which they start."""
        return nodes.programs(self.plan, self.plane, node, self.calico)


def up(plan: ClusterPlan, say: Say, calico: Path | None) -> None:
    """Raise the cluster, or repair what is missing of it. Raises ClusterError with what is wrong and the remedy."""
    local = Local(plan, calico, say)
    machine_mounts.keep(plan.state / "mounts.json")
    with _step(say, "machine checked"):
        check(plan, say)
    with _alone(plan):
        with _step(say, "programs and images there"):
            archives = build(plan, say)
        with _step(say, "network raised"):
            network.raise_network(plan)
        _refuse_other_policies(local)
        with _step(say, "control plane ready"):
            sysctls.keep(plan.state / "sysctls.json")
            _control_plane(local)
        with _step(say, "addons prepared"):
            addons.before_nodes(local)
        with _step(say, f"{len(plan.nodes)} nodes Ready"):
            _nodes(local, archives)
        with _step(say, "DNS answers"):
            local.api.apply_text(dns.manifest(plan))
            local.api.until("the cluster's DNS answers", lambda: dns.answers(plan), seconds=_NODE_SECONDS)
        with _step(say, "storage and ingress ready"):
            addons.after_nodes(local)


def check(plan: ClusterPlan, say: Say) -> None:
    """Whether this machine can raise it; what is missing of packages is installed. ClusterError with what is wrong."""
    preflight.check_permissions()
    installation.install_packages(say)
    preflight.check_kernel(plan)
    # One that is up has its room already.
    if network.owner(plan) != plan.owner:
        room.check(plan)


def build(plan: ClusterPlan, say: Say) -> list[Path]:
    """Build what is missing of programs and images, and raise nothing; archives of the cluster's own images."""
    local = Local(plan, None, say)
    _ = local.plane
    return [*_own_images(local), *addons.images(local)]


def down(plan: ClusterPlan, say: Say) -> None:
    """Take the cluster down; ClusterError where something will not go."""
    preflight.check_permissions()
    with _alone(plan), _step(say, "taken down"):
        teardown.down(plan)


def policies_enforced(plan: ClusterPlan) -> bool:
    """Whether the cluster that was raised enforces NetworkPolicies."""
    return (plan.state / "policies").exists() and (plan.state / "policies").read_text() == "calico"


def _own_images(local: Local) -> list[Path]:
    built = binaries.build((binaries.PAUSE, binaries.COREDNS), local.say)
    return [
        archived(local.plan.cache, ScratchImage(PAUSE_IMAGE, {"/pause": built["pause"]}, ("/pause",))),
        archived(local.plan.cache, ScratchImage(dns.IMAGE, {"/coredns": built["coredns"]}, ("/coredns",))),
    ]


def _refuse_other_policies(local: Local) -> None:
    """Pods keep the network that they were made with, so the engine cannot be changed under them."""
    mark, wanted = local.plan.state / "policies", "calico" if local.calico else "none"
    if mark.exists() and mark.read_text() != wanted:
        raise ClusterError(
            f"this cluster was raised with policy engine {mark.read_text()!r}, now CALICO_DIR asks for {wanted!r}: "
            f"run `make cluster-down` first, or set CALICO_DIR as it was"
        )
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text(wanted)


def _control_plane(local: Local) -> None:
    plan, plane = local.plan, local.plane
    plane.prepare()
    for folder in (plan.logs, plan.run, plan.etc):
        folder.mkdir(parents=True, exist_ok=True)
    central = [plane.etcd(), plane.api_server(), plane.controller_manager(str(plan.pods)), plane.scheduler()]
    for node in plan.nodes:
        nodes.prepare(plan, plane, node, pause=PAUSE_IMAGE, calico=local.calico)
    own = [program for node in plan.nodes for program in local.node_programs(node).values()]
    local.supervisor.prepare([*central, *own])
    local.supervisor.start("etcd")
    local.supervisor.start("kube-apiserver")
    try:
        local.api.until("the API server is ready", local.api.ready, seconds=_API_SECONDS)
    except ClusterError as error:
        raise ClusterError(f"{error}; see {plan.logs}/kube-apiserver.log and etcd.log") from error
    local.supervisor.start("kube-controller-manager")
    local.supervisor.start("kube-scheduler")


def _nodes(local: Local, archives: list[Path]) -> None:
    plan, supervisor = local.plan, local.supervisor
    local.api.apply(node_object(node) for node in plan.nodes)
    for node in plan.nodes:
        supervisor.start(f"{node.name}-containerd")
    for node in plan.nodes:
        local.api.until(f"{node.name}'s containerd answers", partial(nodes.containerd_answers, node), seconds=30)
    loading.load(plan.nodes, archives, local.say)
    for node in plan.nodes:
        if local.calico is not None:
            supervisor.start(f"{node.name}-felix")
            local.api.until(f"{node.name}'s Felix is ready", partial(nodes.felix_ready, node), seconds=60)
        supervisor.start(f"{node.name}-kube-proxy")
        supervisor.start(f"{node.name}-kubelet")
    local.api.until(f"nodes are Ready (see {plan.logs})", lambda: _all_ready(local), seconds=_NODE_SECONDS)


def ready_nodes(api: KubernetesApi) -> dict[str, bool]:
    """Each node of the cluster and whether it is Ready now."""
    return {
        item["metadata"]["name"]: any(
            condition["type"] == "Ready" and condition["status"] == "True"
            for condition in item.get("status", {}).get("conditions", ())
        )
        for item in api.get("nodes")["items"]
    }


def _all_ready(local: Local) -> bool:
    ready = ready_nodes(local.api)
    return all(ready.get(node.name) for node in local.plan.nodes)


@contextmanager
def _step(say: Say, what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    say(f"cluster: {what}  {time.monotonic() - began:.1f} s")


@contextmanager
def _alone(plan: ClusterPlan) -> Iterator[None]:
    plan.state.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(plan.state.parent / f"{plan.name}.lock", timeout=0):
            yield
    except Timeout as error:
        raise ClusterError(f"another `up` or `down` of cluster {plan.name!r} is at work; wait for it") from error
