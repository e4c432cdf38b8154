"""Children against a real API server: made, kept, left alone, refused, pruned."""

import base64
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from live_operator import Namespace, Running, model, operator, pod_on_a_node, stack, until
from streaming_operator import names

pytest_plugins = ["e2e_cluster.testing", "live_fixtures"]
pytestmark = pytest.mark.cluster


def _gateway(space: Namespace) -> dict[str, Any]:
    found = space.get("deployment", "demo-gateway")
    assert found is not None
    return found


def test_a_stack_gets_its_children_and_its_own_object_gets_nothing_but_a_status(space: Namespace) -> None:
    space.stack()
    space.until_made()
    children = space.children()
    found = space.get("streamingstack", "demo")
    assert found is not None
    for name in ("Deployment/demo-gateway", "StatefulSet/demo-license-proxy", "Deployment/demo-asr-en-default"):
        owner = children[name]["metadata"]["ownerReferences"][0]
        assert (owner["uid"], owner["controller"]) == (found["metadata"]["uid"], True)
    assert "finalizers" not in found["metadata"]
    assert set(found["metadata"].get("annotations", {})) == {"kubectl.kubernetes.io/last-applied-configuration"}
    ours = [entry for entry in found["metadata"].get("managedFields", []) if entry["manager"] == names.FIELD_MANAGER]
    assert ours
    assert all(entry["subresource"] == "status" for entry in ours)


def test_the_first_key_lies_in_a_secret_that_no_pod_mounts(space: Namespace) -> None:
    space.stack()
    space.until_made()
    children = space.children()
    assert set(children["Secret/demo-first-key"]["data"]) == {"api-key"}
    for name, child in children.items():
        template = child.get("spec", {}).get("template", {}) if name.startswith(("Deployment", "StatefulSet")) else {}
        assert "demo-first-key" not in str(template)


def test_what_tokens_are_signed_with_is_made_once_outlives_changes_and_is_made_anew_where_it_was_deleted(
    space: Namespace,
) -> None:
    def secret() -> str:
        found = space.get("secret", "demo-token-secret")
        return base64.b64decode(found["data"]["token-secret"]).decode() if found else ""

    space.stack()
    space.until_made()
    made = secret()
    assert len(made) >= 32
    space.stack(gateway={"auth": {"mode": "AnyNonEmpty"}})
    until("the keys' hashes go", lambda: space.get("secret", "demo-api-keys") is None)
    assert secret() == made
    turned = f"{'n' * 32}\n{made}\n"
    space.patch("secret", "demo-token-secret", {"stringData": {"token-secret": turned}})
    space.stack()
    until("the keys' hashes are back", lambda: space.get("secret", "demo-api-keys") is not None)
    assert secret() == turned, "who turns it over is not overruled"
    space.kubectl("delete", "secret", "demo-token-secret", "--wait=false")
    until("there is another one", lambda: secret() not in ("", turned))


def test_a_second_reconcile_writes_nothing(elsewhere: Namespace, tmp_path: Path) -> None:
    space = elsewhere
    space.license()
    space.stack()
    with operator(space.api.kubeconfig, tmp_path / "log", space.name) as alone:
        space.until_condition("demo", "ScalingSignal", "NoSignal")  # the last that controllers have to say here
        alone.until_quiet()
        versions, writes = space.versions(), alone.writes()
        for number in range(3):
            before = alone.reconciles()
            space.kubectl("annotate", "streamingstack", "demo", f"example.com/touched={number}", "--overwrite")
            until("a reconcile more", partial(_more_than, before, alone))
            alone.until_quiet()
        assert alone.writes() == writes
        assert space.versions() == versions


def _more_than(before: float, alone: Running) -> bool:
    return alone.reconciles() > before


_TEMPLATE = {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 60}}}}


@pytest.mark.parametrize(
    ("kind", "name", "change", "path", "restored"),
    [
        ("service", "demo-gateway", {"metadata": {"labels": {names.COMPONENT: "x"}}}, ".metadata.labels", "gateway"),
        ("networkpolicy", "demo-default-deny", {"spec": {"policyTypes": ["Egress"]}}, ".spec.policyTypes", "Ingress"),
        ("configmap", "demo-gateway-models", {"data": {"models.json": "[]"}}, ".data", "universal-streaming"),
        ("hpa", "demo-gateway", {"spec": {"maxReplicas": 3}}, ".spec.maxReplicas", "20"),
        ("deployment", "demo-gateway", _TEMPLATE, ".spec.template.spec.terminationGracePeriodSeconds", "109"),
    ],
)
def test_what_a_hand_changed_is_put_right_at_once(
    space: Namespace, kind: str, name: str, change: dict[str, Any], path: str, restored: str
) -> None:
    def now() -> str:
        return space.kubectl("get", kind, name, "-o", f"jsonpath={{{path}}}")

    space.stack()
    space.until_made()
    before = now()
    assert restored in before
    space.patch(kind, name, change)
    until(f"{kind} {name} is as it was", lambda: now() == before)


