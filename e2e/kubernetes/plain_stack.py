"""A whole stack from plain manifests: licence proxy, recognisers with Triton, nginx, gateway, behind the ingress."""

import functools
import hashlib
import re
import secrets
import socket
import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc
from e2e_cluster.door import Door
from grpc_health.v1 import health_pb2, health_pb2_grpc
from kubernetes.client import V1Pod
from license_token.development import development_license
from live_namespace import LiveNamespace, until

MANIFESTS = Path(__file__).parent / "manifests"
RECOGNISERS = "asr-en"
PARTS = ("license-proxy", "asr-lb", "gateway")
ROUTE = "en-default"
# A first start on a busy machine: images are unpacked, models loaded.
STARTUP_SECONDS = 240.0


@dataclass(frozen=True)
class PlainStack:
    """A running stack; `hosts` has its names at the ingress: `route` for the HTTPRoute, `ingress` for the Ingress.

    All but the second recogniser runs on `staying_node`.
    """

    namespace: LiveNamespace
    key: str
    hosts: Mapping[str, str]
    staying_node: str

    def reached(self, port: int, calls: int = 12) -> set[str]:
        """Addresses of the recognisers that answer when the load balancer, at a loopback port, is asked so often."""
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            health = health_pb2_grpc.HealthStub(channel)
            return {pod for _ in range(calls) if (pod := _answering_pod(health))}

    def recogniser_addresses(self) -> set[str]:
        """host:port of every ready recogniser."""
        return {f"{pod.status.pod_ip}:50051" for pod in self.namespace.ready_pods(RECOGNISERS)}


def raise_stack(namespace: LiveNamespace, images: Mapping[str, str], scratch: Path) -> PlainStack:
    """Apply everything and wait until it serves; `images` has the reference of each part's image."""
    door, key = namespace.door, f"e2e-{secrets.token_urlsafe(16)}"
    hosts = {kind: f"{kind}-{namespace.name}.{door.domain}" for kind in ("route", "ingress")}
    gateway_namespace, gateway_name = door.gateway.split("/")
    staying = staying_node(namespace)
    values = {
        **images,
        "STAYING_NODE": staying,
        "MODEL": "en-default",
        "GATEWAY_NAMESPACE": gateway_namespace,
        "GATEWAY_NAME": gateway_name,
        "INGRESS_CLASS": door.ingress_class,
        "ROUTE_HOST": hosts["route"],
        "INGRESS_HOST": hosts["ingress"],
    }
    _make_secrets(namespace, key, scratch)
    for manifest in ("license-proxy", "asr", "load-balancer", "gateway", "exposure"):
        namespace.apply_file(MANIFESTS / f"{manifest}.yaml", **values)
    namespace.await_ready(RECOGNISERS, 2, STARTUP_SECONDS)
    for part in PARTS:
        namespace.await_ready(part, 1, STARTUP_SECONDS)
    for host in hosts.values():
        until(f"the ingress serves {host}", functools.partial(is_served, door, host), STARTUP_SECONDS)
    return PlainStack(namespace, key, hosts, staying)


def is_served(door: Door, host: str) -> bool:
    """Whether the gateway answers behind the ingress's HTTPS port: with a refusal, as nobody speaks WebSocket here."""
    trusted = ssl.create_default_context(cafile=str(door.ca_file))
    try:
        with (
            socket.create_connection((door.ingress_address, door.https_port), 5) as plain,
            trusted.wrap_socket(plain, server_hostname=host) as secure,
        ):
            secure.sendall(f"GET /v3/ws HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            answered = secure.recv(64)
    except OSError:
        return False
    return answered.startswith(b"HTTP/1.1 4") and not answered.startswith(b"HTTP/1.1 404")


def streams(namespace: LiveNamespace, recogniser: V1Pod) -> int:
    """How many streams a recogniser has, by its own metrics."""
    with (
        namespace.forwarded(f"pod/{recogniser.metadata.name}", 9090) as port,
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page,
    ):
        found = re.search(r"^streaming_asr_streams_active (\S+)$", page.read().decode(), re.M)
    assert found
    return int(float(found[1]))


def staying_node(namespace: LiveNamespace) -> str:
    """The node for what has to be there all the time: the one with the ingress, else the first."""
    nodes = namespace.core.list_node().items
    return str(min((node.metadata.labels.get("ingress-ready") != "true", node.metadata.name) for node in nodes)[1])


def _make_secrets(namespace: LiveNamespace, key: str, scratch: Path) -> None:
    made = development_license(scratch, "e2e")
    namespace.secret(
        "license", {"license.jwt": made.license_path.read_text(), "public-keys.json": made.jwks_path.read_text()}
    )
    namespace.secret("api-keys", {"hashes": f"{hashlib.sha256(key.encode()).hexdigest()} e2e\n"})
    door = namespace.door
    pair = {"tls.crt": door.tls_certificate.read_text(), "tls.key": door.tls_key.read_text()}
    namespace.secret("ingress-tls", pair, "kubernetes.io/tls")


def _answering_pod(health: health_pb2_grpc.HealthStub) -> str | None:
    call = health.Check.future(health_pb2.HealthCheckRequest(), metadata=[("x-model-version", ROUTE)], timeout=5)
    try:
        call.result()
    except grpc.RpcError:
        return None  # a pod that goes away: the next call finds another
    return str(dict(call.initial_metadata()).get("x-upstream-pod", "")) or None
