"""Addons: what is changed in the manifests of others, and what an archive holds."""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e_cluster.addons import ingress, storage
from e2e_cluster.addons.addon_images import shared_libraries
from e2e_cluster.addons.ingress import IngressPlan
from e2e_cluster.addons.oci_archive import ScratchImage, archived
from e2e_cluster.errors import ClusterError

MANIFESTS = Path(__file__).parents[1] / "manifests"
PLAN = IngressPlan("198.18.0.11", "certificate", "key", envoy_image="registry.example/envoy:1")
VOLUMES = {"node1": Path("/state/node1"), "node2": Path("/state/node2")}


def workload(kind: str, container: str) -> dict[str, Any]:
    probe = {"httpGet": {"path": "/ready", "port": 8002}, "initialDelaySeconds": 3}
    pod = {
        "containers": [
            {"name": container, "image": "theirs", "args": ["serve"], "readinessProbe": probe, "livenessProbe": probe}
        ]
    }
    return {"kind": kind, "spec": {"replicas": 2, "template": {"spec": pod}}}


def test_contour_and_envoy_run_on_the_node_with_the_ingress_address() -> None:
    for document in (workload("Deployment", "contour"), workload("DaemonSet", "envoy")):
        pod = ingress.adapted(document, PLAN)["spec"]["template"]["spec"]
        assert pod["nodeSelector"] == {"ingress-ready": "true"}


def test_a_busy_machine_kills_neither_and_one_contour_elects_nobody() -> None:
    for document in (workload("Deployment", "contour"), workload("DaemonSet", "envoy")):
        (container,) = ingress.adapted(document, PLAN)["spec"]["template"]["spec"]["containers"]
        assert "livenessProbe" not in container
        assert container["readinessProbe"]["timeoutSeconds"] == 10
        assert ("--disable-leader-election" in container["args"]) is (container["name"] == "contour")


def test_envoy_is_the_given_image_and_contour_stays_theirs() -> None:
    images = {
        name: ingress.adapted(workload("DaemonSet", name), PLAN)["spec"]["template"]["spec"]["containers"][0]["image"]
        for name in ("envoy", "shutdown-manager")
    }
    assert images == {"envoy": "registry.example/envoy:1", "shutdown-manager": "theirs"}


def test_without_an_image_envoy_is_the_one_that_contour_names() -> None:
    plan = IngressPlan("198.18.0.11", "certificate", "key")
    pod = ingress.adapted(workload("DaemonSet", "envoy"), plan)["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == "theirs"


def test_no_timeout_of_the_ingress_ends_a_session() -> None:
    config = next(d for d in yaml.safe_load_all((MANIFESTS / "ingress.yaml").read_text()) if d["kind"] == "ConfigMap")
    timeouts = yaml.safe_load(config["data"]["contour.yaml"])["timeouts"]
    assert set(timeouts.values()) == {"infinity"}
    assert set(timeouts) == {"request-timeout", "stream-idle-timeout", "max-connection-duration"}


def test_each_node_keeps_its_volumes_in_its_own_folder() -> None:
    config = json.loads(storage.adapted({"kind": "ConfigMap", "data": {}}, VOLUMES)["data"]["config.json"])
    assert config["nodePathMap"] == [
        {"node": "node1", "paths": ["/state/node1"]},
        {"node": "node2", "paths": ["/state/node2"]},
    ]


def test_the_storage_class_is_the_default_and_waits_for_the_first_pod() -> None:
    theirs = {"kind": "StorageClass", "metadata": {"name": "local-path"}, "volumeBindingMode": "WaitForFirstConsumer"}
    ours = storage.adapted(theirs, VOLUMES)
    assert ours["metadata"]["annotations"] == {"storageclass.kubernetes.io/is-default-class": "true"}
    assert ours["volumeBindingMode"] == "WaitForFirstConsumer"


def test_libraries_are_read_from_what_ldd_says() -> None:
    said = "\tlinux-vdso.so.1 (0x7f)\n\tlibm.so.6 => /lib/libm.so.6 (0x7f)\n\t/lib64/ld-linux-x86-64.so.2 (0x7f)\n"
    assert shared_libraries(said) == ["/lib/libm.so.6", "/lib64/ld-linux-x86-64.so.2"]


def test_a_library_that_is_missing_is_named() -> None:
    with pytest.raises(ClusterError, match=r"libssl\.so\.3"):
        shared_libraries("\tlibssl.so.3 => not found\n")


def test_an_archive_holds_the_files_their_mode_and_its_name(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("x")
    program.chmod(0o700)
    image = ScratchImage(
        "registry.example/a/b:1", {"/bin/program": program}, ("program",), links={"/bin/sh": "program"}
    )
    archive = archived(tmp_path / "cache", image)
    with tarfile.open(archive) as members:
        index = json.load(members.extractfile("index.json"))  # type: ignore[arg-type]
        manifest = json.load(members.extractfile(blob(index["manifests"][0]["digest"])))  # type: ignore[arg-type]
        layer = members.extractfile(blob(manifest["layers"][0]["digest"]))
        with tarfile.open(fileobj=layer) as files:
            found = {file.name: (file.mode, file.linkname) for file in files}
    assert index["manifests"][0]["annotations"]["io.containerd.image.name"] == image.name
    assert found["bin/program"] == (0o755, "")
    assert found["bin/sh"][1] == "program"
    assert found["tmp"][0] == 0o1777


def test_the_same_files_are_archived_once_and_others_anew(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("one")
    image = ScratchImage("registry.example/a/b:1", {"/program": program})
    first = archived(tmp_path / "cache", image)
    assert archived(tmp_path / "cache", image) == first
    program.write_text("two")
    assert archived(tmp_path / "cache", image) != first


def blob(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"