def test_a_child_that_was_deleted_comes_back(space: Namespace) -> None:
    space.stack()
    space.until_made()
    before = space.children()
    for kind, name in (("service", "demo-gateway"), ("deployment", "demo-lb"), ("secret", "demo-api-keys")):
        space.kubectl("delete", kind, name, "--wait=false")
    until("they are back", lambda: space.children().keys() >= before.keys())
    assert (
        space.children()["Service/demo-gateway"]["metadata"]["uid"] != before["Service/demo-gateway"]["metadata"]["uid"]
    )


@pytest.mark.parametrize(
    "kind",
    [
        "configmap/demo-gateway-models",
        "deployment/demo-gateway",
        "secret/demo-first-key",
        "secret/demo-token-secret",
    ],
)
def test_an_object_of_somebody_else_is_left_alone_until_it_goes(space: Namespace, kind: str) -> None:
    name = kind.partition("/")[2]
    if kind.startswith("configmap"):
        theirs: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"theirs": "x"}}
    elif kind.startswith("secret"):
        theirs = {"apiVersion": "v1", "kind": "Secret", "stringData": {"theirs": "x"}}
    else:
        template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        spec = {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": template}
        theirs = {"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec}
    space.apply({**theirs, "metadata": {"name": name}})
    space.stack()
    told = space.until_condition("demo", "Accepted", "NameConflict")
    assert name in told["message"]
    left = space.get(*kind.split("/"))
    assert left is not None
    assert "ownerReferences" not in left["metadata"]
    assert not [entry for entry in left["metadata"].get("managedFields", []) if entry["manager"] == names.FIELD_MANAGER]
    space.kubectl("delete", *kind.split("/"))
    space.until_condition("demo", "Accepted", "Accepted")


def test_the_size_is_set_once_and_then_belongs_to_whoever_scales(space: Namespace) -> None:
    space.stack(gateway={"autoscaling": {"minReplicas": 3}})
    space.until_made()
    assert _gateway(space)["spec"]["replicas"] == 3
    space.kubectl("scale", "deployment", "demo-gateway", "--replicas=5")
    generation = _gateway(space)["metadata"]["generation"]
    space.stack(gateway={"autoscaling": {"minReplicas": 3}, "resources": {"requests": {"cpu": "700m"}}})
    until("it is rolled", lambda: _gateway(space)["metadata"]["generation"] > generation)
    assert _gateway(space)["spec"]["replicas"] == 5
    for provider in ("None", "HPA"):
        space.stack(gateway={"autoscaling": {"minReplicas": 3}}, autoscaling={"provider": provider})
        until("autoscaling is switched", partial(_is_autoscaled, space, provider == "HPA"))
        assert _gateway(space)["spec"]["replicas"] == 5


def _is_autoscaled(space: Namespace, wanted: bool) -> bool:
    return (space.get("hpa", "demo-gateway") is not None) is wanted


def test_what_cannot_be_changed_is_a_condition_with_its_remedy_and_goes_with_the_change(space: Namespace) -> None:
    space.stack()
    space.until_made()
    uid = space.children()["PersistentVolumeClaim/demo-model-store"]["metadata"]["uid"]
    space.stack(modelStore={"storage": {"size": "5Gi"}})
    told = space.until_condition("demo", "Accepted", "ImmutableField")
    assert "PersistentVolumeClaim demo-model-store" in told["message"]
    assert space.children()["PersistentVolumeClaim/demo-model-store"]["metadata"]["uid"] == uid
    space.stack()
    space.until_condition("demo", "Accepted", "Accepted")


@pytest.mark.parametrize("hard", [{"services": "2"}, {"secrets": "2"}, {"secrets": "1"}, {"secrets": "0"}], ids=str)
def test_a_quota_is_a_condition_and_goes_with_it(space: Namespace, hard: dict[str, str]) -> None:
    """Of Secrets the first two are the first key's and the tokens', without which nothing can be made."""
    metadata = {"name": "small"}
    space.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard}})
    until("the quota counts", lambda: (space.get("resourcequota", "small") or {}).get("status", {}).get("hard") == hard)
    space.stack()
    told = space.until_condition("demo", "Accepted", "QuotaExceeded")
    assert "exceeded quota: small" in told["message"]
    assert "raise" in told["message"]
    if hard not in ({"secrets": "1"}, {"secrets": "0"}):
        until("the rest is made all the same", lambda: space.get("deployment", "demo-gateway"))
    space.kubectl("delete", "resourcequota", "small")
    space.until_condition("demo", "Accepted", "Accepted")
    space.until_made()


