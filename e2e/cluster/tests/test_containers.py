"""Signals reach every process of a control group, and no other."""

import subprocess
import time
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import psutil
import pytest
from e2e_cluster import containers, nodes
from e2e_cluster.errors import ClusterError
from e2e_cluster.plan import NodePlan

CONTAINER = "5a1bb98d"


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NodePlan:
    """A node whose control groups are files in a folder: what the kernel would write, we write."""
    monkeypatch.setattr(nodes, "CGROUPS", tmp_path)
    (tmp_path / "cgroup.controllers").touch()
    group = tmp_path / "sst-test-node1" / "kubepods" / "burstable" / "pod1" / CONTAINER
    group.mkdir(parents=True)
    (group / "cgroup.procs").write_text("")
    return NodePlan(
        "node1", IPv4Address("198.18.0.11"), IPv4Network("198.18.16.0/24"), tmp_path, tmp_path, "sst-test-node1", "v"
    )


@pytest.fixture
def sleepers(node: NodePlan) -> Iterator[list[psutil.Process]]:
    """Two processes of the container, the second in a group below it, and one outside."""
    started = [subprocess.Popen(["sleep", "60"]) for _ in range(3)]
    group = next(node.state.rglob(CONTAINER))
    (group / "below").mkdir()
    (group / "cgroup.procs").write_text(f"{started[0].pid}\n")
    (group / "below" / "cgroup.procs").write_text(f"{started[1].pid}\n")
    yield [psutil.Process(one.pid) for one in started]
    for one in started:
        one.kill()
        one.wait()


def states(sleepers: list[psutil.Process], wanted: list[bool]) -> bool:
    """Whether, soon, exactly the wanted ones are stopped."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if [one.status() == psutil.STATUS_STOPPED for one in sleepers] == wanted:
            return True
        time.sleep(0.01)
    return False


def test_a_frozen_container_is_stopped_whole_and_goes_on_when_it_is_thawed(
    node: NodePlan, sleepers: list[psutil.Process]
) -> None:
    containers.freeze(node, f"containerd://{CONTAINER}")
    assert states(sleepers, [True, True, False])
    containers.thaw(node, f"containerd://{CONTAINER}")
    assert states(sleepers, [False, False, False])


def test_a_killed_container_has_no_process_left(node: NodePlan, sleepers: list[psutil.Process]) -> None:
    containers.kill(node, CONTAINER)
    psutil.wait_procs(sleepers[:2], timeout=5)
    assert [one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in sleepers] == [False, False, True]


def test_a_container_that_is_not_there_is_named(node: NodePlan) -> None:
    for wrong in ("0c0ffee0", "", CONTAINER):  # the last one has no process
        with pytest.raises(ClusterError, match="node1 runs no container"):
            containers.freeze(node, wrong)
    containers.thaw(node, "0c0ffee0")


@pytest.mark.parametrize(("file", "text"), [("cpuacct.usage", "2500000000"), ("cpu.stat", "usage_usec 2500000\nx 1\n")])
def test_what_pods_used_is_read_from_either_version_of_control_groups(node: NodePlan, file: str, text: str) -> None:
    (node.state / node.cgroup / file).write_text(text)
    assert containers.cpu_seconds(node) == 2.5
