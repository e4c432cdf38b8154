"""kind and the current cluster: what is asked of them, without either."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from e2e_cluster import current, kind
from e2e_cluster.addons.oci_archive import ScratchImage, reference_of, write_archive
from e2e_cluster.certificates import Pair
from e2e_cluster.errors import ClusterError
from e2e_cluster.kubeconfigs import kubeconfig

TESTS_ON_KUBERNETES = Path(__file__).parents[2] / "kubernetes"
ENVIRONMENT = dict.fromkeys(current.NEEDED, "x") | {"E2E_TLS_DIR": "/tls"}


def archive_of(name: str, folder: Path) -> Path:
    (folder / "file").write_text("x")
    write_archive(ScratchImage(name, {"/file": folder / "file"}), folder / "image.tar")
    return folder / "image.tar"


def test_kind_maps_the_ports_of_the_node_with_the_ingress_to_loopback_only() -> None:
    (node,) = (node for node in kind.configuration()["nodes"] if "extraPortMappings" in node)
    assert node["labels"] == {"ingress-ready": "true"}
    assert {(m["hostPort"], m["listenAddress"]) for m in node["extraPortMappings"]} == {
        (80, "127.0.0.1"),
        (443, "127.0.0.1"),
    }


def test_kind_has_two_nodes_for_pods() -> None:
    assert [node["role"] for node in kind.configuration()["nodes"]].count("worker") == 2


@pytest.mark.parametrize(
    ("said", "enforced"),
    [
        ("kind v0.23.0 go1.21.10 linux/amd64", False),
        ("kind v0.24.0 go1.22.6 linux/amd64", True),
        ("kind v0.30.0 go1.24.6 darwin/arm64", True),
        ("kind v1.0.0 go1.26.0 linux/amd64", True),
        ("kind v0.9.0 go1.15.2 linux/amd64", False),
        ("kind v0.24.0-alpha+1a2b3c go1.22.4 linux/amd64", False),
        ("kind v0.25.0-alpha go1.22.6 linux/amd64", True),
        ("kind (unknown) go1.22.6", False),
        ("", False),
    ],
)
def test_kinds_network_enforces_policies_since_its_version_0_24(said: str, enforced: bool) -> None:
    assert kind.enforces_policies(said) is enforced


@pytest.mark.parametrize("name", sorted(current.NEEDED))
def test_a_variable_that_is_missing_is_named(name: str) -> None:
    with pytest.raises(ClusterError, match=name):
        current.facts({key: value for key, value in ENVIRONMENT.items() if key != name})


@pytest.mark.parametrize(("said", "enforced"), [("yes", True), ("no", False), ("", False)])
def test_policies_count_as_enforced_only_where_somebody_says_so(said: str, enforced: bool) -> None:
    assert current.facts(ENVIRONMENT | {"E2E_POLICIES_ENFORCED": said}).policies_enforced is enforced


def test_an_image_of_no_registry_is_not_pushed(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="make images REGISTRY="):
        current.push(archive_of("localhost/streamingstack/gateway:1", tmp_path), print)


@pytest.fixture
def skopeo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that a skopeo on the PATH writes its arguments to, one a line; it fails where a file `refused` is."""
    programs = tmp_path / "programs"
    programs.mkdir()
    asked = tmp_path / "asked"
    refusal = f"[ ! -e {tmp_path}/refused ] || {{ echo 'denied: log in first' >&2; exit 1; }}"
    program(programs, "skopeo", f"printf '%s\\n' \"$@\" >>{asked}\n{refusal}")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return asked


def test_an_image_is_pushed_to_its_registry_under_the_name_that_it_carries(tmp_path: Path, skopeo: Path) -> None:
    archive, told = archive_of("registry.example/me/gateway:1", tmp_path), list[str]()
    current.push(archive, told.append)
    assert skopeo.read_text().splitlines() == [
        "copy",
        "--quiet",
        f"oci-archive:{archive}:registry.example/me/gateway:1",
        "docker://registry.example/me/gateway:1",
    ]
    assert told == ["pushed registry.example/me/gateway:1"]


def test_a_registry_that_refuses_an_image_is_told_in_its_own_words(tmp_path: Path, skopeo: Path) -> None:
    (tmp_path / "refused").touch()
    told = list[str]()
    with pytest.raises(ClusterError, match=r"gateway:1 could not be pushed; log in .* denied: log in first"):
        current.push(archive_of("registry.example/me/gateway:1", tmp_path), told.append)
    assert told == []


