"""The doctor's checks: a cluster and a stack as plain values, and what it says of them."""

from dataclasses import replace
from typing import Any

import pytest
from license_token import SigningKey
from stack_model.api import load_stack
from streaming_operator.children import build_children
from streaming_operator.render import usual_inputs
from streamingstack_cli.doctor.examination import examine, told
from streamingstack_cli.doctor.facts import Facts, Level

from .conftest import EXAMPLES
from .doctor_facts import ENGLISH, KINDS, NOW, VENDOR, findings, issued, stack_with, the_only


def test_a_cluster_that_lacks_nothing_gets_no_finding(well: Facts) -> None:
    assert findings(well) == []
    assert told([], "speech/demo") == "speech/demo: nothing stops or weakens it here\n"


@pytest.mark.parametrize(
    ("changed", "problem", "remedy"),
    [
        ({"version": (1, 28)}, "version 1.28 is too old", "use 1.30 or newer"),
        (
            {"kinds": KINDS - {"streamingstack.dev/v1alpha1/StreamingStack"}},
            "does not know StreamingStacks",
            "helm install",
        ),
        ({"kinds": KINDS - {"gateway.networking.k8s.io/v1/HTTPRoute"}}, "has no HTTPRoute", "type: Ingress"),
        ({"gateways": {}}, "there is no Gateway speech/public", "kubectl get gateways"),
        ({"storage_classes": {"slow": False}}, "no StorageClass is the default", "there: slow"),
    ],
)
def test_what_is_missing_stops_the_stack(well: Facts, changed: dict[str, Any], problem: str, remedy: str) -> None:
    found = [finding for finding in findings(replace(well, **changed)) if finding.level is Level.STOPS]
    assert found
    assert any(problem in finding.problem and remedy in finding.remedy for finding in found)


@pytest.mark.parametrize(
    ("spec", "claimed"),
    [
        ({}, {"spec.licenseProxy.storage", "spec.modelStore.storage"}),
        ({"models": [{**ENGLISH, "source": "pvc://models/en"}]}, {"spec.licenseProxy.storage"}),
        ({"models": [{**ENGLISH, "source": "image://registry.example/en:1"}]}, {"spec.licenseProxy.storage"}),
        ({"licenseProxy": {"storage": {"storageClassName": "slow"}}}, {"spec.modelStore.storage"}),
        (VENDOR, set()),
    ],
)
def test_only_claims_that_the_stack_makes_need_a_storage_class(
    well: Facts, spec: dict[str, Any], claimed: set[str]
) -> None:
    given = stack_with(**spec)
    made = {child.kind for child in build_children(given, usual_inputs())}
    assert ("PersistentVolumeClaim" in made) == ("spec.modelStore.storage" in claimed)
    found = findings(replace(well, stack=given, storage_classes={"slow": False}))
    assert {finding.about for finding in found if "StorageClass" in finding.problem} == claimed


def test_a_listener_that_the_gateway_lacks_is_named(well: Facts) -> None:
    expose = {"type": "HTTPRoute", "parentRefs": [{"name": "public", "sectionName": "tls"}]}
    found = the_only(replace(well, stack=stack_with(gateway={"expose": expose})), Level.STOPS)
    assert found.problem == "Gateway speech/public has no listener tls"
    assert "https" in found.remedy


@pytest.mark.parametrize(
    ("ingress", "classes", "problem"),
    [
        ({}, {"contour": False}, "no IngressClass is the default"),
        ({"ingressClassName": "nginx"}, {"contour": True}, "there is no IngressClass nginx"),
    ],
)
def test_an_ingress_needs_its_class(
    well: Facts, ingress: dict[str, Any], classes: dict[str, bool], problem: str
) -> None:
    stack = stack_with(gateway={"expose": {"type": "Ingress", **ingress}})
    facts = replace(well, stack=stack, ingress_classes=classes)
    assert the_only(facts, Level.STOPS).problem == problem
    assert "in clear" in the_only(facts, Level.WEAKENS).problem


