"""The objects that the API answers with: metrics, discovery, OpenAPI, Status. Pure."""

from collections.abc import Iterable
from typing import Any

from metrics_adapter.catalogue import METRICS
from metrics_adapter.load import Value

GROUP, VERSION = "custom.metrics.k8s.io", "v1beta2"
API_VERSION = f"{GROUP}/{VERSION}"
# Kubernetes' own words for each code, as clients compare them.
_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    500: "InternalError",
    503: "ServiceUnavailable",
}


def status(code: int, message: str) -> dict[str, Any]:
    """A failure, as every client of Kubernetes reads it."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": _REASONS[code],
        "code": code,
    }


def quantity(milli: int) -> str:
    """A count in Kubernetes' notation: whole, or in thousandths."""
    return str(milli // 1000) if milli % 1000 == 0 else f"{milli}m"


def metric_values(metric: str, values: Iterable[Value]) -> dict[str, Any]:
    """A MetricValueList of pods."""
    return {
        "kind": "MetricValueList",
        "apiVersion": API_VERSION,
        "metadata": {},
        "items": [_metric_value(metric, value) for value in values],
    }


def _metric_value(metric: str, value: Value) -> dict[str, Any]:
    pod = value.pod
    return {
        "describedObject": {"kind": "Pod", "namespace": pod.namespace, "name": pod.name, "apiVersion": "/v1"},
        "metric": {"name": metric, "selector": None},
        "timestamp": value.taken.strftime("%Y-%m-%dT%H:%M:%SZ"),
        **({} if value.window is None else {"windowSeconds": value.window}),
        "value": quantity(value.milli),
    }


_VERSION = {"groupVersion": API_VERSION, "version": VERSION}
API_GROUP = {
    "kind": "APIGroup",
    "apiVersion": "v1",
    "name": GROUP,
    "versions": [_VERSION],
    "preferredVersion": _VERSION,
}
API_GROUPS = {"kind": "APIGroupList", "apiVersion": "v1", "groups": [API_GROUP]}
API_RESOURCES = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": API_VERSION,
    "resources": [
        {
            "name": f"pods/{metric}",
            "singularName": "",
            "namespaced": True,
            "kind": "MetricValueList",
            # Never delete: the namespace controller would try to empty a namespace of them.
            "verbs": ["get"],
        }
        for metric in sorted(METRICS)
    ],
}
# Metrics are no objects that anybody could explain or validate: documents without a path are enough for the aggregator.
OPENAPI_V2 = {"swagger": "2.0", "info": {"title": GROUP, "version": VERSION}, "paths": {}}
OPENAPI_V3: dict[str, Any] = {"paths": {}}
