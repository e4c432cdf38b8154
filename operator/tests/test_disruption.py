"""Which parts a drain of nodes takes one by one."""

from typing import Any

import pytest
from operator_factories import built, inputs, model, stack
from stack_model.api import StreamingStack

ONE = {"minReplicas": 1, "maxReplicas": 1}
SEVERAL = {"minReplicas": 1, "maxReplicas": 3}


def budgets(given: StreamingStack, **facts: object) -> set[str]:
    return {name for kind, name in built(given, inputs(**facts)) if kind == "PodDisruptionBudget"}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, {"demo-gateway", "demo-license-proxy", "demo-lb", "demo-asr-en-default"}),
        ({"gateway": {"autoscaling": ONE}}, {"demo-license-proxy", "demo-lb", "demo-asr-en-default"}),
        ({"licenseProxy": {"replicas": 1}}, {"demo-gateway", "demo-lb", "demo-asr-en-default"}),
        ({"loadBalancer": {"replicas": 1}}, {"demo-gateway", "demo-license-proxy", "demo-asr-en-default"}),
        ({"models": [model(autoscaling=ONE)]}, {"demo-gateway", "demo-license-proxy", "demo-lb"}),
        # Nobody makes it more than its least.
        (
            {"models": [model(autoscaling=SEVERAL)], "autoscaling": {"provider": "None"}},
            {"demo-gateway", "demo-license-proxy", "demo-lb"},
        ),
    ],
)
def test_parts_that_may_run_in_several_pods_have_a_budget(spec: dict[str, Any], expected: set[str]) -> None:
    assert budgets(stack(**spec)) == expected


def test_a_budget_takes_one_pod_of_its_own_part_and_never_guards_a_broken_one() -> None:
    spec = built(stack())["PodDisruptionBudget", "demo-asr-en-default"]["spec"]
    assert spec == {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {
            "matchLabels": {
                "app.kubernetes.io/name": "streaming-stack",
                "app.kubernetes.io/instance": "demo",
                "app.kubernetes.io/component": "asr",
                "streamingstack.dev/pool": "en-default",
            }
        },
    }


def test_a_licence_proxy_that_stays_for_its_usage_is_guarded() -> None:
    assert "demo-license-proxy" in budgets(stack(licenseProxy={"replicas": 1}), undelivered_proxies=2)