def test_no_test_on_kubernetes_names_an_image_that_only_this_machine_has() -> None:
    files = [file for file in TESTS_ON_KUBERNETES.rglob("*") if file.suffix in (".py", ".yaml")]
    assert len(files) > 20
    assert [file.name for file in files if "localhost/" in file.read_text()] == []


def test_an_archive_tells_its_name(tmp_path: Path) -> None:
    assert reference_of(archive_of("registry.example/a:1", tmp_path)) == "registry.example/a:1"


def test_a_file_that_is_no_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("x")
    with pytest.raises(ClusterError, match="text is no OCI archive"):
        reference_of(tmp_path / "text")


@pytest.mark.parametrize("trouble", ["freeze", "thaw", "kill"])
def test_only_a_local_clusters_containers_can_be_frozen_or_killed(trouble: str) -> None:
    with pytest.raises(ClusterError, match="only CLUSTER=local can"):
        getattr(current.facts(ENVIRONMENT), trouble)("node1", "containerd://5a1bb98d")


def program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def checked(cluster: str, **variables: str) -> str:
    """The one line that says why the cluster cannot be used; empty where it can."""
    environment = {"HOME": os.environ["HOME"], "CLUSTER": cluster, **variables}
    argv = [sys.executable, "-m", "e2e_cluster", "check"]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == (1 if done.stderr else 0), done
    assert done.stderr.count("\n") == (1 if done.stderr else 0), done.stderr
    return done.stderr.strip()


def test_kinds_check_names_a_kind_that_is_missing(tmp_path: Path) -> None:
    told = "cluster: kind is missing; install it and Docker (https://kind.sigs.k8s.io), or use CLUSTER=local"
    assert checked("kind", PATH=str(tmp_path)) == told


NO_DOCKER = (
    "echo 'ERROR: failed to list clusters: command \"docker ps -a\" failed with error: exit status 1' >&2\n"
    "echo 'Command Output: Cannot connect to the Docker daemon' >&2; exit 1"
)


def test_kinds_check_names_an_engine_that_does_not_answer_then_a_missing_go(tmp_path: Path) -> None:
    program(tmp_path, "kind", NO_DOCKER)
    told = (
        r"cluster: kind finds no container engine .*Cannot connect to the Docker daemon\); install Docker and start it"
    )
    assert re.match(told, checked("kind", PATH=str(tmp_path)))
    program(tmp_path, "kind", "echo 'No kind clusters found.' >&2")
    assert checked("kind", PATH=str(tmp_path), GO=str(tmp_path / "no-go")).startswith("cluster: Go is missing")
    program(tmp_path, "go", "echo go1.26.8")
    assert checked("kind", PATH=str(tmp_path), GO=str(tmp_path / "go")) == ""


def test_the_current_clusters_check_names_each_thing_that_it_lacks_in_its_turn(tmp_path: Path) -> None:
    environment = ENVIRONMENT | {"E2E_TLS_DIR": str(tmp_path), "KUBECONFIG": str(tmp_path / "kubeconfig")}
    assert checked("current").startswith("cluster: CLUSTER=current needs KUBECONFIG (")

    for file in ("ca.crt", "tls.crt", "tls.key"):
        assert checked("current", **environment) == f"cluster: E2E_TLS_DIR={tmp_path}: no {file} in it"
        (tmp_path / file).touch()

    assert "needs REGISTRY=registry.example.com/you" in checked("current", **environment)
    environment["REGISTRY"] = "registry.example.com/me"

    assert "install it (apt-get install skopeo)" in checked("current", PATH=str(tmp_path), **environment)
    program(tmp_path, "skopeo", "exit 0")

    for written, reason in (
        (None, "no such file"),
        (kubeconfig("http://127.0.0.1:1", "", Pair("", "")), "refused"),
    ):
        if written:
            (tmp_path / "kubeconfig").write_text(written)
        told = checked("current", PATH=str(tmp_path), **environment)
        assert told.startswith(f"cluster: the cluster of KUBECONFIG={tmp_path}/kubeconfig tells no nodes (")
        assert reason in told
        assert told.endswith("check the file, the way to the cluster, and your rights in it")
