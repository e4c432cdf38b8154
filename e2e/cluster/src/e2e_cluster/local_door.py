"""The door of the local cluster, and what people ask about it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from e2e_cluster import addons, containers, loading, network, teardown
from e2e_cluster.binaries import Say
from e2e_cluster.door import Door
from e2e_cluster.errors import ClusterError
from e2e_cluster.kubernetes_api import KubernetesApi
from e2e_cluster.local import policies_enforced, ready_nodes
from e2e_cluster.pki import KeyStore
from e2e_cluster.plan import ClusterPlan
from e2e_cluster.supervision import Supervisor


def door(plan: ClusterPlan, say: Say) -> Door:
    """The door of a local cluster that is up; ClusterError where it is not."""
    if not (plan.kubeconfig.exists() and KubernetesApi(plan.kubeconfig).ready()):
        raise ClusterError(f"the local cluster {plan.name!r} is not up; run `make cluster-up`")

    def load(archives: Sequence[Path]) -> None:
        loading.load(plan.nodes, archives, say)

    facts: dict[str, Any] = addons.describe(plan)
    return Door(
        cluster="local",
        kubeconfig=plan.kubeconfig,
        ca_file=KeyStore(plan.pki).certificate("ca"),
        policies_enforced=policies_enforced(plan),
        _load=load,
        _cut=lambda name: network.cut(plan.node(name)),
        _restore=lambda name: network.restore(plan.node(name)),
        _freeze=lambda name, container: containers.freeze(plan.node(name), container),
        _thaw=lambda name, container: containers.thaw(plan.node(name), container),
        _kill=lambda name, container: containers.kill(plan.node(name), container),
        **facts,
    )


def status(plan: ClusterPlan) -> list[str]:
    """What runs, one line each; a single line where nothing does."""
    if not teardown.remains(plan):
        return [f"local cluster {plan.name!r}: down"]
    supervisor, api = Supervisor(plan), KubernetesApi(plan.kubeconfig)
    lines = [f"{name:<28} {state}" for name, state in supervisor.states().items()] or ["supervisord is not running"]
    if plan.kubeconfig.exists() and api.ready():
        for name, ready in ready_nodes(api).items():
            cable = ", cut off" if network.is_cut(plan.node(name)) else ""
            lines.append(f"{name:<28} {'Ready' if ready else 'not Ready'}{cable}")
        pods = api.get("pods", "--all-namespaces")["items"]
        running = sum(pod["status"].get("phase") == "Running" for pod in pods)
        lines.append(f"{'pods':<28} {running} of {len(pods)} running")
    else:
        lines.append(f"{'API server':<28} does not answer")
    policies = "enforced" if policies_enforced(plan) else "not enforced: CALICO_DIR was not set"
    lines += [
        f"{'memory of all processes':<28} {_memory(plan) >> 20} MiB",
        f"{'network policies':<28} {policies}",
        f"{'kubeconfig':<28} {plan.kubeconfig}",
        f"{'logs':<28} {plan.logs}",
    ]
    return lines


def _memory(plan: ClusterPlan) -> int:
    """Resident bytes of the cluster's own processes, pods left out."""
    pid = plan.run / "supervisord.pid"
    if not pid.exists():
        return 0
    try:
        own = psutil.Process(int(pid.read_text()))
        return sum(process.memory_info().rss for process in (own, *own.children(recursive=True)))
    except psutil.NoSuchProcess:
        return 0
