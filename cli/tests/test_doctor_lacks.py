"""What a cluster lacks, or a stack leaves out or weakens: one finding each, with its remedy."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from streamingstack_cli.doctor.facts import Facts, Level

from .conftest import ROOT
from .doctor_facts import ENGLISH, KINDS, findings, stack_with

EXPOSED: dict[str, Any] = {"expose": {"type": "HTTPRoute", "parentRefs": [{"name": "public"}]}}
SOURCED = {**ENGLISH, "source": "hf://owner/m@main", "autoscaling": {"minReplicas": 2}}
KEYS_OF_OWN: dict[str, Any] = {"gateway": {**EXPOSED, "auth": {"secretName": "mine"}}}
ROOTS: dict[str, Any] = {"networkIsolation": {"egressCidrs": ["198.18.0.0/24"], "caBundleConfigMap": "roots"}}
NAMED_BY = {
    "Secret/mine": "spec.gateway.auth.secretName",
    "ConfigMap/roots": "spec.networkIsolation.caBundleConfigMap",
}


def without(kind: str) -> dict[str, Any]:
    """A cluster that does not serve it."""
    return {"kinds": frozenset(one for one in KINDS if not one.startswith(kind))}


def the_one_finding(facts: Facts) -> tuple[Level, str, str, str]:
    [found] = findings(facts)
    return found.level, found.about, found.problem, found.remedy


@pytest.mark.parametrize(
    ("spec", "cluster", "expected"),
    [
        (
            {"autoscaling": {"provider": "KEDA"}},
            without("keda.sh/"),
            (
                Level.WEAKENS,
                "spec.autoscaling",
                "the cluster has no KEDA: nothing scales",
                "install KEDA, or set spec.autoscaling.provider: HPA",
            ),
        ),
        (
            {},
            without("custom.metrics.k8s.io/"),
            (
                Level.WEAKENS,
                "spec.autoscaling",
                "nobody serves custom.metrics.k8s.io: nothing scales",
                "let the chart serve it: metricsAdapter.enabled, and metricsAdapter.api: Always in one release; or set "
                "spec.autoscaling.provider: KEDA, or None and use kubectl scale",
            ),
        ),
        (
            {},
            without("monitoring.coreos.com/"),
            (
                Level.NOTE,
                "spec.observability",
                "the cluster has no PodMonitor: no metrics are scraped",
                "install the Prometheus operator, or let your Prometheus find pods by their port named metrics",
            ),
        ),
        ({"observability": {"podMonitor": {"enabled": False}}}, without("monitoring.coreos.com/"), None),
        (
            {"modelStore": {"storage": {"storageClassName": "fast"}}},
            {"storage_classes": {"slow": False, "standard": True}},
            (Level.STOPS, "spec.modelStore.storage", "there is no StorageClass fast", "name one of: slow, standard"),
        ),
        (
            {"gateway": {"expose": {"type": "None"}}},
            {},
            (
                Level.NOTE,
                "spec.gateway.expose",
                "nobody outside of the cluster reaches the gateway",
                "set spec.gateway.expose, unless every client lives in the cluster",
            ),
        ),
    ],
)
def test_what_a_cluster_lacks_or_a_stack_leaves_out_is_one_finding_with_its_remedy(
    well: Facts, spec: dict[str, Any], cluster: dict[str, Any], expected: tuple[Level, str, str, str] | None
) -> None:
    facts = replace(well, stack=stack_with(**spec), **cluster)
    if expected is None:
        assert findings(facts) == []
    else:
        assert the_one_finding(facts) == expected


def test_what_no_condition_tells_is_on_the_page_for_trouble_in_the_doctors_words(well: Facts) -> None:
    *_, remedy = the_one_finding(replace(well, **without("monitoring.coreos.com/")))
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    assert f"The doctor notes it: {remedy};" in " ".join(page.split())


@pytest.mark.parametrize(
    ("spec", "reference", "values", "problem", "remedy"),
    [
        (KEYS_OF_OWN, "Secret/mine", None, "Secret speech/mine is not there", "create it, or correct its name"),
        (ROOTS, "ConfigMap/roots", None, "ConfigMap speech/roots is not there", "create it, or correct its name"),
        (
            KEYS_OF_OWN,
            "Secret/mine",
            {"key": b"", "api-keys": b""},
            "Secret speech/mine has no key keys (there: api-keys, key)",
            "add the key",
        ),
        (ROOTS, "ConfigMap/roots", {}, "ConfigMap speech/roots has no key ca.crt (there: none)", "add the key"),
    ],
)
def test_a_secret_or_a_configmap_that_lacks_what_is_named_stops_the_stack(
    well: Facts,
    spec: dict[str, Any],
    reference: str,
    values: Mapping[str, bytes] | None,
    problem: str,
    remedy: str,
) -> None:
    facts = replace(well, stack=stack_with(**spec), data={**well.data, reference: values})
    assert the_one_finding(facts) == (Level.STOPS, NAMED_BY[reference], problem, remedy)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            {"gateway": {**EXPOSED, "auth": {"mode": "AnyNonEmpty"}}},
            (
                Level.WEAKENS,
                "spec.gateway.auth",
                "every caller with any key is let in, and usage has one tenant",
                "set spec.gateway.auth.mode: Keys",
            ),
        ),
        (
            {"gateway": {**EXPOSED, "autoscaling": {"minReplicas": 1}}},
            (
                Level.WEAKENS,
                "spec.gateway.autoscaling",
                "a single gateway pod: its node's end cuts every session",
                "set minReplicas: 2 or more",
            ),
        ),
        (
            {"models": [{**SOURCED, "autoscaling": {"minReplicas": 1}}]},
            (
                Level.NOTE,
                "model en-default",
                "a single pod: while it is replaced, sessions wait in their gateways",
                "set autoscaling.minReplicas: 2 where that matters",
            ),
        ),
        (
            {"models": [{**SOURCED, "source": "file:///models/en"}]},
            (
                Level.STOPS,
                "model en-default",
                "file:// is a file of one machine; a model store refuses it",
                "use pvc://claim/path, https, hf, s3, pypi or image",
            ),
        ),
    ],
)
def test_a_promise_that_a_setting_weakens_is_one_finding_with_its_remedy(
    well: Facts, spec: dict[str, Any], expected: tuple[Level, str, str, str]
) -> None:
    assert the_one_finding(replace(well, stack=stack_with(**spec))) == expected