def test_the_licence_is_judged_as_the_operator_does(well: Facts, license_issuer: Any) -> None:
    def judged(**claims: Any) -> tuple[Level, str]:
        found = findings(replace(well, data=issued(license_issuer, **claims)))
        assert len(found) == 1
        return found[0].level, found[0].problem

    expired, ending, forged = judged(days=-1), judged(days=3), judged(by=SigningKey.generate())
    assert [expired[0], ending[0], forged[0]] == [Level.STOPS, Level.WEAKENS, Level.STOPS]
    assert "expired" in expired[1]
    assert "ends on" in ending[1]
    assert "Forged" in forged[1]


def test_a_missing_licence_is_two_findings_each_with_a_command(well: Facts) -> None:
    data = {"Secret/license": None, "ConfigMap/license-keys": None}
    found = findings(replace(well, data=data))
    assert [finding.level for finding in found] == [Level.STOPS, Level.STOPS]
    assert "kubectl create secret generic license" in found[0].remedy
    assert "kubectl create configmap license-keys" in found[1].remedy


@pytest.mark.parametrize(
    ("content", "level", "says"),
    [
        (b"a" * 64 + b" team\n# comment\n", None, ""),
        (b"plain-key\n", Level.STOPS, "line 1: expected the sha256 of a key"),
        (b"0" * 64 + b" team max_sessions=none\n", Level.STOPS, "line 1: max_sessions must be a whole number"),
        (b"# nobody\n", Level.WEAKENS, "holds no key"),
    ],
)
def test_api_keys_must_be_hashes(well: Facts, content: bytes, level: Level | None, says: str) -> None:
    expose = {"type": "HTTPRoute", "parentRefs": [{"name": "public"}]}
    stack = stack_with(gateway={"auth": {"secretName": "mine"}, "expose": expose})
    found = findings(replace(well, stack=stack, data={**well.data, "Secret/mine": {"keys": content}}))
    assert [finding.level for finding in found] == ([level] if level else [])
    assert says in "".join(finding.problem for finding in found)
    assert "plain-key" not in told(found, "x")


def test_a_secret_that_may_not_be_seen_is_a_note_and_no_alarm(well: Facts) -> None:
    found = the_only(replace(well, data={}, unseen=("Secret license",)), Level.NOTE)
    assert "may not read it" in found.problem


def gpu_node(count: int, mib: int | None = None) -> dict[str, Any]:
    labels = {"nvidia.com/gpu.memory": str(mib), "nvidia.com/gpu.product": "Tesla-T4"} if mib else {}
    return {"metadata": {"labels": labels}, "status": {"allocatable": {"nvidia.com/gpu": str(count)}}}


@pytest.mark.parametrize(
    ("nodes", "level", "says"),
    [
        ([], Level.STOPS, "no node offers it"),
        ([gpu_node(1, 24000)], Level.STOPS, "2 are needed at minReplicas and the cluster has 1"),
        ([gpu_node(4, 15360)], Level.STOPS, "the largest card is Tesla-T4 with 15 GiB, and it needs 24 GiB"),
        ([gpu_node(4)], Level.NOTE, "no node tells how much memory"),
        ([gpu_node(4, 24000)], None, ""),
    ],
)
def test_cards_are_counted_and_measured(
    well: Facts, nodes: list[dict[str, Any]], level: Level | None, says: str
) -> None:
    model = stack_with().spec.models[0].model_dump(by_alias=True, exclude_defaults=True)
    facts = replace(well, stack=stack_with(models=[{**model, "gpu": {"minMemoryGiB": 24}}]), nodes=tuple(nodes))
    found = findings(facts)
    assert [finding.level for finding in found] == ([level] if level else [])
    assert says in "".join(finding.problem for finding in found)


@pytest.mark.parametrize(
    ("kinds", "workloads", "node_version", "enforced"),
    [
        (KINDS, {}, "v1.34.4", True),
        (KINDS - {"crd.projectcalico.org/v1/ClusterInformation"}, {"cilium": ()}, "v1.34.4", True),
        (KINDS - {"crd.projectcalico.org/v1/ClusterInformation"}, {"kube-flannel-ds": ()}, "v1.34.4", False),
        (KINDS - {"crd.projectcalico.org/v1/ClusterInformation"}, {"svclb": ()}, "v1.34.4+k3s1", True),
    ],
)
def test_policies_that_nobody_enforces_are_told(
    well: Facts, kinds: frozenset[str], workloads: dict[str, tuple[str, ...]], node_version: str, enforced: bool
) -> None:
    node = {"metadata": {}, "status": {"nodeInfo": {"kubeletVersion": node_version}}}
    found = findings(replace(well, kinds=kinds, workloads=workloads, nodes=(node,)))
    assert ["policy engine" in finding.problem for finding in found] == ([] if enforced else [True])


