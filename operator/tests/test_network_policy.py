"""Which packets may flow. Whether they really do not is tested with packets, on a cluster."""

from typing import Any

import pytest
from operator_factories import built, inputs, model, stack
from stack_model.api import StreamingStack
from streaming_operator import names

COMPONENTS = (names.GATEWAY, names.SYNC_API, names.LICENSE_PROXY, names.LOAD_BALANCER, names.ASR, names.MODEL_STORE)
OPERATOR = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "streamingstack-system"}}}
MOUNTED = model(source="pvc://models/en")


def policies(given: StreamingStack, **facts: Any) -> dict[str, dict[str, Any]]:
    return {
        name: manifest["spec"]
        for (kind, name), manifest in built(given, inputs(**facts)).items()
        if kind == "NetworkPolicy"
    }


def peers(rules: list[dict[str, Any]], key: str, port: int) -> list[dict[str, Any]]:
    """Peers of the rules about `port`; a rule without peers is for everybody."""
    found = [rule for rule in rules if any(one["port"] == port for one in rule["ports"])]
    return [peer for rule in found for peer in rule.get(key, [{"everybody": True}])]


def part(component: str, of: str = "demo") -> dict[str, Any]:
    return {"podSelector": {"matchLabels": names.selector(of, component)}}


def reached(policy: dict[str, Any], port: int) -> list[dict[str, Any]]:
    return peers(policy["egress"], "to", port)


def admitted(policy: dict[str, Any], port: int) -> list[dict[str, Any]]:
    return peers(policy["ingress"], "from", port)


def test_everything_is_denied_for_every_pod_of_the_stack() -> None:
    assert policies(stack())["demo-default-deny"] == {
        "podSelector": {"matchLabels": names.stack_selector("demo")},
        "policyTypes": ["Ingress", "Egress"],
    }


def _selects(policy: dict[str, Any], labels: dict[str, str]) -> bool:
    wanted: dict[str, str] = policy["podSelector"]["matchLabels"]
    return wanted.items() <= labels.items()


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_policy_hits_the_pods_of_its_own_stack_and_part_only(component: str) -> None:
    found = policies(stack(syncApi={"enabled": True}))
    own = {**names.labels("demo", component), names.POOL: "en-default"}
    assert {name for name, policy in found.items() if _selects(policy, own)} == {
        "demo-default-deny",
        f"demo-{component}",
    }
    for other in (
        names.labels("demo2", component),
        {names.NAME: "something-else", names.INSTANCE: "demo", names.COMPONENT: component},
        {"app": "prometheus"},
        {},
    ):
        assert not [name for name, policy in found.items() if _selects(policy, other)]


def test_each_way_inside_the_stack_is_named_at_both_ends() -> None:
    found = policies(stack())
    ways = [
        (names.GATEWAY, names.LOAD_BALANCER, names.GRPC_PORT),
        (names.GATEWAY, names.LICENSE_PROXY, names.LICENSE_PROXY_PORT),
        (names.LOAD_BALANCER, names.ASR, names.GRPC_PORT),
        (names.ASR, names.MODEL_STORE, names.MODEL_STORE_PORT),
    ]
    for source, target, port in ways:
        assert part(target) in reached(found[f"demo-{source}"], port), (source, target)
        assert part(source) in admitted(found[f"demo-{target}"], port), (source, target)


def test_only_the_licence_proxy_and_the_model_store_may_leave() -> None:
    for name, policy in policies(stack()).items():
        outside = [rule for rule in policy.get("egress", []) if "to" not in rule]
        assert bool(outside) == (name in ("demo-license-proxy", "demo-model-store")), name


def test_all_that_leave_may_ask_the_clusters_dns() -> None:
    found = policies(stack(), cluster_dns="rke2-coredns.dns-system.svc.cluster.local")
    for name in ("demo-gateway", "demo-asr", "demo-asr-lb", "demo-license-proxy", "demo-model-store"):
        asked = reached(found[name], 53)
        assert {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "dns-system"}}} in asked
        rule = next(rule for rule in found[name]["egress"] if any(one["port"] == 53 for one in rule["ports"]))
        # A DNS pod may listen on another port than its Service: policies see the pod's.
        assert {(one["port"], one["protocol"]) for one in rule["ports"]} == {
            (port, protocol) for port in (53, 1053, 5353) for protocol in ("UDP", "TCP")
        }


