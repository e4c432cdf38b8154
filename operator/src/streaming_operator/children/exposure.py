"""How clients come in: an HTTPRoute, or an Ingress with what each controller needs for sessions of hours.

The gateway pings every client each 20 seconds, so no limit on idle time of half a minute or more cuts a session. What
cuts one is a limit on the whole request, or on its duration. `docs/long-sessions.md` has the sources of this table.

New sessions go to the gateway with the fewest where a controller can be asked for that here: its default is round robin
with HAProxy Technologies' and with ALB. Contour and the Gateway API have no such word on an Ingress or an HTTPRoute.
"""

import json
from collections.abc import Mapping
from typing import Any

from lightkube.generic_resource import GenericNamespacedResource
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.models.networking_v1 import (
    HTTPIngressPath,
    HTTPIngressRuleValue,
    IngressBackend,
    IngressRule,
    IngressServiceBackend,
    IngressSpec,
    IngressTLS,
    ServiceBackendPort,
)
from lightkube.resources.networking_v1 import Ingress
from stack_model.api import StreamingStack

from streaming_operator import names
from streaming_operator.children.child import Child
from streaming_operator.children.optional_apis import BACKEND_CONFIG, HTTP_ROUTE, BackendConfig, HTTPRoute
from streaming_operator.facts import Inputs

# Between the session cap and the end of a connection: closing words, and clocks that differ.
_MARGIN_SECONDS = 300
# What cloud load balancers take at most.
_ALB_IDLE_SECONDS = 4000
_ALB_PLACEMENT = "load_balancing.algorithm.type=least_outstanding_requests"
_LONGEST_DEREGISTRATION = 3600


# Prefixes by whole segments: `/v1/transcribe` is `/v1/transcribe/live` too.
SYNC_PATHS = ("/transcribe", "/v1/transcribe", "/v1/warm")


def exposure(stack: StreamingStack, inputs: Inputs) -> list[Child]:
    """The route or the Ingress, and what its controller reads beside it; none where the Service alone is wanted."""
    expose = stack.spec.gateway.expose
    if expose.type == "HTTPRoute" and HTTP_ROUTE in inputs.apis:
        return [Child(_route(stack))]
    if expose.type == "Ingress":
        backend = [Child(_backend_config(stack))] if _on_gce(stack) and BACKEND_CONFIG in inputs.apis else []
        return [*backend, Child(_ingress(stack))]
    return []


def service_annotations(stack: StreamingStack) -> dict[str, str]:
    """What the gateway's Service must carry for the Ingress: only Google's controller looks there."""
    if not _on_gce(stack):
        return {}
    config = {"default": names.gateway(stack.metadata.name)}
    return {
        "cloud.google.com/backend-config": json.dumps(config),
        "cloud.google.com/neg": json.dumps({"ingress": True}),
    }


def _on_gce(stack: StreamingStack) -> bool:
    expose = stack.spec.gateway.expose
    return expose.type == "Ingress" and (expose.ingress_class_name or "").startswith("gce")


def _metadata(stack: StreamingStack, annotations: Mapping[str, str]) -> ObjectMeta:
    name = stack.metadata.name
    return ObjectMeta(
        name=names.gateway(name), labels=names.labels(name, names.GATEWAY), annotations=dict(annotations) or None
    )


def _route(stack: StreamingStack) -> GenericNamespacedResource:
    expose = stack.spec.gateway.expose
    rule: dict[str, Any] = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
        "backendRefs": [{"name": names.gateway(stack.metadata.name), "port": names.GATEWAY_PORT}],
        # A session is one request: zero means no limit, or the longest that the implementation has.
        "timeouts": {"request": "0s", "backendRequest": "0s"},
    }
    spec: dict[str, Any] = {
        "parentRefs": [parent.model_dump(by_alias=True, exclude_none=True) for parent in expose.parent_refs],
        "rules": [*_sync_rules(stack), rule],
    }
    if expose.hostnames:
        spec["hostnames"] = list(expose.hostnames)
    return HTTPRoute(metadata=_metadata(stack, expose.annotations), spec=spec)


def _sync_rules(stack: StreamingStack) -> list[dict[str, Any]]:
    """Recordings go to the sync API; of paths that match the longest wins, whatever the order."""
    if not stack.spec.sync_api.enabled:
        return []
    return [
        {
            "matches": [{"path": {"type": "PathPrefix", "value": path}} for path in SYNC_PATHS],
            "backendRefs": [{"name": names.sync_api(stack.metadata.name), "port": names.SYNC_API_PORT}],
            # An upload may last as long as what is spoken.
            "timeouts": {"request": "0s", "backendRequest": "0s"},
        }
    ]


