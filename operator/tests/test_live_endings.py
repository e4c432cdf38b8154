"""Ends of all kinds against a real API server: of stacks, of their gateways, of the operator itself."""

import base64
import hashlib
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from counting_proxy import counting_proxy, plain_kubeconfig
from live_operator import Namespace, operator, pod_on_a_node, starting_operator, until
from streaming_operator import names

pytest_plugins = ["e2e_cluster.testing", "live_fixtures"]
pytestmark = pytest.mark.cluster


def _gateway_pod(space: Namespace, name: str) -> None:
    pod_on_a_node(space, name, names.labels("demo", names.GATEWAY), terminationGracePeriodSeconds=10_920)


def _grace(space: Namespace, name: str) -> int | None:
    found = space.get("pod", name)
    grace: int | None = found["metadata"].get("deletionGracePeriodSeconds") if found else None
    return grace


@pytest.mark.parametrize("cascade", ["background", "foreground"])
def test_a_deletion_is_held_up_by_nobody_and_children_go(space: Namespace, cascade: str) -> None:
    space.stack()
    space.until_made()
    started = time.monotonic()
    space.kubectl("delete", "streamingstack", "demo", f"--cascade={cascade}", "--timeout=30s")
    assert time.monotonic() - started < 30
    until("all children are gone", lambda: not space.children())


def test_gateways_of_a_deleted_stack_end_in_thirty_seconds_instead_of_hours(space: Namespace) -> None:
    space.stack()
    space.until_made()
    _gateway_pod(space, "busy")
    _gateway_pod(space, "staying")
    space.kubectl("delete", "streamingstack", "demo")
    space.kubectl("delete", "pod", "busy", "--wait=false")
    until("its grace is short", lambda: _grace(space, "busy") == 30)
    assert _grace(space, "staying") is None, "a pod that nobody has ended is not ours to end"


@pytest.mark.parametrize("cascade", ["background", "foreground"])
def test_a_stack_made_again_under_its_name_works_while_old_gateways_end(space: Namespace, cascade: str) -> None:
    space.stack()
    space.until_made()
    _gateway_pod(space, "old")
    before = space.children()["Deployment/demo-gateway"]["metadata"]["uid"]
    time.sleep(1.1)  # creation times have whole seconds
    space.kubectl("delete", "streamingstack", "demo", f"--cascade={cascade}")
    space.stack()
    space.kubectl("delete", "pod", "old", "--wait=false")
    until("the old one ends soon", lambda: _grace(space, "old") == 30)
    until("there is a new gateway", lambda: _is_new(space, before))
    _gateway_pod(space, "new")
    space.kubectl("delete", "pod", "new", "--wait=false")
    time.sleep(3)
    assert _grace(space, "new") == 10_920, "the new stack's gateways drain in peace"


def _is_new(space: Namespace, before: str) -> bool:
    found = space.children().get("Deployment/demo-gateway")
    return found is not None and found["metadata"]["uid"] != before


def _shape(space: Namespace) -> dict[str, Any]:
    """What was made, without what every object has of its own."""
    shape = {}
    for name, child in space.children().items():
        spec = dict(child.get("spec", {}))
        for own in ("clusterIP", "clusterIPs"):
            spec.pop(own, None)
        data = None if name.startswith("Secret/") else child.get("data")
        shape[name] = str((child["metadata"]["labels"], spec, data)).replace(space.name, "NAMESPACE")
    return shape


def _is_whole(space: Namespace) -> bool:
    children = space.children()
    first, hashes = children.get("Secret/demo-first-key"), children.get("Secret/demo-api-keys")
    if not first or not hashes or not space.condition("demo", "Ready"):
        return False
    key = base64.b64decode(first["data"]["api-key"])
    return hashlib.sha256(key).hexdigest() in base64.b64decode(hashes["data"]["keys"]).decode()


def _after(number: int) -> Callable[[int, str], bool]:
    return lambda written, _: written == number


def _after_making(plural: str, name: str) -> Callable[[int, str], bool]:
    """The first of several writes to one object: a size is made with a workload, and handed over in two more."""
    return lambda _, path: path.endswith(f"/{plural}/{name}")


# When the operator is killed: after the Nth write, or after one to an object, before it hears of its success. A stack
# of one model takes some thirty, at each start.
KILLS = (
    *(_after(number) for number in (1, 5, 12)),
    _after_making("deployments", "demo-gateway"),
    _after_making("statefulsets", "demo-license-proxy"),
    _after(20),
    _after_making("streamingstacks", "demo/status"),
)


def test_an_operator_killed_between_two_writes_leaves_nothing_half_done(
    elsewhere: Namespace, space: Namespace, tmp_path: Path
) -> None:
    sizes: dict[str, Any] = {"gateway": {"autoscaling": {"minReplicas": 4}}}
    space.stack(**sizes)
    space.until_made()
    until("the model is whole", lambda: _is_whole(space))
    elsewhere.stack(**sizes)
    for attempt, is_last in enumerate(KILLS):
        with counting_proxy(elsewhere.api.kubeconfig, tmp_path) as proxy:
            proxy.is_last = is_last
            with starting_operator(proxy.kubeconfig, tmp_path / f"log{attempt}", elsewhere.name) as doomed:
                proxy.after = doomed.kill
                until("it is killed", lambda: doomed.process.poll() is not None, 240)
            assert doomed.process.returncode == -signal.SIGKILL
            told = [is_last(number + 1, path) for number, path in enumerate(proxy.written)]
            assert told == [False] * (len(told) - 1) + [True], "it was killed after that write, and before another"
    with operator(elsewhere.api.kubeconfig, tmp_path / "log", elsewhere.name) as survivor:
        until("it is whole", lambda: _is_whole(elsewhere))
        survivor.until_quiet()
        assert _shape(elsewhere) == _shape(space)
        assert elsewhere.children()["Deployment/demo-gateway"]["spec"]["replicas"] == 4


def test_a_restart_changes_nothing(elsewhere: Namespace, tmp_path: Path) -> None:
    elsewhere.license()
    elsewhere.stack()
    with operator(elsewhere.api.kubeconfig, tmp_path / "log1", elsewhere.name) as first:
        elsewhere.until_condition("demo", "ScalingSignal", "NoSignal")
        first.until_quiet()
        before = elsewhere.versions()
    with operator(elsewhere.api.kubeconfig, tmp_path / "log2", elsewhere.name) as second:
        until("it is reconciled", lambda: second.reconciles() > 0)
        second.until_quiet()
        assert elsewhere.versions() == before


def test_sigterm_ends_the_operator_in_order(elsewhere: Namespace, tmp_path: Path) -> None:
    with operator(elsewhere.api.kubeconfig, tmp_path / "log", elsewhere.name) as running:
        elsewhere.stack()
        elsewhere.until_made()
    assert running.process.returncode == 0
    assert "Traceback" not in running.log.read_text()
    lines = [json.loads(line) for line in running.log.read_text().splitlines()]
    assert "stopping" in [line.get("event") for line in lines]


def test_sigterm_ends_an_operator_that_still_waits_for_the_api_server(tmp_path: Path) -> None:
    """The first process of a container ignores it otherwise, and is killed half a minute later."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(plain_kubeconfig("http://127.0.0.1:1"))
    with starting_operator(kubeconfig, tmp_path / "log", "speech") as running:
        until("it waits", lambda: '"waiting"' in running.log.read_text())
    assert running.process.returncode == 0
    assert "Traceback" not in running.log.read_text()
