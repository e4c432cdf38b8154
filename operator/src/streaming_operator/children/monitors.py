"""What tells Prometheus' operator where this stack's metrics are."""

from typing import Any

from lightkube.models.meta_v1 import ObjectMeta
from stack_model.api import StreamingStack

from streaming_operator import names
from streaming_operator.children.child import Child
from streaming_operator.children.optional_apis import POD_MONITOR, PodMonitor
from streaming_operator.facts import Inputs

# Prometheus' labels from the pods' labels: dashboards and alerts tell stacks and models apart by them.
_LABELS = {"stack": names.INSTANCE, "component": names.COMPONENT, "pool": names.POOL}


def monitors(stack: StreamingStack, inputs: Inputs) -> list[Child]:
    """A PodMonitor over all pods of the stack; none where it is not wanted or its API is not there."""
    wanted = stack.spec.observability.pod_monitor
    if not wanted.enabled or POD_MONITOR not in inputs.apis:
        return []
    name = stack.metadata.name
    # The licence proxy's metrics are on its only port; a port that a pod lacks is left out by Prometheus.
    ports = (names.METRICS, names.TRITON_METRICS)
    monitor = PodMonitor(
        metadata=ObjectMeta(
            name=names.monitor(name),
            labels={
                **wanted.labels,
                **names.stack_selector(name),
                names.STACK: name,
                names.MANAGED_BY: names.FIELD_MANAGER,
            },
        ),
        spec={
            "selector": {"matchLabels": names.stack_selector(name)},
            "podMetricsEndpoints": [
                *(_endpoint(port, wanted.interval_seconds) for port in ports),
                _endpoint(names.HTTP, wanted.interval_seconds, component=names.LICENSE_PROXY),
            ],
        },
    )
    return [Child(monitor)]


def _endpoint(port: str, interval: int, component: str | None = None) -> dict[str, Any]:
    relabelings: list[dict[str, Any]] = [
        {"sourceLabels": [_meta(source)], "targetLabel": target} for target, source in _LABELS.items()
    ]
    if component is not None:
        relabelings.insert(0, {"sourceLabels": [_meta(names.COMPONENT)], "regex": component, "action": "keep"})
    return {"port": port, "interval": f"{interval}s", "relabelings": relabelings}


def _meta(label: str) -> str:
    # Prometheus puts an underscore for what its label names cannot hold.
    return "__meta_kubernetes_pod_label_" + "".join(c if c.isalnum() else "_" for c in label)
