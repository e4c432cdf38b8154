from typing import Any

import pytest
from sighted import body, deployment, pod, sight
from streaming_operator import names
from streaming_operator.cache import Cache, Change
from streaming_operator.kinds import AUTOSCALER, CONFIG_MAP, DEPLOYMENT, HTTP_ROUTE, STATEFUL_SET, Key
from streaming_operator.seen import (
    DELETION_COST,
    HOLD_MANAGER,
    Acceptance,
    Autoscaling,
    PodState,
    Seen,
    Size,
)

DEMO = Key("speech", "demo")


@pytest.mark.parametrize(
    ("change", "drifts"),
    [
        ({}, False),
        ({"status": {"readyReplicas": 1}}, False),
        ({"metadata": {"generation": 1, "resourceVersion": "6"}}, False),
        ({"metadata": {"generation": 1, "annotations": {"deployment.kubernetes.io/revision": "4"}}}, False),
        ({"metadata": {"generation": 2}}, True),
        ({"metadata": {"generation": 1, "labels": {}}}, True),
        ({"metadata": {"generation": 1, "annotations": {"by": "hand"}}}, True),
        ({"metadata": {"generation": 1, "ownerReferences": []}}, True),
    ],
)
def test_a_hand_on_a_deployment_is_drift_and_its_status_is_not(change: dict[str, Any], drifts: bool) -> None:
    assert (deployment(**change).drift != deployment().drift) is drifts


@pytest.mark.parametrize(
    ("change", "drifts"),
    [
        ({"status": {"desiredReplicas": 9, "currentMetrics": []}}, False),
        ({"metadata": {"resourceVersion": "77"}}, False),
        ({"spec": {"maxReplicas": 4}}, True),
    ],
)
def test_an_autoscaler_that_counts_no_generation_is_compared_by_its_spec(change: dict[str, Any], drifts: bool) -> None:
    usual: dict[str, Any] = {"spec": {"maxReplicas": 3}}
    assert (sight(AUTOSCALER, "x", **(usual | change)).drift != sight(AUTOSCALER, "x", **usual).drift) is drifts


def test_any_change_of_an_object_without_generation_and_status_is_drift() -> None:
    assert sight(CONFIG_MAP, "x").drift != sight(CONFIG_MAP, "x", metadata={"resourceVersion": "6"}).drift


@pytest.mark.parametrize(
    ("manager", "operation", "fields", "owns"),
    [
        (names.FIELD_MANAGER, "Apply", {"f:spec": {"f:replicas": {}}}, True),
        (names.FIELD_MANAGER, "Apply", {"f:spec": {"f:template": {}}}, False),
        ("streaming-operator-size", "Apply", {"f:spec": {"f:replicas": {}}}, False),
        ("kube-controller-manager", "Update", {"f:spec": {"f:replicas": {}}}, False),
    ],
)
def test_it_is_known_whose_the_size_is(manager: str, operation: str, fields: dict[str, Any], owns: bool) -> None:
    entry = {"manager": manager, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": fields}
    assert deployment(metadata={"generation": 1, "managedFields": [entry]}).owns_replicas is owns


@pytest.mark.parametrize(
    ("status", "generation", "rolled"),
    [
        ({"observedGeneration": 1, "replicas": 2, "readyReplicas": 2, "updatedReplicas": 2}, 1, True),
        ({"observedGeneration": 1, "replicas": 2, "readyReplicas": 2, "updatedReplicas": 2}, 2, False),
        ({"observedGeneration": 2, "replicas": 3, "readyReplicas": 2, "updatedReplicas": 1}, 2, False),
        ({"observedGeneration": 2, "replicas": 3, "readyReplicas": 3, "updatedReplicas": 2}, 2, False),
        ({}, 1, False),
    ],
)
def test_a_deployment_is_rolled_when_every_pod_is_of_its_latest_spec(
    status: dict[str, Any], generation: int, rolled: bool
) -> None:
    state = deployment(status=status, metadata={"generation": generation}).state
    assert isinstance(state, Size)
    assert state.rolled is rolled


def test_a_stateful_set_whose_controller_stopped_counting_is_rolled_by_its_revisions() -> None:
    status = {"observedGeneration": 1, "replicas": 2, "readyReplicas": 2, "currentRevision": "a", "updateRevision": "a"}
    state = sight(STATEFUL_SET, "x", spec={"replicas": 2}, status=status, metadata={"generation": 1}).state
    assert state == Size(desired=2, ready=2, rolled=True, updated=True)


def test_why_a_deployment_makes_no_pods_is_kept() -> None:
    condition = {
        "type": "ReplicaFailure",
        "status": "True",
        "reason": "FailedCreate",
        "message": "exceeded quota: small",
    }
    state = deployment(status={"conditions": [condition]}).state
    assert isinstance(state, Size)
    assert state.failure == "exceeded quota: small"


@pytest.mark.parametrize(
    ("condition", "blocked"),
    [
        ({"type": "ScalingActive", "status": "False", "reason": "FailedGetPodsMetric", "message": "no"}, True),
        ({"type": "AbleToScale", "status": "False", "reason": "FailedGetScale", "message": "no"}, True),
        ({"type": "ScalingActive", "status": "False", "reason": "ScalingDisabled", "message": "0"}, False),
        ({"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound", "message": ""}, False),
        ({"type": "ScalingLimited", "status": "True", "reason": "TooFewReplicas", "message": ""}, False),
    ],
)
def test_an_autoscaler_is_blocked_where_it_says_so(condition: dict[str, str], blocked: bool) -> None:
    state = sight(AUTOSCALER, "x", status={"desiredReplicas": 3, "conditions": [condition]}).state
    assert isinstance(state, Autoscaling)
    assert (state.desired, bool(state.blocked)) == (3, blocked)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([], Acceptance()),
        ([{"type": "Accepted", "status": "True"}], Acceptance(True)),
        (
            [
                {"type": "Accepted", "status": "True"},
                {"type": "ResolvedRefs", "status": "False", "reason": "R", "message": "m"},
            ],
            Acceptance(False, "R: m"),
        ),
    ],
)
def test_a_route_is_accepted_when_its_gateway_says_so(conditions: list[dict[str, str]], expected: Acceptance) -> None:
    assert sight(HTTP_ROUTE, "x", status={"parents": [{"conditions": conditions}]}).state == expected


