"""Pods with live sessions when others decide that they go: a scale-in, a node that is drained, killed neighbours."""

import contextlib
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from e2e_cluster import tools
from e2e_cluster.door import Door
from kubernetes.client import V1Pod
from listener import Listener, recording, resolving, spoken
from live_namespace import LiveNamespace, is_ready, live_namespace, until
from live_session import sessions_of, uncut_session
from operated_stack import OperatedStack, install, issue_license, through_gateway
from plain_stack import STARTUP_SECONDS, is_served, staying_node

# The first of them waits until the stack is there.
pytestmark = [pytest.mark.kubernetes, pytest.mark.long, pytest.mark.timeout(900)]
NAME = "calls"
COST = "controller.kubernetes.io/pod-deletion-cost"
FOLLOWED_SECONDS = 60.0
MOVED_SECONDS = 240.0
# Envoy picks gateways as it likes: one of so many sessions comes to the gateway that a test needs.
_TRIES = 6


def _spec(stack: OperatedStack, images: Mapping[str, str]) -> dict[str, Any]:
    small = {"requests": {"cpu": "20m", "memory": "64Mi"}}
    model = {
        "name": "en-default",
        "speechModels": ["universal-streaming-english"],
        "source": f"image://{images['IMAGE_MODELS']}/models/en-default",
        "resources": {"requests": {"cpu": "50m", "memory": "512Mi"}},
        "autoscaling": {"minReplicas": 2},
    }
    return {
        "models": [model],
        "autoscaling": {"provider": "None"},
        "gateway": {"autoscaling": {"minReplicas": 3}, "resources": small, "expose": through_gateway(stack)},
        "loadBalancer": {"replicas": 2, "resources": small},
        "licenseProxy": {"replicas": 2, "resources": small},
    }


@pytest.fixture(scope="module")
def operator(door: Door) -> Iterator[LiveNamespace]:
    """The operator's namespace."""
    with live_namespace(door, "operator") as made:
        yield made


@pytest.fixture(scope="module")
def calls(
    door: Door, operator: LiveNamespace, images: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatedStack]:
    """A stack of three gateways that is Ready."""
    with live_namespace(door, "draining") as space:
        install(operator, space, images)
        issue_license(space, tmp_path_factory.mktemp("license"))
        stack = OperatedStack(space, NAME)
        stack.create(_spec(stack, images))
        stack.await_condition("Ready", "True", STARTUP_SECONDS)
        until("three gateways", lambda: len(stack.ready_pods("gateway")) == 3, FOLLOWED_SECONDS, otherwise=stack.tell)
        until(f"{stack.host} is served", lambda: is_served(door, stack.host), FOLLOWED_SECONDS)
        with resolving(door.domain, door.ingress_address, str(door.ca_file)):
            yield stack


def _by_name(pods: list[V1Pod]) -> dict[str, V1Pod]:
    return {pod.metadata.name: pod for pod in pods}


def _busy(stack: OperatedStack) -> list[V1Pod]:
    """Gateways that have sessions, and are not ending."""
    return [pod for pod in stack.ready_pods("gateway") if sessions_of(stack.namespace, pod)]


def _is_running(stack: OperatedStack, name: str) -> bool:
    pods = stack.namespace.core.list_namespaced_pod(stack.namespace.name).items
    return any(pod.metadata.name == name and pod.status.phase == "Running" for pod in pods)


def test_a_scale_in_takes_the_idle_gateways_and_the_session_lives_on(calls: OperatedStack, recordings: Path) -> None:
    with uncut_session(calls, recordings, times=3) as session:
        (busy,) = until("one gateway has the session", lambda: _busy(calls), FOLLOWED_SECONDS)
        name = busy.metadata.name

        def cost() -> bool:
            pod = _by_name(calls.pods("gateway"))[name]
            return (pod.metadata.annotations or {}).get(COST) == "1"

        until("its cost is written", cost, FOLLOWED_SECONDS, otherwise=calls.tell)
        calls.namespace.scale(f"{NAME}-gateway", 1)
        until("one is left", lambda: len(calls.pods("gateway")) == 1, FOLLOWED_SECONDS, otherwise=calls.tell)
        assert set(_by_name(calls.pods("gateway"))) == {name}
        assert not session.terminated.is_set(), "the recording was too short for this machine"
    calls.namespace.scale(f"{NAME}-gateway", 2)
    until("two again", lambda: len(calls.ready_pods("gateway")) == 2, MOVED_SECONDS, otherwise=calls.tell)


