"""An HPA follows a metric that a pod serves through the aggregation layer."""

import base64
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import pytest
from e2e_cluster import certificates
from kubernetes import client
from live_namespace import LiveNamespace
from metrics_registration import REGISTRATION, await_free
from plain_stack import MANIFESTS, staying_node

pytestmark = pytest.mark.kubernetes
SCALED_SECONDS = 90.0


@pytest.fixture
def metrics_api(namespace: LiveNamespace, images: Mapping[str, str]) -> Iterator[None]:
    """The API in a pod, registered with the API server."""
    await_free(namespace)
    registry = client.ApiregistrationV1Api(namespace.api)
    name = f"metrics-api.{namespace.name}.svc"
    authority = certificates.authority("e2e metrics", now=datetime.now(UTC))
    pair = authority.server(name, [name], now=datetime.now(UTC))
    namespace.secret("metrics-api-tls", {"tls.crt": pair.certificate, "tls.key": pair.key})
    namespace.apply_file(MANIFESTS / "metrics-api.yaml", STAYING_NODE=staying_node(namespace), **images)
    namespace.await_ready("metrics-api")
    registry.create_api_service(api_service(namespace.name, authority.pair.certificate))
    yield
    registry.delete_api_service(REGISTRATION)


def test_the_size_follows_the_metric_up_and_down(namespace: LiveNamespace, metrics_api: None) -> None:
    namespace.await_ready("scaled", 1)
    for sessions, pods in ((6, 3), (2, 1)):
        namespace.apps.patch_namespaced_deployment(
            "scaled", namespace.name, {"metadata": {"annotations": {"sessions": str(sessions)}}}
        )
        namespace.await_ready("scaled", pods, SCALED_SECONDS)


def api_service(namespace: str, ca: str) -> dict[str, object]:
    """The registration of a metrics API that shows a certificate of `ca`."""
    return {
        "metadata": {"name": REGISTRATION},
        "spec": {
            "group": "custom.metrics.k8s.io",
            "version": "v1beta2",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "service": {"namespace": namespace, "name": "metrics-api", "port": 443},
            "caBundle": base64.b64encode(ca.encode()).decode(),
        },
    }