def _waiting(name: str, reason: str) -> dict[str, Any]:
    return {"name": name, "ready": False, "state": {"waiting": {"reason": reason, "message": "because"}}}


@pytest.mark.parametrize(
    ("status", "blocked"),
    [
        (
            {"containerStatuses": [_waiting("main", "ImagePullBackOff")]},
            ("ImagePullBackOff", "p, container main: because"),
        ),
        (
            {"initContainerStatuses": [_waiting("fetch", "CrashLoopBackOff")]},
            ("CrashLoopBackOff", "p, container fetch: because"),
        ),
        ({"containerStatuses": [_waiting("main", "ContainerCreating")]}, None),
        (
            {
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes"}
                ]
            },
            ("Unschedulable", "p: 0/2 nodes"),
        ),
        (
            {
                "initContainerStatuses": [
                    {"name": "triton", "started": False, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}
                ]
            },
            ("LoadingModel", "2026-01-01T00:00:00Z"),
        ),
        (
            {"initContainerStatuses": [{"name": "fetch", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}]},
            ("FetchingModel", "2026-01-01T00:00:00Z"),
        ),
    ],
)
def test_a_pod_that_is_not_ready_tells_why(status: dict[str, Any], blocked: tuple[str, str] | None) -> None:
    state = pod("p", ready=False, status={"conditions": [], **status}).state
    assert isinstance(state, PodState)
    assert state.blocked == blocked


def test_the_cache_tells_drift_from_status_and_passes_over_what_is_old() -> None:
    cache = Cache()
    first = deployment()
    assert cache.put(DEMO, DEPLOYMENT, "demo-gateway", first) is Change.DRIFT
    assert cache.put(DEMO, DEPLOYMENT, "demo-gateway", first) is Change.NOTHING
    fewer = deployment(metadata={"generation": 1, "resourceVersion": "6"}, status={"readyReplicas": 1})
    assert cache.put(DEMO, DEPLOYMENT, "demo-gateway", fewer) is Change.STATUS
    by_hand = deployment(metadata={"generation": 2, "resourceVersion": "7"}, status={"readyReplicas": 1})
    assert cache.put(DEMO, DEPLOYMENT, "demo-gateway", by_hand) is Change.DRIFT
    assert cache.put(DEMO, DEPLOYMENT, "demo-gateway", fewer) is Change.NOTHING
    assert cache.get(DEMO, DEPLOYMENT, "demo-gateway") == by_hand


def test_the_cache_forgets_what_is_gone_and_nothing_that_has_taken_its_name() -> None:
    cache = Cache()
    cache.put(DEMO, DEPLOYMENT, "demo-gateway", deployment())
    assert cache.remove(DEMO, DEPLOYMENT, "demo-gateway", "a former uid") is Change.NOTHING
    assert cache.remove(DEMO, DEPLOYMENT, "demo-gateway", "demo-gateway-uid") is Change.DRIFT
    assert (cache.stacks(), len(cache)) == ([], 0)


def test_another_stacks_child_has_another_owner() -> None:
    other = {"kind": "StreamingStack", "name": "demo", "uid": "other"}
    assert deployment(metadata={"generation": 1, "ownerReferences": [other]}).owner == "other"
    assert deployment(metadata={"generation": 1, "ownerReferences": [{"kind": "Job", "uid": "x"}]}).owner == ""
    assert body(DEPLOYMENT, "x")["metadata"]["ownerReferences"][0]["uid"] == deployment().owner


@pytest.mark.parametrize(
    ("owner", "template", "workload"),
    [
        ({"kind": "ReplicaSet", "name": "demo-gateway-5d8f"}, "5d8f", "demo-gateway"),
        ({"kind": "ReplicaSet", "name": "demo-gateway-5d8f"}, "other", ""),
        ({"kind": "ReplicaSet", "name": "demo-gateway-5d8f"}, None, ""),
        ({"kind": "StatefulSet", "name": "demo-license-proxy-5d8f"}, "5d8f", ""),
    ],
)
def test_a_pod_is_told_by_the_replica_set_that_made_it(
    owner: dict[str, str], template: str | None, workload: str
) -> None:
    labels = names.labels("demo", names.GATEWAY) | ({"pod-template-hash": template} if template else {})
    assert pod("p", metadata={"labels": labels, "ownerReferences": [owner | {"uid": "u"}]}).workload == workload


@pytest.mark.parametrize(("annotation", "cost"), [("7", 7), ("-3", -3), ("seven", 0), (None, 0)])
def test_the_cost_of_a_pods_end_is_read_from_its_annotation(annotation: str | None, cost: int) -> None:
    annotations = {} if annotation is None else {DELETION_COST: annotation}
    assert pod("p", metadata={"annotations": annotations}).deletion_cost == cost


def _hold(manager: str) -> Seen:
    entry = {"manager": manager, "operation": "Apply", "fieldsV1": {"f:spec": {"f:paused": {}}}}
    return deployment(metadata={"generation": 1, "managedFields": [entry]})


def test_a_rollout_that_somebody_else_paused_is_not_held_by_us() -> None:
    assert _hold(HOLD_MANAGER).held
    assert not _hold("kubectl-rollout").held
