"""What rolls and what reloads: a change of each field replaces these pods, changes these mounted files, and no other.

ARCHITECTURE.md has the same table for people; it is read here.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from operator_factories import built, inputs, model, stack
from stack_model.api import StreamingStack
from streaming_operator.facts import Inputs, LicenseFact

ARCHITECTURE = Path(__file__).parents[2] / "ARCHITECTURE.md"
GATEWAY, PROXY, BALANCER, STORE = "gateway", "licence proxy", "load balancer", "model store"
POOL, EVERY = "its pool", "every part"
_WORKLOADS = {
    ("Deployment", "demo-gateway"): GATEWAY,
    ("StatefulSet", "demo-license-proxy"): PROXY,
    ("Deployment", "demo-lb"): BALANCER,
    ("Deployment", "demo-model-store"): STORE,
    ("Deployment", "demo-asr-en-default"): POOL,
}
_MOUNTED = {
    ("ConfigMap", "demo-gateway-models"): GATEWAY,
    ("Secret", "demo-api-keys"): GATEWAY,
    ("ConfigMap", "demo-lb-routes"): BALANCER,
    ("ConfigMap", "demo-model-store"): STORE,
}


@dataclass(frozen=True)
class Row:
    """A change of one field; `rolls` and `reloads` name parts."""

    field: str
    before: tuple[StreamingStack, Inputs]
    after: tuple[StreamingStack, Inputs]
    rolls: frozenset[str] = frozenset()
    reloads: frozenset[str] = frozenset()


def _row(field: str, rolls: set[str], reloads: set[str], before: dict[str, Any], after: dict[str, Any]) -> Row:
    return Row(field, (stack(**before), inputs()), (stack(**after), inputs()), frozenset(rolls), frozenset(reloads))


def _of_models(field: str, rolls: set[str], reloads: set[str], **changed: Any) -> Row:
    other = model("multilingual")
    return _row(field, rolls, reloads, {"models": [model(), other]}, {"models": [model(**changed), other]})


def _of_one_pod(field: str, rolls: set[str], reloads: set[str], **changed: Any) -> Row:
    """Of a pool that may be of one pod, which is replaced in place: its sessions wait for as long as it starts."""
    alone = {"rollout": "Replace"}
    return _row(field, rolls, reloads, {"models": [model(**alone)]}, {"models": [model(**alone, **changed)]})


def _of_facts(field: str, rolls: set[str], before: Inputs, after: Inputs, **spec: Any) -> Row:
    return Row(field, (stack(**spec), before), (stack(**spec), after), frozenset(rolls))


_EVERYTHING = {GATEWAY, PROXY, BALANCER, STORE, POOL}
_OUT: dict[str, Any] = {"networkIsolation": {"caBundleConfigMap": "roots"}}
_TRACKER: dict[str, Any] = {
    "licenseProxy": {"usage": {"endpoint": "https://tracker.example.com", "apiKeySecretName": "tracker"}}
}
_ROWS = [
    _of_facts(
        "the licence, renewed",
        set(),
        inputs(license=LicenseFact("Genuine", resource_version="1")),
        inputs(license=LicenseFact("Genuine", resource_version="2")),
    ),
    Row(
        "an API key",
        (stack(), inputs(first_key_hash="a" * 64)),
        (stack(), inputs(first_key_hash="b" * 64)),
        reloads=frozenset({GATEWAY}),
    ),
    _row("license.secretName", {PROXY}, set(), {}, {"license": {"secretName": "other"}}),
    _row("gateway.auth", {GATEWAY}, set(), {}, {"gateway": {"auth": {"secretName": "ours"}}}),
    _row("gateway.sessions.maxPerPod", {GATEWAY}, set(), {}, {"gateway": {"sessions": {"maxPerPod": 50}}}),
    _row("gateway.sessions.targetPerPod", set(), set(), {}, {"gateway": {"sessions": {"targetPerPod": 30}}}),
    _row("gateway.maxSessionSeconds", {GATEWAY, BALANCER}, set(), {}, {"gateway": {"maxSessionSeconds": 600}}),
    _row(
        "gateway.defaultSpeechModel",
        set(),
        {GATEWAY},
        {},
        {"gateway": {"defaultSpeechModel": "universal-streaming-en-default"}},
    ),
    _row("gateway.expose", set(), set(), {}, {"gateway": {"expose": {"type": "Ingress"}}}),
    _row("gateway.autoscaling", set(), set(), {}, {"gateway": {"autoscaling": {"minReplicas": 3}}}),
    _row("gateway.maxDrainingPods", set(), set(), {}, {"gateway": {"maxDrainingPods": 3}}),
    _row("gateway.resources", {GATEWAY}, set(), {}, {"gateway": {"resources": {"requests": {"cpu": "2"}}}}),
    _row("gateway.pods", {GATEWAY}, set(), {}, {"gateway": {"pods": {"labels": {"team": "speech"}}}}),
    _row("loadBalancer.replicas", set(), set(), {}, {"loadBalancer": {"replicas": 3}}),
    _row("loadBalancer.resources", {BALANCER}, set(), {}, {"loadBalancer": {"resources": {"requests": {"cpu": "2"}}}}),
    _row("loadBalancer.pods", {BALANCER}, set(), {}, {"loadBalancer": {"pods": {"priorityClassName": "high"}}}),
    _row("licenseProxy.replicas", set(), set(), {}, {"licenseProxy": {"replicas": 3}}),
    _row(
        "licenseProxy.checkInEndpoint", {PROXY}, set(), {}, {"licenseProxy": {"checkInEndpoint": "https://a.example"}}
    ),
    _row("licenseProxy.usage", {PROXY}, set(), {}, _TRACKER),
    _of_facts(
        "the usage tracker's key",
        {PROXY},
        inputs(versions={"Secret/tracker": "1"}),
        inputs(versions={"Secret/tracker": "2"}),
        **_TRACKER,
    ),
    _row("licenseProxy.resources", {PROXY}, set(), {}, {"licenseProxy": {"resources": {"requests": {"cpu": "2"}}}}),
    _row("licenseProxy.pods", {PROXY}, set(), {}, {"licenseProxy": {"pods": {"priorityClassName": "high"}}}),
    _of_models("models[].speechModels", set(), {GATEWAY}, speechModels=["universal-streaming-english"]),
    _of_models("models[].routeAliases", set(), {BALANCER}, routeAliases=["english"]),
    _of_models("models[].source", {POOL}, {STORE}, source="hf://example/en-default@v2"),
    _of_models("models[].image", {POOL}, set(), image="here/asr:2"),
    _of_models("models[].gpu", {POOL}, {GATEWAY}, gpu={}),
    _of_models("models[].resources", {POOL}, set(), resources={"requests": {"cpu": "2"}}),
    _of_models("models[].streams.maxPerPod", {POOL}, set(), streams={"maxPerPod": 30}),
    _of_models("models[].streams.targetPerPod", set(), set(), streams={"targetPerPod": 10}),
    _of_one_pod("models[].autoscaling", set(), {GATEWAY}, autoscaling={"minReplicas": 2}),
    _of_models("models[].rollout", set(), {GATEWAY}, rollout="Replace"),
    _of_one_pod("models[].startupSeconds", {POOL}, {GATEWAY}, startupSeconds=600),
    _of_models("models[].pods", {POOL}, set(), pods={"priorityClassName": "high"}),
    _row(
        "a model added or removed",
        set(),
        {GATEWAY, BALANCER, STORE},
        {"models": [model()]},
        {"models": [model(), model("multilingual")]},
    ),
    _row("modelStore.credentialsSecretName", {STORE}, set(), {}, {"modelStore": {"credentialsSecretName": "hub"}}),
    _of_facts(
        "credentials of model sources",
        {STORE},
        inputs(versions={"Secret/hub": "1"}),
        inputs(versions={"Secret/hub": "2"}),
        modelStore={"credentialsSecretName": "hub"},
    ),
    _row("modelStore.resources", {STORE}, set(), {}, {"modelStore": {"resources": {"requests": {"cpu": "2"}}}}),
    _row("modelStore.pods", {STORE}, set(), {}, {"modelStore": {"pods": {"priorityClassName": "high"}}}),
    _row("networkIsolation.egressCidrs", set(), set(), {}, {"networkIsolation": {"egressCidrs": ["192.0.2.0/24"]}}),
    _row(
        "networkIsolation.proxyUrl",
        {PROXY, STORE},
        set(),
        {},
        {"networkIsolation": {"proxyUrl": "http://p.example:3128"}},
    ),
    _of_facts(
        "the bundle of certificates",
        {PROXY, STORE},
        inputs(versions={"ConfigMap/roots": "1"}),
        inputs(versions={"ConfigMap/roots": "2"}),
        **_OUT,
    ),
    _row("autoscaling.provider", set(), set(), {}, {"autoscaling": {"provider": "None"}}),
    _row("images", _EVERYTHING, set(), {}, {"images": {"registry": "harbor.example.com"}}),
    _row("images.pullSecrets", _EVERYTHING, set(), {}, {"images": {"pullSecrets": ["one"]}}),
    _row("observability.podMonitor", set(), set(), {}, {"observability": {"podMonitor": {"enabled": False}}}),
]


def _templates(children: dict[tuple[str, str], dict[str, Any]]) -> dict[str, Any]:
    return {part: children[key]["spec"]["template"] for key, part in _WORKLOADS.items() if key in children}


def _files(children: dict[tuple[str, str], dict[str, Any]]) -> dict[str, Any]:
    return {f"{part} {key}": children[key]["data"] for key, part in _MOUNTED.items() if key in children}


def _changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    return {name for name in before.keys() & after.keys() if before[name] != after[name]}


@pytest.mark.parametrize("row", _ROWS, ids=lambda row: row.field)
def test_a_change_rolls_and_reloads_what_the_table_says_and_nothing_else(row: Row) -> None:
    before, after = built(*row.before), built(*row.after)
    assert _changed(_templates(before), _templates(after)) == row.rolls
    reloaded = {name.partition(" (")[0] for name in _changed(_files(before), _files(after))}
    assert reloaded == row.reloads


def _documented() -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    _, _, section = ARCHITECTURE.read_text().partition("## What rolls and what reloads")
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|", section.partition("\n## ")[0], re.MULTILINE)
    parts = {
        field.replace("`", ""): (_parts(rolls), _parts(reloads))
        for fields, rolls, reloads in rows
        if not fields.startswith(("change", "---"))
        for field in fields.split("; ")
    }
    assert parts
    return parts


def _parts(cell: str) -> frozenset[str]:
    if cell == EVERY:
        return frozenset(_EVERYTHING)
    return frozenset(part for part in cell.split(", ") if part != "–")


def test_the_table_in_the_architecture_says_the_same() -> None:
    assert _documented() == {row.field: (row.rolls, row.reloads) for row in _ROWS}
