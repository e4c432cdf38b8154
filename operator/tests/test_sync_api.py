"""The sync API's objects: there where it is wanted, with the gateway's files, callers and way in."""

from typing import Any

import pytest
from operator_factories import built, containers, environment, inputs, pod_of, stack
from stack_model.api import StackError
from streaming_operator import names
from streaming_operator.children.exposure import SYNC_PATHS
from streaming_operator.children.optional_apis import HTTP_ROUTE

NAME = "demo-sync-api"


def wanted(**spec: Any) -> Any:
    return stack(syncApi={"enabled": True}, **spec)


def test_it_is_there_where_it_is_wanted_and_leaves_nothing_behind() -> None:
    with_it, without = built(wanted()), built(stack())
    assert with_it.keys() - without.keys() == {
        (kind, NAME) for kind in ("Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy")
    }
    assert without.keys() <= with_it.keys()


def test_it_reads_the_gateways_models_and_keys_and_speaks_to_what_the_gateway_speaks_to() -> None:
    found = built(wanted())
    ours, gateways = (pod_of(found["Deployment", name]) for name in (NAME, "demo-gateway"))
    assert [volume for volume in ours["volumes"] if volume["name"] in ("models", "keys")] == [
        volume for volume in gateways["volumes"] if volume["name"] in ("models", "keys")
    ]
    told, gateway = (environment(containers(pod)[name]) for pod, name in ((ours, "sync-api"), (gateways, "gateway")))
    shared = ("AAI_ASR_ENDPOINT", "AAI_LICENSE_AND_USAGE_PROXY_ENDPOINT", "GATEWAY_MODELS_FILE", "API_KEYS_FILE")
    assert {name: told[name] for name in shared} == {name: gateway[name] for name in shared}


def test_without_keys_it_mounts_none() -> None:
    pod = pod_of(built(wanted(gateway={"auth": {"mode": "AnyNonEmpty"}}))["Deployment", NAME])
    assert "keys" not in {volume["name"] for volume in pod["volumes"]}
    assert "API_KEYS_FILE" not in environment(containers(pod)["sync-api"])


def test_its_pods_end_when_what_they_have_begun_is_over_and_not_before() -> None:
    pod = pod_of(built(wanted())["Deployment", NAME])
    told = environment(containers(pod)["sync-api"])
    assert told["DRAIN_SECONDS"]
    assert pod["terminationGracePeriodSeconds"] > int(told["DRAIN_SECONDS"]) + 10
    probe = containers(pod)["sync-api"]["readinessProbe"]["httpGet"]["path"]
    assert probe == "/readyz"


@pytest.mark.parametrize(("replicas", "guarded"), [(1, False), (2, True)])
def test_several_pods_leave_a_node_one_by_one(replicas: int, guarded: bool) -> None:
    found = built(stack(syncApi={"enabled": True, "replicas": replicas}))
    assert found["Deployment", NAME]["spec"]["replicas"] == replicas
    assert (("PodDisruptionBudget", NAME) in found) == guarded


def test_its_pods_may_go_where_the_gateways_may_and_nowhere_else() -> None:
    peers = [{"namespaceLabels": {"team": "web"}}]
    found = built(wanted(networkIsolation={"clientsFrom": peers}))
    ours, gateways = (found["NetworkPolicy", name]["spec"] for name in (NAME, "demo-gateway"))
    assert (ours["ingress"], ours["egress"]) == (gateways["ingress"], gateways["egress"])
    for target, port in (("demo-asr-lb", names.GRPC_PORT), ("demo-license-proxy", names.LICENSE_PROXY_PORT)):
        rules = [rule for rule in found["NetworkPolicy", target]["spec"]["ingress"] if rule["ports"][0]["port"] == port]
        assert {"podSelector": {"matchLabels": names.selector("demo", names.SYNC_API)}} in rules[0]["from"]


def test_recordings_come_in_by_the_gateways_hosts() -> None:
    parents = [{"name": "edge"}]
    route = built(
        wanted(gateway={"expose": {"type": "HTTPRoute", "parentRefs": parents}}), inputs(apis=frozenset({HTTP_ROUTE}))
    )["HTTPRoute", "demo-gateway"]
    first, last = route["spec"]["rules"]
    assert [match["path"]["value"] for match in first["matches"]] == list(SYNC_PATHS)
    assert (first["backendRefs"][0]["name"], last["backendRefs"][0]["name"]) == (NAME, "demo-gateway")


def test_an_ingress_leads_recordings_to_it_and_lets_large_ones_in() -> None:
    ingress = built(wanted(gateway={"expose": {"type": "Ingress", "hostnames": ["stt.example.com"]}}))[
        "Ingress", "demo-gateway"
    ]
    paths = [
        (path["path"], path["backend"]["service"]["name"]) for path in ingress["spec"]["rules"][0]["http"]["paths"]
    ]
    assert paths == [*((path, NAME) for path in SYNC_PATHS), ("/", "demo-gateway")]
    told = ingress["metadata"]["annotations"]
    assert told["nginx.ingress.kubernetes.io/proxy-body-size"] == "41m"
    without = built(stack(gateway={"expose": {"type": "Ingress"}}))["Ingress", "demo-gateway"]["metadata"]
    assert not [key for key in without["annotations"] if "body-size" in key]


def test_it_cannot_run_before_the_vendors_recognisers() -> None:
    overrides = {"gateway": "vendor.example/api:1", "licenseProxy": "vendor.example/proxy:1"}
    model = {"name": "en", "speechModels": ["universal-streaming-english"], "image": "vendor.example/asr:1"}
    with pytest.raises(StackError, match=r"syncApi\.enabled"):
        wanted(images={"flavour": "Vendor", "overrides": overrides}, models=[model])