def test_the_operator_and_the_licence_proxies_are_killed_and_the_session_does_not_notice(
    calls: OperatedStack, operator: LiveNamespace, recordings: Path
) -> None:
    space = calls.namespace
    with uncut_session(calls, recordings, times=3) as session:
        before = {pod.metadata.uid for pod in (*operator.pods("operator"), *calls.pods("license-proxy"))}
        assert len(before) == 3
        for pod in operator.pods("operator"):
            operator.core.delete_namespaced_pod(pod.metadata.name, operator.name, grace_period_seconds=0)
        for pod in calls.pods("license-proxy"):
            space.core.delete_namespaced_pod(pod.metadata.name, space.name, grace_period_seconds=0)

        def are_back() -> bool:
            now = [*operator.ready_pods("operator"), *calls.ready_pods("license-proxy")]
            return len(now) == 3 and not before & {pod.metadata.uid for pod in now}

        until("they are back", are_back, MOVED_SECONDS, otherwise=calls.tell)
        assert not session.terminated.is_set(), "the recording was too short for this machine"
    calls.await_condition("Ready", "True", FOLLOWED_SECONDS)


def test_a_drain_of_a_node_cuts_no_session_and_new_ones_land_elsewhere(
    door: Door, calls: OperatedStack, recordings: Path
) -> None:
    if door.cluster != "local":
        pytest.skip(f"not run: a node of CLUSTER={door.cluster} is not ours to drain")
    space = calls.namespace
    staying = staying_node(space)
    leaving = next(pod for pod in calls.ready_pods("gateway") if pod.spec.node_name != staying)
    name, node = leaving.metadata.name, leaving.spec.node_name
    pcm, _ = recording(recordings)
    with contextlib.ExitStack() as live:
        listeners: list[Listener] = []
        while not sessions_of(space, leaving):
            assert len(listeners) < _TRIES, f"no session came to {name}"
            listeners.append(live.enter_context(uncut_session(calls, recordings, times=5)))
        with _drained(door, space, node) as drain:
            until(f"{name} is ending", lambda: name not in _by_name(calls.pods("gateway")), FOLLOWED_SECONDS)
            until("another has its place", lambda: _are_ready(calls, 2, node), MOVED_SECONDS, otherwise=calls.tell)
            heard = spoken(calls.host, calls.first_key(), pcm[: len(pcm) // 4], speed=1.0)
            assert heard.errors == []
            assert heard.transcript, "a new session is served elsewhere"
            assert _is_running(calls, name), "it stays as long as its session"
            assert drain.poll() is None, "kubectl waits for it"
            assert not any(listener.terminated.is_set() for listener in listeners), "too short for this machine"
            live.close()  # every word of every session was heard
            until("the node is empty", lambda: drain.poll() is not None, MOVED_SECONDS, otherwise=calls.tell)
            assert drain.returncode == 0
            assert not _is_running(calls, name)
    calls.await_condition("Ready", "True", MOVED_SECONDS)


def _are_ready(stack: OperatedStack, count: int, without: str) -> bool:
    pods = stack.pods("gateway")
    return len(pods) == count and all(is_ready(pod) and pod.spec.node_name != without for pod in pods)


@contextlib.contextmanager
def _drained(door: Door, space: LiveNamespace, node: str) -> Iterator["subprocess.Popen[str]"]:
    """`kubectl drain` of a node at work, of this stack's pods; at the end the node takes pods again."""
    kubectl = [str(tools.kubectl()), f"--kubeconfig={door.kubeconfig}"]
    argv = [*kubectl, "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=600s"]
    argv.append(f"--pod-selector=app.kubernetes.io/instance={NAME}")
    try:
        with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, text=True) as drain:
            try:
                yield drain
            finally:
                drain.kill()
    finally:
        subprocess.run([*kubectl, "uncordon", node], check=True, capture_output=True, timeout=60)
