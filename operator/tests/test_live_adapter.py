"""The metrics adapter behind a real API server: asked as the autoscaler asks, away, back, beside another, gone."""

import http.client
import json
import secrets
import signal
import ssl
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from e2e_cluster.errors import ClusterError
from e2e_cluster.kubernetes_api import KubernetesApi
from e2e_cluster.pki import KeyStore
from e2e_cluster.reading import AGGREGATED_DISCOVERY
from live_adapter import (
    API,
    SERVICE,
    MetricsServer,
    RunningAdapter,
    adapter,
    asr_text,
    free_port,
    gateway_text,
    metric_of,
    pod,
    prepare,
    raw,
    runs,
)
from live_operator import Namespace, make_namespace, operator, until
from streaming_operator import names

pytest_plugins = ["e2e_cluster.testing", "live_fixtures"]
pytestmark = pytest.mark.cluster
GATEWAYS = "app.kubernetes.io%2Fcomponent%3Dgateway"


@dataclass
class Installed:
    """One adapter in a namespace of its own, with exactly the rights that the chart gives it."""

    space: Namespace
    kubeconfig: Path
    owner: str
    folder: Path
    port: int

    def run(self, log: str = "adapter.log", **environment: str) -> AbstractContextManager[RunningAdapter]:
        """One replica."""
        given = {"OWNER_CLUSTER_ROLE": self.owner, "SERVICE_PORT": str(self.port), "API_PORT": str(self.port)}
        return adapter(self.kubeconfig, self.folder / log, self.space.name, **(given | environment))


