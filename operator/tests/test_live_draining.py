"""Pods with sessions, against a real API server: which go first, what waits for them, what is made anew."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from e2e_cluster.errors import ClusterError
from e2e_cluster.kubernetes_api import KubernetesApi
from live_operator import Namespace, Running, model, operator, until
from live_pods import Node, node, pods_of
from streaming_operator.seen import DELETION_COST

pytest_plugins = ["e2e_cluster.testing", "live_fixtures"]
pytestmark = pytest.mark.cluster
GATEWAY, POOL = "demo-gateway", "demo-asr-en-default"


@pytest.fixture
def kubelet(api: KubernetesApi) -> Iterator[Node]:
    """A node of the test's own."""
    with node(api) as made:
        yield made


def _costs(space: Namespace, deployment: str) -> dict[str, str | None]:
    found = pods_of(space, deployment)
    return {name: pod["metadata"].get("annotations", {}).get(DELETION_COST) for name, pod in found.items()}


def _gateway(space: Namespace) -> dict[str, Any]:
    found = space.get("deployment", GATEWAY)
    assert found is not None
    return found


def _has_cost(space: Namespace, deployment: str, pod: str, cost: str) -> bool:
    return _costs(space, deployment)[pod] == cost


@pytest.mark.parametrize("deployment", [GATEWAY, POOL])
def test_a_replica_set_that_shrinks_ends_the_idle_pods_first(space: Namespace, kubelet: Node, deployment: str) -> None:
    sizes = {"autoscaling": {"minReplicas": 4}}
    space.stack(autoscaling={"provider": "None"}, gateway=sizes, models=[model("en-default", **sizes)])
    names = kubelet.run_all(space, deployment, 4)
    # Every one but the second is busy: without the costs all would be equal.
    sessions = dict(zip(names, (5, 0, 1, 12), strict=True))
    for name, count in sessions.items():
        kubelet.told[name].sessions = count
    busy = {name: str(count) for name, count in sessions.items() if count}
    until("the costs are written", lambda: {**_costs(space, deployment), names[1]: None} == {**busy, names[1]: None})
    assert _costs(space, deployment)[names[1]] is None, "an idle pod needs no write"
    for left in ([0, 2, 3], [0, 3], [3]):
        space.kubectl("scale", "deployment", deployment, f"--replicas={len(left)}")
        until(f"{len(left)} are left", partial(_has_pods, space, deployment, len(left)))
        assert sorted(pods_of(space, deployment)) == [names[number] for number in left]
    # From twelve to none: the next to go is this one.
    kubelet.told[names[3]].sessions = 0
    until("it counts as idle", partial(_has_cost, space, deployment, names[3], "0"))


def _has_pods(space: Namespace, deployment: str, count: int) -> bool:
    return len(pods_of(space, deployment)) == count


def test_costs_are_written_once_and_call_for_no_reconcile(space: Namespace, kubelet: Node, running: Running) -> None:
    space.stack(autoscaling={"provider": "None"}, gateway={"autoscaling": {"minReplicas": 2}})
    names = kubelet.run_all(space, GATEWAY, 2)
    kubelet.told[names[0]].sessions = 3
    until("it is written", partial(_has_cost, space, GATEWAY, names[0], "3"))
    running.until_quiet()
    version = pods_of(space, GATEWAY)[names[0]]["metadata"]["resourceVersion"]
    for sessions in (4, 3, 4):  # one more or less is no news
        kubelet.told[names[0]].sessions = sessions
        before = running.total("streaming_operator_api_requests_total", kind="Pod", verb="PATCH")
        until("it was read again", partial(_was_read, kubelet.told[names[0]]))
        assert running.total("streaming_operator_api_requests_total", kind="Pod", verb="PATCH") == before
    assert pods_of(space, GATEWAY)[names[0]]["metadata"]["resourceVersion"] == version


def _was_read(told: Any) -> bool:
    seen = told.asked
    return bool(until("another reading", lambda: told.asked > seen + 1))