def _ingress(stack: StreamingStack) -> Ingress:
    expose = stack.spec.gateway.expose
    name = stack.metadata.name
    to_gateway = _backend(names.gateway(name), names.GATEWAY_PORT)
    sync_paths = SYNC_PATHS if stack.spec.sync_api.enabled else ()
    to_sync_api = _backend(names.sync_api(name), names.SYNC_API_PORT)
    paths = HTTPIngressRuleValue(
        paths=[
            *(HTTPIngressPath(path=path, pathType="Prefix", backend=to_sync_api) for path in sync_paths),
            HTTPIngressPath(path="/", pathType="Prefix", backend=to_gateway),
        ]
    )
    return Ingress(
        metadata=_metadata(stack, {**ingress_annotations(stack), **expose.annotations}),
        spec=IngressSpec(
            ingressClassName=expose.ingress_class_name,
            rules=[IngressRule(host=host, http=paths) for host in expose.hostnames] or [IngressRule(http=paths)],
            tls=[IngressTLS(hosts=list(expose.hostnames), secretName=expose.tls.secret_name)] if expose.tls else None,
        ),
    )


def _backend(service: str, port: int) -> IngressBackend:
    return IngressBackend(service=IngressServiceBackend(name=service, port=ServiceBackendPort(number=port)))


def ingress_annotations(stack: StreamingStack) -> dict[str, str]:
    """Long sessions, in every common controller's words: classes have free names, and each reads its own keys only."""
    expose = stack.spec.gateway.expose
    seconds = stack.spec.gateway.max_session_seconds + _MARGIN_SECONDS
    if expose.ingress_class_name == "alb":
        return _alb(seconds)
    if _on_gce(stack):
        return {}
    return {
        # Community ingress-nginx (retired, and still in many clusters): seconds between two reads or writes.
        "nginx.ingress.kubernetes.io/proxy-read-timeout": str(seconds),
        "nginx.ingress.kubernetes.io/proxy-send-timeout": str(seconds),
        "nginx.ingress.kubernetes.io/proxy-buffering": "off",
        **_uploads(stack),
        # NGINX Inc.: upgrades only where the Service is named.
        "nginx.org/websocket-services": names.gateway(stack.metadata.name),
        "nginx.org/proxy-read-timeout": f"{seconds}s",
        "nginx.org/proxy-send-timeout": f"{seconds}s",
        # Contour: upgrades only on the paths named; Envoy's 15 s for a whole response are lifted.
        "projectcontour.io/websocket-routes": "/",
        "projectcontour.io/response-timeout": "infinity",
        # HAProxy, both controllers: idle time of an upgraded connection.
        "haproxy.org/timeout-tunnel": f"{seconds}s",
        "haproxy.org/load-balance": "leastconn",
        "haproxy-ingress.github.io/timeout-tunnel": f"{seconds}s",
        "haproxy-ingress.github.io/balance-algorithm": "leastconn",
        # Traefik reads nothing of this kind from an Ingress, and needs nothing: its limits end with the upgrade.
    }


def _uploads(stack: StreamingStack) -> dict[str, str]:
    """Recordings are larger than the megabyte that nginx lets in, and are passed on while they are made."""
    if not stack.spec.sync_api.enabled:
        return {}
    return {
        "nginx.ingress.kubernetes.io/proxy-body-size": "41m",
        "nginx.ingress.kubernetes.io/proxy-request-buffering": "off",
        "nginx.org/client-max-body-size": "41m",
    }


def _alb(seconds: int) -> dict[str, str]:
    delay = min(seconds, _LONGEST_DEREGISTRATION)
    target_group = f"deregistration_delay.timeout_seconds={delay},{_ALB_PLACEMENT}"
    return {
        # Straight to pods: else every node's kube-proxy is one more hop that ends with its node.
        "alb.ingress.kubernetes.io/target-type": "ip",
        "alb.ingress.kubernetes.io/healthcheck-path": "/readyz",
        "alb.ingress.kubernetes.io/load-balancer-attributes": f"idle_timeout.timeout_seconds={_ALB_IDLE_SECONDS}",
        "alb.ingress.kubernetes.io/target-group-attributes": target_group,
    }


def _backend_config(stack: StreamingStack) -> GenericNamespacedResource:
    seconds = stack.spec.gateway.max_session_seconds + _MARGIN_SECONDS
    return BackendConfig(
        metadata=_metadata(stack, {}),
        spec={
            # Not idle time: the whole life of a WebSocket, 30 s unless it is said here.
            "timeoutSec": seconds,
            "connectionDraining": {"drainingTimeoutSec": min(seconds, _LONGEST_DEREGISTRATION)},
            "healthCheck": {"type": "HTTP", "requestPath": "/readyz", "port": names.GATEWAY_PORT},
        },
    )
