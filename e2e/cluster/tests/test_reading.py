"""What is read without kubectl is what kubectl would tell."""

import secrets
from pathlib import Path
from typing import Any

import pytest
from e2e_cluster.api_server import ApiServer
from e2e_cluster.errors import ClusterError
from e2e_cluster.kubernetes_api import KubernetesApi
from e2e_cluster.reading import Reader

pytest_plugins = ["e2e_cluster.testing"]
pytestmark = pytest.mark.cluster


@pytest.fixture
def api(api_server: ApiServer) -> KubernetesApi:
    return KubernetesApi(api_server.kubeconfig)


@pytest.fixture
def space(api: KubernetesApi) -> str:
    """A namespace with a Deployment, two ConfigMaps and a Service."""
    name = f"reading-{secrets.token_hex(3)}"
    api.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}])
    labels = {"a": "b"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "registry.example/c:1"}]}}
    deployment = {"selector": {"matchLabels": labels}, "template": pod}
    api.apply(
        [
            _object("apps/v1", "Deployment", name, "d", spec=deployment),
            _object("v1", "ConfigMap", name, "one", labels={"part": "first"}),
            _object("v1", "ConfigMap", name, "two", labels={"part": "second"}),
            _object("v1", "Service", name, "s", spec={"ports": [{"port": 80}]}),
        ]
    )
    return name


def _object(version: str, kind: str, space: str, name: str, labels: Any = None, **parts: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": space, "labels": labels or {}}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **parts}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *(
            ("deployment", "d"),
            ("deployments", "d"),
            ("deploy", "d"),
            ("deployments.apps", "d"),
            ("deployment.apps", "d"),
        ),
        *(("cm", "one"), ("configmap", "two"), ("svc", "s")),
    ],
)
def test_an_object_is_found_by_every_name_of_its_kind(api: KubernetesApi, space: str, kind: str, name: str) -> None:
    told = api.get(kind, name, "-n", space, "--show-managed-fields")
    assert api.reader.one(space, kind, name) == told


def test_what_has_no_namespace_is_found_too(api: KubernetesApi, space: str) -> None:
    found = api.reader.one("", "namespace", space)
    assert found is not None
    assert found["metadata"]["uid"] == api.get("namespace", space)["metadata"]["uid"]


def test_what_is_not_there_is_none(api: KubernetesApi, space: str) -> None:
    assert api.reader.one(space, "configmap", "three") is None
    assert api.reader.one("nowhere", "configmap", "one") is None


def test_objects_of_a_kind_say_what_they_are_and_can_be_chosen_by_label(api: KubernetesApi, space: str) -> None:
    told = api.get("configmaps", "-n", space, "--show-managed-fields")["items"]
    assert [item["metadata"]["name"] for item in told if "part" in item["metadata"].get("labels", {})] == ["one", "two"]
    assert api.reader.all(space, "configmaps") == told
    assert [item["metadata"]["name"] for item in api.reader.all(space, "configmaps", "part=second")] == ["two"]
    assert api.reader.all(space, "secrets") == []


def test_of_two_kinds_of_one_name_the_core_s_is_meant(api: KubernetesApi, space: str) -> None:
    event = {"involvedObject": {"kind": "Service", "name": "s", "namespace": space}, "reason": "Test"}
    api.apply([_object("v1", "Event", space, "e", **event)])
    found = api.reader.one(space, "event", "e")
    assert found is not None
    assert (found["apiVersion"], found["reason"]) == ("v1", "Test")


def test_a_kind_that_comes_later_is_found_once_it_is_served(api: KubernetesApi, space: str) -> None:
    plural = f"things{secrets.token_hex(3)}"
    with pytest.raises(ClusterError, match=f"knows no '{plural}'"):
        api.reader.all(space, plural)
    schema = {"openAPIV3Schema": {"type": "object"}}
    versions = [{"name": "v1", "served": True, "storage": True, "schema": schema}]
    names = {"plural": plural, "singular": plural[:-1], "kind": plural.title()}
    spec = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": versions}
    metadata = {"name": f"{plural}.example.com"}
    api.apply(
        [
            {
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "metadata": metadata,
                "spec": spec,
            }
        ]
    )

    def served() -> bool:
        try:
            return api.reader.all(space, plural) == []
        except ClusterError:
            return False

    api.until("the kind is served", served, seconds=30)


def test_who_may_not_read_is_told_so(api_server: ApiServer, tmp_path: Path) -> None:
    config = api_server.kubeconfig.read_text()
    nobody = tmp_path / "kubeconfig"
    nobody.write_text(config.replace("client-certificate-data", "left-out"))
    with pytest.raises(ClusterError, match=r"GET .*: 40[13]"):
        Reader(nobody).one("default", "configmap", "one")


def test_a_server_that_is_not_there_is_an_error_and_answers_nothing(api_server: ApiServer, tmp_path: Path) -> None:
    away = tmp_path / "kubeconfig"
    away.write_text(api_server.kubeconfig.read_text().replace(api_server.url, "https://127.0.0.1:1"))
    with pytest.raises(ClusterError, match="GET /apis"):
        Reader(away).one("default", "configmap", "one")
    assert not Reader(away).answers("/readyz")
    assert not Reader(tmp_path / "nowhere").answers("/readyz")
