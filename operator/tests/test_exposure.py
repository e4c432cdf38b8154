"""How clients come in, and that nothing on the way ends a session of hours."""

import json
from typing import Any

import pytest
from operator_factories import built, inputs, stack
from stack_model.api import StreamingStack
from streaming_operator.children.optional_apis import BACKEND_CONFIG, HTTP_ROUTE

GATEWAY_API = inputs(apis=frozenset({HTTP_ROUTE}))
LONG_ENOUGH = 10_800


def routed(**expose: Any) -> StreamingStack:
    usual = {"type": "HTTPRoute", "parentRefs": [{"name": "edge", "namespace": "infra", "sectionName": "https"}]}
    return stack(gateway={"expose": {**usual, **expose}})


def ingressed(**expose: Any) -> StreamingStack:
    return stack(gateway={"expose": {"type": "Ingress", **expose}})


def annotations(given: StreamingStack) -> dict[str, str]:
    found: dict[str, str] = built(given)["Ingress", "demo-gateway"]["metadata"]["annotations"]
    return found


def test_a_route_leads_whole_hosts_to_the_gateway_without_a_time_limit() -> None:
    route = built(routed(hostnames=["stt.example.com"], annotations={"team": "speech"}), GATEWAY_API)[
        "HTTPRoute", "demo-gateway"
    ]
    assert route["apiVersion"] == "gateway.networking.k8s.io/v1"
    assert route["metadata"]["annotations"] == {"team": "speech"}
    assert route["spec"] == {
        "parentRefs": [{"name": "edge", "namespace": "infra", "sectionName": "https"}],
        "hostnames": ["stt.example.com"],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "backendRefs": [{"name": "demo-gateway", "port": 8080}],
                "timeouts": {"request": "0s", "backendRequest": "0s"},
            }
        ],
    }


def test_a_route_without_hostnames_is_for_every_host_of_its_gateway() -> None:
    assert "hostnames" not in built(routed(), GATEWAY_API)["HTTPRoute", "demo-gateway"]["spec"]


def test_without_gateway_api_no_route_is_made() -> None:
    assert not [name for kind, name in built(routed()) if kind == "HTTPRoute"]


def test_a_stack_that_is_not_exposed_has_neither_route_nor_ingress() -> None:
    assert not {kind for kind, _ in built(stack(), GATEWAY_API)} & {"HTTPRoute", "Ingress"}


def test_an_ingress_has_a_rule_for_each_host_and_its_certificate() -> None:
    spec = built(ingressed(hostnames=["a.example.com", "b.example.com"], tls={"secretName": "cert"}))[
        "Ingress", "demo-gateway"
    ]["spec"]
    assert [rule["host"] for rule in spec["rules"]] == ["a.example.com", "b.example.com"]
    assert spec["rules"][0]["http"]["paths"] == [
        {
            "path": "/",
            "pathType": "Prefix",
            "backend": {"service": {"name": "demo-gateway", "port": {"number": 8080}}},
        }
    ]
    assert spec["tls"] == [{"hosts": ["a.example.com", "b.example.com"], "secretName": "cert"}]
    assert "ingressClassName" not in spec


def test_an_ingress_without_hostnames_is_for_every_host() -> None:
    rules = built(ingressed())["Ingress", "demo-gateway"]["spec"]["rules"]
    assert len(rules) == 1
    assert "host" not in rules[0]


def _seconds(text: str) -> int:
    return int(text.removesuffix("s"))


@pytest.mark.parametrize(
    "key",
    [
        "nginx.ingress.kubernetes.io/proxy-read-timeout",
        "nginx.ingress.kubernetes.io/proxy-send-timeout",
        "nginx.org/proxy-read-timeout",
        "nginx.org/proxy-send-timeout",
        "haproxy.org/timeout-tunnel",
        "haproxy-ingress.github.io/timeout-tunnel",
    ],
)
@pytest.mark.parametrize("class_name", [None, "nginx", "contour", "edge-of-our-own"])
def test_every_common_controller_is_told_in_its_own_words(key: str, class_name: str | None) -> None:
    given = ingressed(**({"ingressClassName": class_name} if class_name else {}))
    assert _seconds(annotations(given)[key]) > LONG_ENOUGH


def test_controllers_that_upgrade_only_what_is_named_are_told_what() -> None:
    found = annotations(ingressed())
    assert found["nginx.org/websocket-services"] == "demo-gateway"
    assert found["projectcontour.io/websocket-routes"] == "/"
    assert found["projectcontour.io/response-timeout"] == "infinity"


def test_new_sessions_go_where_the_fewest_are_with_every_controller_that_can_be_asked() -> None:
    found = annotations(ingressed())
    assert found["haproxy.org/load-balance"] == "leastconn"
    assert found["haproxy-ingress.github.io/balance-algorithm"] == "leastconn"
    alb = annotations(ingressed(ingressClassName="alb"))["alb.ingress.kubernetes.io/target-group-attributes"]
    assert "load_balancing.algorithm.type=least_outstanding_requests" in alb.split(",")


def test_the_stacks_own_annotations_win() -> None:
    key = "nginx.ingress.kubernetes.io/proxy-read-timeout"
    found = annotations(ingressed(annotations={key: "99", "cert-manager.io/cluster-issuer": "ours"}))
    assert found[key] == "99"
    assert found["cert-manager.io/cluster-issuer"] == "ours"


def test_limits_follow_the_longest_session() -> None:
    given = stack(gateway={"maxSessionSeconds": 600, "expose": {"type": "Ingress"}})
    assert annotations(given)["nginx.ingress.kubernetes.io/proxy-read-timeout"] == "900"


def test_an_alb_gets_the_longest_that_it_takes_and_no_words_of_others() -> None:
    found = annotations(ingressed(ingressClassName="alb"))
    assert found["alb.ingress.kubernetes.io/load-balancer-attributes"] == "idle_timeout.timeout_seconds=4000"
    attributes = found["alb.ingress.kubernetes.io/target-group-attributes"].split(",")
    assert "deregistration_delay.timeout_seconds=3600" in attributes
    assert found["alb.ingress.kubernetes.io/target-type"] == "ip"
    assert all(key.startswith("alb.") for key in found)


@pytest.mark.parametrize("class_name", ["gce", "gce-internal"])
def test_google_reads_the_life_of_a_connection_from_a_backend_config(class_name: str) -> None:
    given = ingressed(ingressClassName=class_name)
    found = built(given, inputs(apis=frozenset({BACKEND_CONFIG})))
    spec = found["BackendConfig", "demo-gateway"]["spec"]
    assert spec["timeoutSec"] > LONG_ENOUGH
    assert spec["connectionDraining"] == {"drainingTimeoutSec": 3600}
    assert spec["healthCheck"]["requestPath"] == "/readyz"
    service = found["Service", "demo-gateway"]["metadata"]["annotations"]
    assert json.loads(service["cloud.google.com/backend-config"]) == {"default": "demo-gateway"}


def test_only_google_gets_a_backend_config() -> None:
    found = built(ingressed(ingressClassName="nginx"), inputs(apis=frozenset({BACKEND_CONFIG})))
    assert not [name for kind, name in found if kind == "BackendConfig"]
    assert "annotations" not in found["Service", "demo-gateway"]["metadata"]