@pytest.fixture(scope="module")
def installed(own_api: KubernetesApi, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("adapter")
    space = make_namespace(own_api, "adapter-system")
    kubeconfig, owner = prepare(space, folder)
    return Installed(space, kubeconfig, owner, folder, free_port())


@pytest.fixture(scope="module")
def running(installed: Installed, own_api: KubernetesApi) -> Iterator[RunningAdapter]:
    with installed.run() as process:
        until("the API is available", lambda: available(own_api))
        yield process


@pytest.fixture
def space(own_api: KubernetesApi) -> Namespace:
    return make_namespace(own_api, f"load-{secrets.token_hex(3)}")


@pytest.fixture
def server() -> Iterator[Any]:
    """Makes servers of pods' metrics."""
    made: list[MetricsServer] = []

    def make(text: str) -> MetricsServer:
        made.append(MetricsServer(text))
        return made[-1]

    yield make
    for each in made:
        each.close()


def registration(api: KubernetesApi) -> dict[str, Any]:
    """The APIService; empty where there is none."""
    return api.reader.one("", "apiservice", names.METRICS_API) or {}


def available(api: KubernetesApi) -> bool:
    """Whether the API server reaches it."""
    conditions = registration(api).get("status", {}).get("conditions", [])
    return any(it["type"] == "Available" and it["status"] == "True" for it in conditions)


def test_the_group_is_discovered_and_no_other_is_held_up(own_api: KubernetesApi, running: RunningAdapter) -> None:
    resources = raw(own_api, API)["resources"]
    assert {it["name"] for it in resources} >= {f"pods/{names.GATEWAY_LOAD}", f"pods/{names.ASR_LOAD}"}
    assert all(it["verbs"] == ["get"] and it["namespaced"] for it in resources)

    def freshness() -> dict[str, str]:
        found = own_api.reader.read("/apis", AGGREGATED_DISCOVERY) or {}
        return {it["metadata"]["name"]: it["versions"][0]["freshness"] for it in found["items"]}

    until("aggregated discovery has it", lambda: freshness().get("custom.metrics.k8s.io") == "Current")
    assert set(freshness().values()) == {"Current"}


def test_the_autoscaler_is_told_what_pods_carry_and_the_room_to_keep(
    own_api: KubernetesApi, running: RunningAdapter, space: Namespace, server: Any
) -> None:
    space.stack(gateway={"autoscaling": {"headroomSessions": 3}})
    busy, idle, ends = server(gateway_text(5)), server(gateway_text(0)), server(gateway_text(7))
    hears = server(asr_text(2))
    for name, part, model in (
        ("busy", names.GATEWAY, None),
        ("idle", names.GATEWAY, None),
        ("ends", names.GATEWAY, None),
        ("hears", names.ASR, "en-default"),
    ):
        space.apply(pod(name, "demo", part, model))
    for name, it in (("busy", busy), ("idle", idle), ("ends", ends), ("hears", hears)):
        runs(space, name, it.address)

    def told(metric: str, selector: str = "") -> dict[str, str] | None:
        return metric_of(own_api, space.name, metric, selector)

    until("three gateways", lambda: told(names.GATEWAY_LOAD) == {"busy": "6", "idle": "1", "ends": "8"})
    until("two streams, and room for four", lambda: told(names.ASR_LOAD) == {"hears": "6"})
    assert told("streaming_gateway_sessions_active") == {"busy": "5", "idle": "0", "ends": "7"}
    assert told("streaming_asr_streams_capacity") == {"hears": "28"}
    assert told(names.GATEWAY_LOAD, f"{GATEWAYS}%2Cstreamingstack.dev%2Fstack%21%3Ddemo") == {}
    one = raw(own_api, f"{API}/namespaces/{space.name}/pods/busy/{names.GATEWAY_LOAD}")["items"]
    assert [(it["value"], it["windowSeconds"], it["describedObject"]["name"]) for it in one] == [("6", 60, "busy")]

    ends.text = gateway_text(7, draining=1)
    until("what drains is no load", lambda: told(names.GATEWAY_LOAD) == {"busy": "6500m", "idle": "1500m"})
    busy.text = gateway_text(5, refused={"capacity": 4, "unauthorized": 90})
    until("refusals are demand", lambda: told(names.GATEWAY_LOAD) == {"busy": "10500m", "idle": "1500m"})
    idle.status = 500
    until("who is silent has no value", lambda: told(names.GATEWAY_LOAD) == {"busy": "12"})
    with pytest.raises(ClusterError, match="it ends, drains or is silent"):
        raw(own_api, f"{API}/namespaces/{space.name}/pods/idle/{names.GATEWAY_LOAD}")
    space.kubectl("delete", "pod", "busy", "--force", "--grace-period=0")
    until("who is gone has no value", lambda: told(names.GATEWAY_LOAD) == {})


def test_an_autoscaler_sizes_gateway_and_pool_by_their_load_and_holds_without(
    own_api: KubernetesApi, running: RunningAdapter, space: Namespace, server: Any, tmp_path: Path
) -> None:
    gateway = {
        "autoscaling": {"minReplicas": 1, "maxReplicas": 9, "headroomSessions": 1},
        "sessions": {"targetPerPod": 2, "maxPerPod": 4},
    }
    metrics = {names.GATEWAY: server(gateway_text(0)), names.ASR: server(asr_text(0))}

    def sizes() -> dict[str, int]:
        _run_all(space, metrics)
        found = space.all("deployments")
        return {it["metadata"]["name"]: it["spec"]["replicas"] for it in found}

    with operator(own_api.kubeconfig, tmp_path / "log", space.name, READINGS_SECONDS="2"):
        space.license()
        space.stack(gateway=gateway)
        space.until_made()
        until(
            "the load is reported", lambda: sizes() and space.condition("demo", "ScalingSignal")["reason"] == "Reported"
        )
        assert (sizes()["demo-gateway"], sizes()["demo-asr-en-default"]) == (1, 1)
        # Every gateway pod is this one server: three sessions each are over the target however many there are.
        metrics[names.GATEWAY].text = gateway_text(3)
        until("gateways follow sessions", lambda: sizes()["demo-gateway"] >= 4)
        assert sizes()["demo-asr-en-default"] == 1, "each is sized on its own"
        metrics[names.GATEWAY].status = 503
        until("the signal is lost", lambda: signal_of(space) == "NoSignal")
        held = sizes()["demo-gateway"]
        time.sleep(12)
        assert sizes()["demo-gateway"] == held
        space.kubectl("delete", "streamingstack", "demo")


def signal_of(space: Namespace) -> str:
    """The reason of the stack's condition ScalingSignal."""
    return str(space.condition("demo", "ScalingSignal").get("reason"))


def _run_all(space: Namespace, metrics: dict[str, MetricsServer]) -> None:
    """As kubelets would: every pending pod of those parts runs."""
    for it in space.all("pods"):
        part = it["metadata"]["labels"].get(names.COMPONENT)
        if part in metrics and it["status"]["phase"] == "Pending":
            runs(space, it["metadata"]["name"], metrics[part].address)


def test_only_the_front_proxy_is_served_and_whom_it_names_is_judged(
    own_api: KubernetesApi, running: RunningAdapter, space: Namespace
) -> None:
    keys = KeyStore(own_api.kubeconfig.parent / "pki")
    path = f"{API}/namespaces/{space.name}/pods/*/{names.GATEWAY_LOAD}"

    def ask(pair: str | None, *headers: tuple[str, str]) -> tuple[int, dict[str, Any]]:
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        if pair:
            tls.load_cert_chain(keys.certificate(pair), keys.key(pair))
        connection = http.client.HTTPSConnection("127.0.0.1", running.port("api"), context=tls, timeout=30)
        connection.putrequest("GET", path)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    nobody, admin = ("X-Remote-User", "nobody"), ("X-Remote-User", "root")
    masters = ("X-Remote-Group", "system:masters")
    code, said = ask(None, admin, masters)
    assert (code, said["kind"], said["reason"]) == (401, "Status", "Unauthorized")
    assert ask("front-proxy")[0] == 401, "the front proxy, for nobody"
    code, said = ask("front-proxy", nobody)
    assert (code, said["reason"]) == (403, "Forbidden")
    assert 'User "nobody" cannot get' in said["message"]
    autoscaler = ("X-Remote-User", "system:serviceaccount:kube-system:horizontal-pod-autoscaler")
    assert ask("front-proxy", autoscaler)[0] == 200, "by a ClusterRole that every cluster has"
    assert ask("front-proxy", admin, ("X-Remote-Group", "other"), masters)[0] == 200, "of any of its groups"
    with pytest.raises((ssl.SSLError, ConnectionError)):
        ask("apiserver-kubelet", admin, masters)  # the cluster's own CA signed it, which is not the front proxy's


def test_away_it_is_withdrawn_so_that_namespaces_end_and_back_it_is_registered_again(
    own_api: KubernetesApi, running: RunningAdapter, installed: Installed, tmp_path: Path
) -> None:
    running.end(signal.SIGKILL)
    until("the API server notices", lambda: registration(own_api) and not available(own_api))
    unrelated = make_namespace(own_api, f"unrelated-{secrets.token_hex(3)}")
    own_api.kubectl("delete", "namespace", unrelated.name, "--wait=false")
    until("a registration that leads nowhere keeps it", lambda: "DiscoveryFailed" in _reasons(own_api, unrelated))
    given = {"WITHDRAW_METRICS_API": "true", "POD_NAMESPACE": installed.space.name}
    with operator(own_api.kubeconfig, tmp_path / "log", "default", **given):
        until("it is withdrawn", lambda: not registration(own_api))
        until("an unrelated namespace ends", lambda: not _exists(own_api, unrelated))
        with installed.run("again.log"):
            until("it is back", lambda: available(own_api))
            time.sleep(25)
            assert available(own_api), "what answers is left alone"


def _reasons(api: KubernetesApi, space: Namespace) -> set[str]:
    """Why a namespace does not end."""
    conditions = api.get("namespace", space.name)["status"].get("conditions", [])
    return {condition["reason"] for condition in conditions if condition["status"] == "True"}


def _exists(api: KubernetesApi, space: Namespace) -> bool:
    return api.reader.one("", "namespace", space.name) is not None


def test_what_leads_to_somebody_else_is_left_alone_until_it_is_gone(
    own_api: KubernetesApi, installed: Installed
) -> None:
    own_api.kubectl("delete", "apiservice", names.METRICS_API, "--ignore-not-found")
    spec = {
        "group": "custom.metrics.k8s.io",
        "version": "v1beta2",
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
        "insecureSkipTLSVerify": True,
        "service": {"namespace": "monitoring", "name": "prometheus-adapter"},
    }
    theirs = {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": names.METRICS_API}}
    own_api.apply([theirs | {"spec": spec}])
    with installed.run("beside.log") as beside:
        until("it says so", lambda: "leads to monitoring/prometheus-adapter" in beside.log.read_text())
        assert registration(own_api)["spec"]["service"]["name"] == "prometheus-adapter"
        assert "streaming_metrics_adapter_registered 0.0" in beside.get("/metrics")
        own_api.kubectl("delete", "apiservice", names.METRICS_API)
        until("it takes the free place", lambda: available(own_api))
        assert registration(own_api)["spec"]["service"]["name"] == SERVICE
        with installed.run("second.log", API_PORT="0"):
            first = registration(own_api)["metadata"]["resourceVersion"]
            time.sleep(12)
            assert registration(own_api)["metadata"]["resourceVersion"] == first, "a second replica changes nothing"
            assert '"the certificate was renewed"' not in (installed.folder / "second.log").read_text()


def test_it_goes_with_the_role_that_owns_it(own_api: KubernetesApi, installed: Installed) -> None:
    with installed.run("last.log", API_PORT=str(installed.port)):
        until("it is registered", lambda: available(own_api))
        own_api.kubectl("delete", "clusterrole", installed.owner)
        until("the registration goes", lambda: not registration(own_api))
        time.sleep(15)
        assert not registration(own_api), "an adapter that was not yet ended makes no new one"
