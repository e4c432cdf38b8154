"""The local cluster, raised for real: it comes up, mends itself, and leaves the machine as it found it.

Takes the addresses of the one cluster that fits on a machine, so it does not run beside one that is up.
"""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from e2e_cluster import local, local_door, network, preflight, sysctls, teardown
from e2e_cluster.errors import ClusterError
from e2e_cluster.kubernetes_api import KubernetesApi
from e2e_cluster.plan import ClusterPlan, plan
from e2e_cluster.supervision import Supervisor

pytestmark = [pytest.mark.raises_cluster, pytest.mark.timeout(1800)]

_STEPS = [
    *("machine checked", "programs and images there", "network raised", "control plane ready", "addons prepared"),
    *("2 nodes Ready", "DNS answers", "storage and ingress ready"),
]
_FOLDERS = ("/run/containerd", "/var/lib/cni", "/var/lib/kubelet", "/var/log/containers", "/var/log/pods")


@pytest.fixture(scope="module")
def traces() -> dict[str, object]:
    """What the machine is like before the cluster."""
    held = network.owner(plan())
    if held:
        pytest.skip(f"a cluster is up ({held}): `make cluster-down` first, then this test raises its own")
    return _machine()


@dataclass
class Beginning:
    """When the cluster was begun, and what was told until it was up."""

    at: float = field(default_factory=time.time)
    told: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        print(line)
        self.told.append(line)


@pytest.fixture(scope="module")
def beginning(traces: dict[str, object]) -> Beginning:
    return Beginning()


@pytest.fixture(scope="module")
def cluster(beginning: Beginning) -> Iterator[ClusterPlan]:
    made = plan("test")
    try:
        local.up(made, beginning.say, preflight.calico_folder())
        yield made
    finally:  # one that came up by half holds the addresses as well
        if teardown.remains(made):
            local.down(made, print)


def _machine() -> dict[str, object]:
    """All that a cluster could leave on a machine, but files in its own folders."""
    told = {name: _said(*words) for name, words in _QUESTIONS.items()}
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return {
        **told,
        "mounts": sorted(line.split()[4] for line in mounts if "/containers/storage" not in line),
        "control groups": sorted(str(path) for path in Path("/sys/fs/cgroup").glob("*/*") if path.is_dir()),
        "kernel": {name: Path("/proc/sys", name).read_text() for name in sysctls.CHANGED},
        "folders": {folder: sorted(str(path) for path in Path(folder).rglob("*")) for folder in _FOLDERS},
        "shims": _said("pgrep", "-f", "containerd-shim|sst-cluster"),
    }


_QUESTIONS = {
    "links": ("ip", "-br", "link"),
    "routes": ("ip", "route", "show", "table", "all"),
    "namespaces": ("ip", "netns"),
    "rules": ("nft", "list", "ruleset"),
}


def _said(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout


def test_its_nodes_are_ready_and_its_door_is_open(cluster: ClusterPlan) -> None:
    door = local_door.door(cluster, print)
    assert local.ready_nodes(KubernetesApi(door.kubeconfig)) == {"node1": True, "node2": True}
    facts = json.loads(door.to_json())
    assert facts["cluster"] == "local"
    assert facts["policies_enforced"] == (preflight.calico_folder() is not None)
    assert Path(facts["ca_file"]).exists()


def test_up_tells_each_step_with_its_time(cluster: ClusterPlan, beginning: Beginning) -> None:
    steps = [line for line in beginning.told if line.startswith("cluster: ")]
    timed = [re.fullmatch(r"cluster: (.+)  \d+\.\d s", line) for line in steps]
    assert [found and found[1] for found in timed] == _STEPS, steps


def test_every_part_writes_a_log(cluster: ClusterPlan, beginning: Beginning) -> None:
    parts = Supervisor(cluster).states()
    assert parts.keys() >= {"etcd", "kube-apiserver", "node1-kubelet", "node2-containerd"}
    # Logs of clusters before this one are kept.
    written = {file.stem for file in cluster.logs.glob("*.log") if file.stat().st_mtime >= beginning.at}
    assert written >= parts.keys()
    assert [part for part in parts if not (cluster.logs / f"{part}.log").stat().st_size] == []


def test_a_second_up_changes_nothing(cluster: ClusterPlan) -> None:
    pods = KubernetesApi(cluster.kubeconfig).kubectl("get", "pods", "-A", "-o", "name")
    pids = Path(cluster.run / "supervisord.pid").read_text()
    local.up(cluster, print, preflight.calico_folder())
    assert KubernetesApi(cluster.kubeconfig).kubectl("get", "pods", "-A", "-o", "name") == pods
    assert Path(cluster.run / "supervisord.pid").read_text() == pids


def test_up_mends_what_is_missing(cluster: ClusterPlan) -> None:
    Supervisor(cluster).stop("kube-apiserver")
    Supervisor(cluster).stop("node2-kubelet")
    network.cut(cluster.node("node2"))
    local.up(cluster, print, preflight.calico_folder())
    assert local.ready_nodes(KubernetesApi(cluster.kubeconfig)) == {"node1": True, "node2": True}


def test_a_node_that_is_cut_off_is_missed_and_comes_back(cluster: ClusterPlan) -> None:
    door, api = local_door.door(cluster, print), KubernetesApi(cluster.kubeconfig)
    door.cut("node2")
    api.until("node2 is missed", lambda: not local.ready_nodes(api)["node2"], seconds=90)
    door.restore("node2")
    api.until("node2 is back", lambda: local.ready_nodes(api)["node2"], seconds=90)


def test_a_cluster_of_another_name_is_told_who_holds_the_addresses(cluster: ClusterPlan) -> None:
    with pytest.raises(ClusterError, match="another cluster holds the addresses"):
        network.raise_network(plan("other"))


def test_status_names_every_part_and_the_logs(cluster: ClusterPlan) -> None:
    told = "\n".join(local_door.status(cluster))
    for part in ("etcd", "kube-apiserver", "node1-kubelet", "node2-containerd", "Ready", str(cluster.logs)):
        assert part in told


def test_down_leaves_the_machine_as_it_was(cluster: ClusterPlan, traces: dict[str, object]) -> None:
    assert teardown.remains(cluster)
    local.down(cluster, print)
    assert teardown.remains(cluster) == []
    deadline = time.monotonic() + 10
    while (now := _machine()) != traces and time.monotonic() < deadline:
        time.sleep(0.2)
    assert now == traces
    local.down(cluster, print)