def test_a_pod_that_only_bears_our_labels_gets_no_cost(space: Namespace, kubelet: Node) -> None:
    space.stack(autoscaling={"provider": "None"}, gateway={"autoscaling": {"minReplicas": 1}})
    (ours,) = kubelet.run_all(space, GATEWAY, 1)
    labels = pods_of(space, GATEWAY)[ours]["metadata"]["labels"]
    del labels["pod-template-hash"]
    container = {"name": "main", "image": "registry.example/main:1"}
    stranger = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stranger", "labels": labels}}
    space.apply({**stranger, "spec": {"containers": [container]}})
    kubelet.run(space, "stranger", sessions=7)
    kubelet.told[ours].sessions = 7
    until("ours is told", partial(_has_cost, space, GATEWAY, ours, "7"))
    until("the stranger is read", partial(_was_read, kubelet.told["stranger"]))
    found = space.get("pod", "stranger")
    assert found is not None
    assert DELETION_COST not in found["metadata"].get("annotations", {})


def test_sessions_of_pods_that_drain_are_told(space: Namespace, kubelet: Node) -> None:
    space.stack(autoscaling={"provider": "None"}, gateway={"autoscaling": {"minReplicas": 2}})
    names = kubelet.run_all(space, GATEWAY, 2)
    for name, count in zip(names, (2, 3), strict=True):
        kubelet.told[name].sessions = count
    until("all are counted", lambda: _told(space).get("sessions") == 5)
    space.kubectl("delete", "pod", names[0], "--wait=false")
    until("two of them drain", lambda: _told(space).get("drainingSessions") == 2)
    assert (_told(space)["draining"], _told(space)["sessions"]) == (1, 5)
    header, line = space.kubectl("get", "sst", "demo").splitlines()
    columns = dict(zip(_cells(header, header), _cells(header, line), strict=True))
    assert (columns["DRAINING"], columns["DRAINING SESSIONS"], columns["SESSIONS"]) == ("1", "2", "5")
    space.kubectl("delete", "pod", names[0], "--force", "--grace-period=0")
    until("none drains", lambda: _told(space)["draining"] == 0)
    assert "drainingSessions" not in _told(space)


def _told(space: Namespace) -> dict[str, Any]:
    found = space.get("streamingstack", "demo")
    gateway: dict[str, Any] = (found or {}).get("status", {}).get("gateway", {})
    return gateway


def _cells(header: str, line: str) -> list[str]:
    """Cut where the header's columns begin: their names have single spaces in them."""
    starts = [n for n in range(len(header)) if header[n] != " " and (n == 0 or header[max(0, n - 2) : n] == "  ")]
    return [line[a:b].strip() for a, b in zip(starts, [*starts[1:], len(line)], strict=True)]


def test_a_rollout_under_way_waits_while_too_many_drain(space: Namespace, kubelet: Node) -> None:
    spec: dict[str, Any] = {"autoscaling": {"minReplicas": 4}, "maxDrainingPods": 1}
    space.stack(autoscaling={"provider": "None"}, gateway=spec)
    old = kubelet.run_all(space, GATEWAY, 4)
    for name in old:
        kubelet.told[name].sessions = 1
    until("all are ready", lambda: _gateway(space)["status"].get("readyReplicas") == 4)
    space.stack(autoscaling={"provider": "None"}, gateway=spec | {"sessions": {"maxPerPod": 40}})
    for drain in (1, 2):
        fresh = until("a new pod", lambda: sorted(set(pods_of(space, GATEWAY)) - set(kubelet.told)))
        kubelet.run(space, fresh[0])
        until(f"{drain} drain", partial(_drain, space, drain))
    told = space.until_condition("demo", "Progressing", "WaitingForDrain")
    assert "2 pods still drain, 1 may" in told["message"]
    until("the rollout is held", lambda: _gateway(space)["spec"].get("paused"))
    # The pod that was made before the operator had seen the second one drain: it is ready, and no other ends for it.
    for name in set(pods_of(space, GATEWAY)) - set(kubelet.told):
        kubelet.run(space, name)
    before = len(pods_of(space, GATEWAY))
    space.kubectl("scale", "deployment", GATEWAY, "--replicas=5")
    until("it is still scaled", lambda: len(pods_of(space, GATEWAY)) > before)
    assert _gateway(space)["spec"].get("paused")
    assert len(pods_of(space, GATEWAY, ending=True)) == 2
    ending = sorted(pods_of(space, GATEWAY, ending=True))
    space.kubectl("delete", "pod", ending[0], "--force", "--grace-period=0")
    until("it goes on", lambda: not _gateway(space)["spec"].get("paused"))
    managers = [entry["manager"] for entry in _gateway(space)["metadata"]["managedFields"]]
    assert "streaming-operator-hold" not in managers


