"""Who sizes the gateway and the pools, by what, and how fast."""

from operator_factories import built, inputs, model, stack
from streaming_operator.children.optional_apis import SCALED_OBJECT

KEDA = inputs(apis=frozenset({SCALED_OBJECT}), scaler_address="adapter.system.svc:6000")


def test_the_gateway_and_each_pool_follow_their_pods_load() -> None:
    found = built(
        stack(
            gateway={
                "sessions": {"targetPerPod": 30, "maxPerPod": 40},
                "autoscaling": {"minReplicas": 3, "maxReplicas": 9},
            },
            models=[model(streams={"targetPerPod": 5}, autoscaling={"minReplicas": 2, "maxReplicas": 4})],
        )
    )
    gateway = found["HorizontalPodAutoscaler", "demo-gateway"]["spec"]
    assert gateway["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "demo-gateway"}
    assert (gateway["minReplicas"], gateway["maxReplicas"]) == (3, 9)
    assert gateway["metrics"] == [
        {
            "type": "Pods",
            "pods": {
                "metric": {"name": "streaming_gateway_sessions_wanted"},
                "target": {"type": "AverageValue", "averageValue": "30"},
            },
        }
    ]
    pool = found["HorizontalPodAutoscaler", "demo-asr-en-default"]["spec"]
    assert (pool["minReplicas"], pool["maxReplicas"]) == (2, 4)
    assert pool["metrics"][0]["pods"]["metric"]["name"] == "streaming_asr_streams_wanted"
    assert pool["metrics"][0]["pods"]["target"]["averageValue"] == "5"


def test_sizes_grow_fast_and_shrink_slowly() -> None:
    found = built(stack())
    gateway = found["HorizontalPodAutoscaler", "demo-gateway"]["spec"]["behavior"]
    pool = found["HorizontalPodAutoscaler", "demo-asr-en-default"]["spec"]["behavior"]
    assert gateway["scaleUp"]["stabilizationWindowSeconds"] == 0
    assert gateway["scaleUp"]["policies"] == [
        {"type": "Percent", "value": 100, "periodSeconds": 30},
        {"type": "Pods", "value": 4, "periodSeconds": 30},
    ]
    assert gateway["scaleDown"] == {
        "stabilizationWindowSeconds": 900,
        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 300}],
    }
    assert pool["scaleUp"] == {
        "stabilizationWindowSeconds": 0,
        "policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}],
    }
    assert pool["scaleDown"] == {
        "stabilizationWindowSeconds": 1200,
        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 600}],
    }


def test_a_pool_that_leaves_keeps_its_autoscaler() -> None:
    left = stack(models=[model("old")]).spec.models
    found = built(stack(), inputs(leaving=tuple(left)))
    assert ("HorizontalPodAutoscaler", "demo-asr-old") in found


def test_nothing_sizes_a_stack_whose_provider_is_none() -> None:
    kinds = {kind for kind, _ in built(stack(autoscaling={"provider": "None"}))}
    assert not kinds & {"HorizontalPodAutoscaler", "ScaledObject"}


def test_keda_sizes_by_its_own_objects_and_never_beside_an_hpa() -> None:
    found = built(stack(autoscaling={"provider": "KEDA"}), KEDA)
    assert not [name for kind, name in found if kind == "HorizontalPodAutoscaler"]
    pool = found["ScaledObject", "demo-asr-en-default"]["spec"]
    assert pool["scaleTargetRef"]["name"] == "demo-asr-en-default"
    assert (pool["minReplicaCount"], pool["maxReplicaCount"]) == (1, 8)
    assert pool["triggers"] == [
        {
            "type": "external",
            "metricType": "AverageValue",
            "metadata": {
                "scalerAddress": "adapter.system.svc:6000",
                "stack": "demo",
                "component": "asr",
                "model": "en-default",
                "target": "20",
            },
        }
    ]
    assert pool["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"]


def test_without_keda_or_its_scaler_no_object_of_keda_is_made() -> None:
    wanted = stack(autoscaling={"provider": "KEDA"})
    for facts in (inputs(), inputs(apis=frozenset({SCALED_OBJECT})), inputs(scaler_address="a:1")):
        assert not [name for kind, name in built(wanted, facts) if kind == "ScaledObject"]
