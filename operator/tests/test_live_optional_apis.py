"""Kinds that a cluster may or may not serve, as their makers publish them, against a real API server."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e_cluster import optional_crds
from e2e_cluster.addons.crds import apply_crds
from e2e_cluster.api_server import start_api
from e2e_cluster.errors import ClusterError
from e2e_cluster.kubernetes_api import KubernetesApi
from live_operator import Namespace, install_definition, make_namespace, operator, until
from operator_factories import built, inputs, model, stack
from stack_model.api import StreamingStack
from streaming_operator.children.optional_apis import HTTP_ROUTE, POD_MONITOR, SCALED_OBJECT

pytestmark = pytest.mark.cluster

SCALER = "scaler.streamingstack-system.svc:9091"
EVERY = inputs(apis=frozenset({HTTP_ROUTE, POD_MONITOR, SCALED_OBJECT}), scaler_address=SCALER)
ROUTED: dict[str, Any] = {
    "expose": {"type": "HTTPRoute", "parentRefs": [{"name": "edge", "namespace": "infra", "sectionName": "https"}]}
}
KEDA: dict[str, Any] = {"autoscaling": {"provider": "KEDA"}}
STACKS = {
    "usual": stack(gateway=ROUTED, **KEDA),
    "rich": stack(
        models=[model(), model("multilingual", gpu={}, autoscaling={"minReplicas": 2, "maxReplicas": 2})],
        gateway={"expose": {**ROUTED["expose"], "hostnames": ["*.a.example"], "annotations": {"team": "speech"}}},
        observability={"podMonitor": {"labels": {"release": "prometheus"}, "intervalSeconds": 5}},
        **KEDA,
    ),
}


@pytest.fixture(scope="module")
def definitions() -> list[Path]:
    """The published files."""
    return [optional_crds.pod_monitor(), optional_crds.scaled_object(), optional_crds.http_route()]


@pytest.fixture(scope="module")
def serving(definitions: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubernetesApi]:
    """An API server that serves them all; its own, as others' tests have to see none."""
    with start_api(tmp_path_factory.mktemp("optional-apis")) as server:
        api = KubernetesApi(server.kubeconfig)
        apply_crds(api, definitions)
        yield api


def _optional(given: StreamingStack) -> list[dict[str, Any]]:
    found = built(given, EVERY)
    return [child for (kind, _), child in found.items() if kind in ("PodMonitor", "ScaledObject", "HTTPRoute")]


def _try(api: KubernetesApi, children: list[dict[str, Any]]) -> None:
    """Let the API server judge them, with every unknown field an error. ClusterError."""
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": children})
    api.kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", stdin=listed)


@pytest.mark.parametrize("name", STACKS)
def test_the_published_definitions_take_every_optional_child(serving: KubernetesApi, name: str) -> None:
    children = _optional(STACKS[name])
    assert {child["kind"] for child in children} == {"PodMonitor", "ScaledObject", "HTTPRoute"}
    _try(serving, children)


@pytest.mark.parametrize("kind", ["PodMonitor", "ScaledObject", "HTTPRoute"])
def test_an_unknown_field_of_an_optional_child_would_be_noticed(serving: KubernetesApi, kind: str) -> None:
    child = next(child for child in _optional(STACKS["usual"]) if child["kind"] == kind)
    with pytest.raises(ClusterError, match="noSuchField"):
        _try(serving, [{**child, "spec": {**child["spec"], "noSuchField": 1}}])


# Of the two stacks below, by how kubectl calls them.
COME_LATER = (
    "podmonitors.monitoring.coreos.com/demo",
    "scaledobjects.keda.sh/demo-gateway",
    "scaledobjects.keda.sh/demo-asr-en-default",
    "httproutes.gateway.networking.k8s.io/routed-gateway",
)


def test_an_api_that_comes_later_is_used_and_told_without_a_restart(definitions: list[Path], tmp_path: Path) -> None:
    """It takes the minute that an answer of discovery lasts."""
    log = tmp_path / "log"
    with start_api(tmp_path / "api", controllers=True) as server:
        api = KubernetesApi(server.kubeconfig)
        install_definition(api)
        space = make_namespace(api, "later")
        space.license()
        with operator(api.kubeconfig, log, space.name, SCALER_ADDRESS=SCALER) as running:
            space.stack("routed", gateway=ROUTED)
            space.stack(**KEDA)
            assert "install Gateway API" in space.until_condition("routed", "Accepted", "ApiMissing")["message"]
            assert "install KEDA" in space.until_condition("demo", "ScalingSignal", "ApiMissing")["message"]
            apply_crds(api, definitions)
            space.until_condition("routed", "Accepted", "Accepted")
            space.until_condition("demo", "ScalingSignal", "Reported")
            until("all of them are made", lambda: _made(space) == {*COME_LATER})
            until("it is logged", lambda: "the cluster serves more" in log.read_text())
            space.kubectl("delete", COME_LATER[0])
            until("what comes later is mended too", lambda: _made(space) == {*COME_LATER})
            assert running.process.poll() is None


def _made(space: Namespace) -> set[str]:
    return {one for one in COME_LATER if space.get(*one.split("/"))}
