"""kind and the current cluster: what is asked of them, without either."""

from pathlib import Path

import pytest
from e2e_cluster import current, kind
from e2e_cluster.addons.oci_archive import ScratchImage, reference_of, write_archive
from e2e_cluster.errors import ClusterError

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