def test_a_recogniser_whose_model_is_mounted_speaks_to_nobody() -> None:
    found = policies(stack(models=[MOUNTED]))
    assert "demo-model-store" not in found
    assert found["demo-asr"].get("egress", []) == []
    assert found["demo-asr"]["policyTypes"] == ["Ingress", "Egress"]


@pytest.mark.parametrize(
    ("isolation", "proxy", "peers_expected", "ports"),
    [
        ({}, {}, None, [443]),
        ({"egressCidrs": ["192.0.2.0/24"]}, {}, [{"ipBlock": {"cidr": "192.0.2.0/24"}}], [443]),
        ({}, {"checkInEndpoint": "https://license.example:8443/x"}, None, [8443]),
        (
            {},
            {"checkInEndpoint": "https://a.example", "usage": {"endpoint": "http://b.example"}},
            None,
            [80, 443],
        ),
        (
            {"proxyUrl": "http://proxy.example:3128", "egressCidrs": ["192.0.2.7/32"]},
            {"checkInEndpoint": "https://a.example"},
            [{"ipBlock": {"cidr": "192.0.2.7/32"}}],
            [3128],
        ),
    ],
)
def test_the_licence_proxy_leaves_to_its_endpoints_or_through_the_http_proxy(
    isolation: dict[str, Any], proxy: dict[str, Any], peers_expected: list[dict[str, Any]] | None, ports: list[int]
) -> None:
    policy = policies(stack(networkIsolation=isolation, licenseProxy=proxy))["demo-license-proxy"]
    outside = policy["egress"][-1]
    assert outside.get("to") == peers_expected
    assert [one["port"] for one in outside["ports"]] == ports


def test_the_model_store_leaves_to_the_ports_of_its_sources() -> None:
    files = [{"path": "model.bin", "parts": ["https://models.example:8443/model.bin"], "sha256": "0" * 64}]
    policy = policies(stack(models=[model(files=files)]))["demo-model-store"]
    assert [one["port"] for one in policy["egress"][-1]["ports"]] == [443, 8443]


def test_clients_come_from_anywhere_unless_the_stack_says_from_where() -> None:
    assert admitted(policies(stack())["demo-gateway"], names.GATEWAY_PORT) == [{"everybody": True}]
    ingress = {"namespaceLabels": {"team": "edge"}, "podLabels": {"app": "envoy"}}
    found = policies(stack(networkIsolation={"clientsFrom": [ingress]}))["demo-gateway"]
    assert admitted(found, names.GATEWAY_PORT) == [
        {"namespaceSelector": {"matchLabels": {"team": "edge"}}, "podSelector": {"matchLabels": {"app": "envoy"}}}
    ]


def test_metrics_are_for_the_operator_and_whom_the_stack_names() -> None:
    prometheus = {"namespaceLabels": {"kubernetes.io/metadata.name": "monitoring"}}
    found = policies(stack(networkIsolation={"metricsFrom": [prometheus]}))
    named = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    for name, port in (
        ("demo-gateway", names.METRICS_PORT),
        ("demo-asr", names.METRICS_PORT),
        ("demo-asr", names.TRITON_METRICS_PORT),
        ("demo-model-store", names.METRICS_PORT),
    ):
        assert admitted(found[name], port) == [OPERATOR, named], (name, port)
    assert named in admitted(found["demo-license-proxy"], names.LICENSE_PROXY_PORT)


def test_without_names_metrics_are_for_the_cluster_and_usage_still_for_gateways_alone() -> None:
    found = policies(stack())
    assert admitted(found["demo-gateway"], names.METRICS_PORT) == [{"namespaceSelector": {}}]
    assert admitted(found["demo-license-proxy"], names.LICENSE_PROXY_PORT) == [part(names.GATEWAY), OPERATOR]


def test_a_peer_of_the_own_namespace_is_never_everybody() -> None:
    found = policies(stack(networkIsolation={"clientsFrom": [{}, {"podLabels": {"app": "x"}}]}))["demo-gateway"]
    assert admitted(found, names.GATEWAY_PORT) == [
        {"podSelector": {}},
        {"podSelector": {"matchLabels": {"app": "x"}}},
    ]


def test_isolation_turned_off_makes_no_policy() -> None:
    assert policies(stack(networkIsolation={"enabled": False})) == {}


def test_two_stacks_of_a_namespace_share_no_policy_and_no_way() -> None:
    one, two = policies(stack("one")), policies(stack("two"))
    assert not one.keys() & two.keys()
    assert part(names.ASR, "two") not in reached(one["one-asr-lb"], names.GRPC_PORT)