@pytest.mark.parametrize(
    ("words", "told_seconds"),
    [((), 600), (("--max-graceful-termination-sec=3600",), 3600), (("--max-graceful-termination-sec=86400",), None)],
)
def test_a_node_autoscaler_that_waits_less_than_a_session_is_told(
    well: Facts, words: tuple[str, ...], told_seconds: int | None
) -> None:
    found = findings(replace(well, workloads={"cluster-autoscaler": words}))
    assert len(found) == (0 if told_seconds is None else 1)
    assert all(f"{told_seconds} s after" in finding.problem for finding in found)


def test_a_used_up_quota_is_told(well: Facts) -> None:
    quota = {
        "metadata": {"name": "q"},
        "status": {"hard": {"pods": "5", "cpu": "8"}, "used": {"pods": "5", "cpu": "1"}},
    }
    assert the_only(replace(well, quotas=(quota,)), Level.WEAKENS).problem == "ResourceQuota q is used up: pods"


@pytest.mark.parametrize(
    ("spec", "level", "says"),
    [
        ({"networkIsolation": {}}, Level.WEAKENS, "egressCidrs is empty"),
        ({"networkIsolation": {"enabled": False}}, Level.WEAKENS, "no walls"),
        ({"autoscaling": {"provider": "None"}}, None, ""),
        ({"licenseProxy": {"usage": {"endpoint": "https://usage.example"}}}, Level.WEAKENS, "does not use it"),
        ({"licenseProxy": {"checkInEndpoint": "https://licences.example"}}, Level.WEAKENS, "does not use it"),
    ],
)
def test_settings_that_cost_something_are_told(
    well: Facts, spec: dict[str, Any], level: Level | None, says: str
) -> None:
    found = findings(replace(well, stack=stack_with(**spec)))
    assert [finding.level for finding in found] == ([level] if level else [])
    assert says in "".join(finding.problem for finding in found)


def applied(*conditions: tuple[str, str], observed: int | None = 1) -> dict[str, Any]:
    listed = [{"type": kind, "status": status, "reason": "Why", "message": "do this"} for kind, status in conditions]
    return {
        "metadata": {"name": "demo", "generation": 1},
        "spec": {},
        "status": {"observedGeneration": observed, "conditions": listed},
    }


@pytest.mark.parametrize(
    ("stack", "level", "says"),
    [
        (applied(), Level.STOPS, "no operator has looked"),
        (applied(("Ready", "True"), observed=0), Level.WEAKENS, "has not looked at the last change"),
        (applied(("ScalingSignal", "False"), ("Ready", "True")), Level.WEAKENS, "Why: do this"),
        (applied(("GatewayAvailable", "False"), ("Ready", "False")), Level.STOPS, "Why: do this"),
        (applied(("Progressing", "True"), ("Ready", "True")), None, ""),
    ],
)
def test_what_the_operator_says_is_passed_on(
    well: Facts, stack: dict[str, Any], level: Level | None, says: str
) -> None:
    found = findings(replace(well, applied=stack))
    assert [finding.level for finding in found] == ([level] if level else [])
    assert says in "".join(finding.problem for finding in found)


def test_the_worst_comes_first(well: Facts) -> None:
    facts = replace(well, stack=stack_with(networkIsolation={}), version=(1, 28), unseen=("nodes",))
    assert [finding.level for finding in findings(facts)] == [Level.STOPS, Level.WEAKENS, Level.NOTE]
    assert told(findings(facts), "speech/demo").endswith("speech/demo: 1 things stop it, 1 weaken it\n")


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: str(path.stem))
def test_every_example_can_be_examined_on_an_empty_cluster(example: Any) -> None:
    found = examine(Facts(load_stack(example), "speech", nodes=(), storage_classes={}, workloads={}), NOW)
    assert any(finding.level is Level.STOPS for finding in found)
    assert all(finding.problem and finding.remedy for finding in found)