def _drain(space: Namespace, count: int) -> bool:
    return len(pods_of(space, GATEWAY, ending=True)) >= count


def test_an_eviction_takes_a_second_gateway_only_when_another_serves_in_place_of_the_first(
    space: Namespace, kubelet: Node
) -> None:
    space.stack(autoscaling={"provider": "None"}, gateway={"autoscaling": {"minReplicas": 2}})
    first, second = kubelet.run_all(space, GATEWAY, 2)
    until("the budget allows one", partial(_is_evicted, space, first))
    assert pods_of(space, GATEWAY, ending=True)[first]["metadata"]["deletionGracePeriodSeconds"] > 10_800
    (instead,) = until("another is made", lambda: sorted(set(pods_of(space, GATEWAY)) - {first, second}))
    for _ in range(5):
        assert not _is_evicted(space, second), "nobody takes sessions in place of the first yet"
    kubelet.run(space, instead)
    until("now the second may go", partial(_is_evicted, space, second))
    assert set(pods_of(space, GATEWAY, ending=True)) == {first, second}


def _is_evicted(space: Namespace, pod: str) -> bool:
    """Whether the API server grants the eviction, as a drain of the pod's node asks for it."""
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": space.name}}
    path = f"/api/v1/namespaces/{space.name}/pods/{pod}/eviction"
    try:
        space.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
    except ClusterError as refused:
        if "disruption budget" not in str(refused):
            raise
        return False
    return True


@pytest.mark.parametrize("provider", ["HPA", "None"])
@pytest.mark.parametrize("cascade", ["background", "orphan"])
def test_a_deployment_made_anew_is_as_large_as_it_was(space: Namespace, provider: str, cascade: str) -> None:
    sizes = {"autoscaling": {"minReplicas": 2}}
    space.stack(autoscaling={"provider": provider}, gateway=sizes, models=[model("en-default")])
    for name, size in ((GATEWAY, 5), (POOL, 3)):
        until(f"{name} is there", partial(space.get, "deployment", name))
        space.kubectl("scale", "deployment", name, f"--replicas={size}")
    until("the status has it", lambda: _desired(space) == (5, 3))
    if provider == "HPA":
        # More than it has: its last wish, which it could not carry out.
        wish = {"status": {"desiredReplicas": 7, "currentReplicas": 5}}
        space.patch("hpa", GATEWAY, wish, "--subresource=status")
    for name, size in ((GATEWAY, 5), (POOL, 3)):
        uid = (space.get("deployment", name) or {})["metadata"]["uid"]
        # How long the garbage collector takes to orphan is its own affair.
        space.kubectl("delete", "deployment", name, f"--cascade={cascade}", "--wait=false")
        again = until(f"{name} is made anew", partial(_another, space, name, uid), 300)
        assert again["spec"]["replicas"] >= size
        assert again["metadata"]["generation"] <= 2, "made with its size, not sized afterwards"
    assert _desired(space)[1] == 3


def _another(space: Namespace, name: str, uid: str) -> dict[str, Any] | None:
    found = space.get("deployment", name)
    return found if found and found["metadata"]["uid"] != uid else None


def _desired(space: Namespace) -> tuple[int, int]:
    found = space.get("streamingstack", "demo") or {}
    status = found.get("status", {})
    return status.get("gateway", {}).get("desired", 0), next(
        (entry.get("desired", 0) for entry in status.get("models", [])), 0
    )


def test_a_deployment_that_was_deleted_while_the_operator_was_away_is_as_large_as_it_was(
    elsewhere: Namespace, tmp_path: Path
) -> None:
    fixed: dict[str, Any] = {"autoscaling": {"provider": "None"}}
    elsewhere.stack(**fixed)
    with operator(elsewhere.api.kubeconfig, tmp_path / "log1", elsewhere.name):
        elsewhere.until_made()
        elsewhere.kubectl("scale", "deployment", GATEWAY, "--replicas=6")
        until("the status has it", lambda: _desired(elsewhere)[0] == 6)
    elsewhere.kubectl("delete", "deployment", GATEWAY)
    with operator(elsewhere.api.kubeconfig, tmp_path / "log2", elsewhere.name):
        found = until("it is there again", partial(elsewhere.get, "deployment", GATEWAY))
        assert found["spec"]["replicas"] == 6
