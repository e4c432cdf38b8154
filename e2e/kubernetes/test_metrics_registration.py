"""A registration that is in the way of tests: an accident on a local cluster, a fact on somebody's own."""

import pytest
from kubernetes import client
from metrics_registration import give_way


def _held() -> client.V1APIService:
    service = client.ApiregistrationV1ServiceReference(namespace="monitoring", name="prometheus-adapter")
    spec = client.V1APIServiceSpec(service=service, group_priority_minimum=100, version_priority=100)
    return client.V1APIService(spec=spec)


@pytest.mark.parametrize(
    ("cluster", "ends"),
    [("local", pytest.fail.Exception), ("kind", pytest.skip.Exception), ("current", pytest.skip.Exception)],
)
def test_who_serves_custom_metrics_is_named_and_only_a_local_cluster_fails_for_it(
    cluster: str, ends: type[BaseException]
) -> None:
    with pytest.raises(ends, match=r"monitoring/prometheus-adapter serves v1beta2\.custom\.metrics\.k8s\.io"):
        give_way(cluster, _held())
