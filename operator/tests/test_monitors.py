"""What Prometheus' operator is told."""

from typing import Any

from operator_factories import built, inputs, model, pod_of, stack
from stack_model.api.status import ConditionType
from status_factories import condition, status
from streaming_operator.children.optional_apis import POD_MONITOR

PROMETHEUS = inputs(apis=frozenset({POD_MONITOR}))


def monitor(**pod_monitor: Any) -> dict[str, Any]:
    given = stack(observability={"podMonitor": pod_monitor}) if pod_monitor else stack()
    return built(given, PROMETHEUS)["PodMonitor", "demo"]


def test_one_monitor_finds_all_pods_of_the_stack_and_no_other() -> None:
    assert monitor()["spec"]["selector"] == {
        "matchLabels": {"app.kubernetes.io/name": "streaming-stack", "app.kubernetes.io/instance": "demo"}
    }


def test_series_tell_stack_component_and_pool() -> None:
    for endpoint in monitor()["spec"]["podMetricsEndpoints"]:
        targets = {one["targetLabel"]: one["sourceLabels"] for one in endpoint["relabelings"] if "targetLabel" in one}
        assert targets == {
            "stack": ["__meta_kubernetes_pod_label_app_kubernetes_io_instance"],
            "component": ["__meta_kubernetes_pod_label_app_kubernetes_io_component"],
            "pool": ["__meta_kubernetes_pod_label_streamingstack_dev_pool"],
        }


def test_every_port_that_is_read_is_one_that_some_pod_has() -> None:
    found = built(stack(models=[model()]), PROMETHEUS)
    pods = [pod_of(manifest) for (kind, _), manifest in found.items() if kind in ("Deployment", "StatefulSet")]
    containers = [one for pod in pods for one in [*pod.get("initContainers", []), *pod["containers"]]]
    ports = {port["name"] for container in containers for port in container.get("ports", [])}
    read = {endpoint["port"] for endpoint in found["PodMonitor", "demo"]["spec"]["podMetricsEndpoints"]}
    assert read <= ports


def test_the_port_of_clients_is_read_at_the_licence_proxy_alone() -> None:
    endpoint = next(one for one in monitor()["spec"]["podMetricsEndpoints"] if one["port"] == "http")
    keep = next(one for one in endpoint["relabelings"] if one.get("action") == "keep")
    assert keep == {
        "sourceLabels": ["__meta_kubernetes_pod_label_app_kubernetes_io_component"],
        "regex": "license-proxy",
        "action": "keep",
    }


def test_the_stacks_labels_and_interval_are_the_monitors() -> None:
    found = monitor(labels={"release": "prometheus"}, intervalSeconds=15)
    assert found["metadata"]["labels"]["release"] == "prometheus"
    assert {one["interval"] for one in found["spec"]["podMetricsEndpoints"]} == {"15s"}


def test_no_monitor_where_its_kind_is_unknown_or_it_is_not_wanted() -> None:
    assert ("PodMonitor", "demo") not in built(stack())
    assert ("PodMonitor", "demo") not in built(stack(observability={"podMonitor": {"enabled": False}}), PROMETHEUS)


def test_a_cluster_without_the_prometheus_operator_is_an_ordinary_one_and_no_condition_is_worse_for_it() -> None:
    told, with_it = status(inputs=inputs()), status(inputs=PROMETHEUS)
    assert told.conditions == with_it.conditions
    assert condition(told, ConditionType.READY).status == "True"