def test_while_something_is_refused_nothing_goes_that_carries_traffic(space: Namespace) -> None:
    space.stack(gateway={"expose": {"type": "Ingress"}})
    space.until_made()
    until("there is an Ingress", lambda: space.get("ingress", "demo-gateway"))
    unscaled: dict[str, Any] = {"autoscaling": {"provider": "None"}}
    space.stack(modelStore={"storage": {"size": "5Gi"}}, **unscaled)
    space.until_condition("demo", "Accepted", "ImmutableField")
    until("autoscaling goes", lambda: space.get("hpa", "demo-gateway") is None)
    assert space.get("ingress", "demo-gateway") is not None
    space.stack(**unscaled)
    until("the Ingress goes", lambda: space.get("ingress", "demo-gateway") is None)


def test_an_ingress_stays_where_the_route_that_takes_its_place_is_not_served(space: Namespace) -> None:
    space.stack(gateway={"expose": {"type": "Ingress"}})
    space.until_made()
    uid = space.children()["Ingress/demo-gateway"]["metadata"]["uid"]
    space.stack(gateway={"expose": {"type": "HTTPRoute", "parentRefs": [{"name": "edge"}]}})
    space.until_condition("demo", "Accepted", "ApiMissing")
    assert space.children()["Ingress/demo-gateway"]["metadata"]["uid"] == uid
    assert "deletionTimestamp" not in space.children()["Ingress/demo-gateway"]["metadata"]


def test_a_model_that_leaves_is_unlisted_first_and_its_pool_goes_when_it_is_empty(space: Namespace) -> None:
    both: dict[str, Any] = {"models": [model("en-default"), model("ml-default")]}
    space.stack(**both)
    space.until_made()
    until("both pools", lambda: space.get("deployment", "demo-asr-ml-default"))
    running_pod = _recogniser(space, "ml-default")
    space.stack()
    until("it is unlisted", lambda: "ml-default" not in _data(space, "demo-gateway-models"))
    time.sleep(4)
    pool = space.get("deployment", "demo-asr-ml-default")
    assert pool is not None, "a pod that does not say that it is empty may have streams"
    assert "ml-default" in _data(space, "demo-lb-routes")
    assert space.get("hpa", "demo-asr-ml-default") is not None
    space.stack(**both)
    until("it is wanted again", lambda: "leaving-since" not in str(space.get("deployment", "demo-asr-ml-default")))
    space.stack()
    space.kubectl("delete", "pod", running_pod, "--force", "--grace-period=0")
    until("the empty pool goes", lambda: space.get("deployment", "demo-asr-ml-default") is None)
    assert "ml-default" not in _data(space, "demo-lb-routes")


def test_a_gateway_rollout_waits_while_too_many_drain(space: Namespace) -> None:
    space.stack(gateway={"maxDrainingPods": 1})
    space.until_made()
    for number in range(2):
        pod_on_a_node(space, f"old-{number}", names.labels("demo", names.GATEWAY))
        space.kubectl("delete", "pod", f"old-{number}", "--wait=false", "--grace-period=3600")
    generation = _gateway(space)["metadata"]["generation"]
    held: dict[str, Any] = {"maxDrainingPods": 1, "resources": {"requests": {"cpu": "700m"}}}
    for host in ("old.example.com", "new.example.com"):
        space.stack(gateway={**held, "expose": {"type": "Ingress", "hostnames": [host]}})
        until(f"{host} leads to it meanwhile", partial(_leads, space, host))
    space.until_condition("demo", "Progressing", "WaitingForDrain")
    assert _gateway(space)["metadata"]["generation"] == generation
    space.kubectl("delete", "pod", "old-0", "--force", "--grace-period=0")
    until("it is rolled", lambda: _gateway(space)["metadata"]["generation"] > generation)


def _leads(space: Namespace, host: str) -> bool:
    ingress = space.get("ingress", "demo-gateway")
    return ingress is not None and ingress["spec"]["rules"][0].get("host") == host


def test_two_stacks_of_one_namespace_do_not_meet(space: Namespace) -> None:
    space.apply(stack("one"), stack("two"))
    space.until_made("one")
    space.until_made("two")
    space.kubectl("delete", "streamingstack", "one")
    until("one is gone", lambda: not [name for name in space.children() if "/one-" in name])
    assert "Deployment/two-gateway" in space.children()


def _data(space: Namespace, name: str) -> str:
    found = space.get("configmap", name)
    return str(found and found["data"])


def _recogniser(space: Namespace, pool: str) -> str:
    """A recogniser on a node that nobody has: it has an address and says nothing."""
    pod_on_a_node(space, "busy", names.labels("demo", names.ASR, pool), address="198.18.255.254")
    return "busy"
