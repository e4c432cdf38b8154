"""What a stack names and what somebody smuggled in, against a real API server."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from e2e_cluster.api_server import start_api
from e2e_cluster.kubernetes_api import KubernetesApi
from live_operator import Namespace, good_license, make_namespace, model, operator, stack, until, until_served
from stack_model.crd import definition

pytest_plugins = ["e2e_cluster.testing", "live_fixtures"]
pytestmark = pytest.mark.cluster


def test_a_licence_that_is_missing_forged_expired_and_renewed_is_a_condition_each_time(space: Namespace) -> None:
    space.stack()
    told = space.until_condition("demo", "LicenseValid", "SecretMissing")
    assert f"{space.name}/license" in told["message"]
    space.license("not.a.licence")
    space.until_condition("demo", "LicenseValid", "Unreadable")
    header, payload, signature = good_license().split(".")
    space.license(f"{header}.{payload[:-4]}AAAA.{signature}")
    space.until_condition("demo", "LicenseValid", "Forged")
    space.license(good_license(now=datetime.now(UTC) - timedelta(days=900)))
    space.until_condition("demo", "LicenseValid", "Expired")
    before = space.children()["StatefulSet/demo-license-proxy"]["spec"]["template"]
    space.license()
    space.until_condition("demo", "LicenseValid", "Valid")
    assert space.children()["StatefulSet/demo-license-proxy"]["spec"]["template"] == before, "nothing rolls"


def test_nothing_of_a_user_is_written_to(space: Namespace) -> None:
    space.license()
    space.stack()
    space.until_condition("demo", "LicenseValid", "Valid")
    for kind, name in (("secret", "license"), ("configmap", "license-keys"), ("streamingstack", "demo")):
        found = space.get(kind, name)
        assert found is not None
        writers = {entry["manager"] for entry in found["metadata"]["managedFields"] if not entry.get("subresource")}
        assert writers == {"kubectl-client-side-apply"}
        assert "ownerReferences" not in found["metadata"]


def test_a_secret_that_is_named_and_missing_is_told_and_noticed_when_it_comes(space: Namespace) -> None:
    space.stack(gateway={"auth": {"secretName": "our-keys"}})
    told = space.until_condition("demo", "Accepted", "MissingReference")
    assert "spec.gateway.auth.secretName" in told["message"]
    keys = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "our-keys"}}
    space.apply({**keys, "stringData": {"wrong": "x"}})
    until("its key is missed", lambda: "our-keys[keys]" in space.condition("demo", "Accepted")["message"])
    space.apply({**keys, "stringData": {"keys": "0" * 64 + " somebody"}})
    space.until_condition("demo", "Accepted", "Accepted")
    assert space.get("secret", "demo-first-key") is None


def test_what_pods_read_only_at_their_start_rolls_them_and_the_licence_does_not(space: Namespace) -> None:
    def template() -> str:
        return str(space.children()["StatefulSet/demo-license-proxy"]["spec"]["template"])

    key = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tracker"}}
    space.apply({**key, "stringData": {"api-key": "first"}})
    space.stack(licenseProxy={"usage": {"endpoint": "https://usage.example", "apiKeySecretName": "tracker"}})
    space.until_made()
    before = template()
    space.apply({**key, "stringData": {"api-key": "second"}})
    until("the proxies roll", lambda: template() != before)


def test_a_first_key_that_was_deleted_is_made_anew_and_gateways_learn_its_hash(space: Namespace) -> None:
    space.stack()
    space.until_made()
    before = space.children()["Secret/demo-api-keys"]["data"]
    space.kubectl("delete", "secret", "demo-first-key", "--wait=false")
    until("there is another key", lambda: space.children()["Secret/demo-api-keys"]["data"] != before)


def test_events_are_posted_on_flips_alone(space: Namespace) -> None:
    space.stack()
    space.until_condition("demo", "LicenseValid", "SecretMissing")
    for number in range(3):
        space.kubectl("annotate", "streamingstack", "demo", f"example.com/touched={number}", "--overwrite")
    space.license()
    space.until_condition("demo", "LicenseValid", "Valid")
    told = space.api.get("events", "-n", space.name, "--field-selector=involvedObject.kind=StreamingStack")["items"]
    reasons = [event["reason"] for event in told]
    assert {event["type"] for event in told} <= {"Normal", "Warning"}
    assert reasons.count("SecretMissing") == 1
    assert len(reasons) == len(set(reasons)), reasons


def _without_rules(schema: Any) -> Any:
    """An older definition that let more through."""
    if isinstance(schema, dict):
        gone = ("x-kubernetes-validations", "pattern", "minimum", "maximum")
        return {key: _without_rules(value) for key, value in schema.items() if key not in gone}
    return [_without_rules(item) for item in schema] if isinstance(schema, list) else schema


def test_a_bad_stack_that_an_older_definition_let_through_is_reported_and_its_children_stay(tmp_path: Path) -> None:
    """And an operator that is there before the definition waits for it."""
    with start_api(tmp_path / "api") as server:
        api = KubernetesApi(server.kubeconfig)
        api.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "old"}}])
        api.apply([{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "old"}}])
        space = Namespace(api, "old")
        api.apply([_without_rules(definition())])
        until_served(api)
        with operator(server.kubeconfig, tmp_path / "log", "old"):
            space.apply(stack())
            space.until_made()
            before = space.versions()
            space.apply(stack(gateway={"sessions": {"targetPerPod": 9, "maxPerPod": 3}}))
            told = space.until_condition("demo", "Accepted", "InvalidSpec")
            assert "gateway.sessions.targetPerPod" in told["message"]
            assert space.condition("demo", "Ready")["status"] == "False"
            assert space.versions() == before
            space.apply(stack())
            space.until_condition("demo", "Accepted", "Accepted")


def test_the_whole_cluster_can_be_watched_too(own_api: KubernetesApi, tmp_path: Path) -> None:
    first = make_namespace(own_api, "first")
    with operator(own_api.kubeconfig, tmp_path / "log", ""):
        later = make_namespace(own_api, "later")
        for space in (first, later):
            space.stack()
            space.until_made()
            space.kubectl("delete", "streamingstack", "demo")


def test_a_storage_class_that_is_named_and_not_there_is_told_beside_those_that_are(
    own_api: KubernetesApi, tmp_path: Path
) -> None:
    space = make_namespace(own_api, "volumes")
    slow = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "slow"}}
    space.apply({**slow, "provisioner": "kubernetes.io/no-provisioner"})
    with operator(own_api.kubeconfig, tmp_path / "log", ""):
        space.stack(licenseProxy={"storage": {"storageClassName": "fast"}})
        told = space.until_condition("demo", "GatewayAvailable", "StorageClassMissing")
        assert "no StorageClass fast (spec.licenseProxy.storage.storageClassName; it has slow)" in told["message"]


def test_a_model_that_no_card_of_the_cluster_holds_is_told_with_the_largest_there_is(
    own_api: KubernetesApi, tmp_path: Path
) -> None:
    space = make_namespace(own_api, "cards")
    labels = {"nvidia.com/gpu.memory": "15360", "nvidia.com/gpu.product": "Tesla-T4"}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "with-a-card", "labels": labels}}
    own_api.apply([node])
    try:
        with operator(own_api.kubeconfig, tmp_path / "log", ""):
            space.stack(models=[model("en-default", gpu={"minMemoryGiB": 24})])
            told = space.until_condition("demo", "ModelsAvailable", "ModelDoesNotFit")
            assert told["status"] == "False"
            assert "model en-default needs a card with 24 GiB" in told["message"]
            assert "Tesla-T4 with 15 GiB" in told["message"]
            space.kubectl("delete", "streamingstack", "demo")
    finally:
        own_api.kubectl("delete", "node", "with-a-card")
