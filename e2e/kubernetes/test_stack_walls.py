"""The walls of a stack, packet by packet: every way that the design names is open, and no other is.

Pods stand in for the parts: they have their labels and listen on their ports. What the operator would apply is applied.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from e2e_cluster.door import Door
from live_namespace import LiveNamespace, live_namespace, until
from packets import arrived
from stack_model.api import StreamingStack, read_stack
from streaming_operator import names
from streaming_operator.children.network_policy import network_policies
from streaming_operator.facts import Images, Inputs, LicenseFact

# Hundreds of connections, most of which have to time out.
pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(1200)]
_SETTLED_SECONDS = 240.0

STACK = "walls"
OUTSIDE_PORT, PROXY_PORT = 8443, 3128
PARTS = (names.GATEWAY, names.SYNC_API, names.LICENSE_PROXY, names.LOAD_BALANCER, names.ASR, names.MODEL_STORE)
PORTS = (8080, names.METRICS_PORT, names.GRPC_PORT, names.TRITON_METRICS_PORT, OUTSIDE_PORT, PROXY_PORT)
STRANGER, NEIGHBOUR, OUTSIDE = "stranger", "neighbour", "outside"
Way = tuple[str, str, int]

LISTEN = """
import asyncio
async def main():
    async def hear(reader, writer):
        writer.close()
    servers = [await asyncio.start_server(hear, port=port) for port in %s]
    await asyncio.gather(*(server.serve_forever() for server in servers))
asyncio.run(main())
"""
RESOLVE = "import socket, sys; print('resolved', socket.gethostbyname('kubernetes.default.svc'))"

INSIDE: set[Way] = {
    (names.GATEWAY, names.LOAD_BALANCER, names.GRPC_PORT),
    (names.GATEWAY, names.LICENSE_PROXY, names.LICENSE_PROXY_PORT),
    (names.SYNC_API, names.LOAD_BALANCER, names.GRPC_PORT),
    (names.SYNC_API, names.LICENSE_PROXY, names.LICENSE_PROXY_PORT),
    (names.LOAD_BALANCER, names.ASR, names.GRPC_PORT),
    (names.ASR, names.MODEL_STORE, names.MODEL_STORE_PORT),
}
FOREIGN = (STRANGER, NEIGHBOUR, OUTSIDE)


def metrics_for(*readers: str) -> set[Way]:
    """The ways of those who may read metrics."""
    served = {(part, names.METRICS_PORT) for part in (names.GATEWAY, names.SYNC_API, names.ASR, names.MODEL_STORE)}
    served.add((names.ASR, names.TRITON_METRICS_PORT))
    return {(reader, part, port) for reader in readers for part, port in served}


def clients(*sources: str) -> set[Way]:
    fronts = {(names.GATEWAY, names.GATEWAY_PORT), (names.SYNC_API, names.SYNC_API_PORT)}
    return {(source, part, port) for source in sources for part, port in fronts}


def out_to(port: int, *targets: str) -> set[Way]:
    """The ways out of the two parts that have one."""
    return {(part, target, port) for part in (names.LICENSE_PROXY, names.MODEL_STORE) for target in targets}


@dataclass(frozen=True)
class Shape:
    """A way to write `networkIsolation`, and the ways that are open with it besides those inside of the stack.

    `isolation` is made from the name of the other namespace and the address of the pod there; `operator_is_outside`
    puts the operator into that namespace.
    """

    isolation: Callable[[str, str], dict[str, Any]]
    opened: set[Way] = field(default_factory=set)
    operator_is_outside: bool = False


def namespace_named(name: str) -> dict[str, Any]:
    return {"namespaceLabels": {"kubernetes.io/metadata.name": name}}


def pod_named(name: str) -> dict[str, Any]:
    return {"podLabels": {"app": f"{STACK}-{name}"}}


def block(address: str) -> str:
    return f"{address}/{128 if ':' in address else 32}"


SHAPES = {
    "clients from anywhere, metrics for one namespace, one address outside": Shape(
        lambda other, outside: {"metricsFrom": [namespace_named(other)], "egressCidrs": [block(outside)]},
        clients(*FOREIGN)
        | metrics_for(OUTSIDE)
        | {(OUTSIDE, names.LICENSE_PROXY, names.LICENSE_PROXY_PORT)}
        | out_to(OUTSIDE_PORT, OUTSIDE),
    ),
    "clients from some pods of one namespace, metrics and outside unbounded": Shape(
        lambda other, _: {"clientsFrom": [{**namespace_named(other), **pod_named(OUTSIDE)}]},
        clients(OUTSIDE) | metrics_for(*FOREIGN) | out_to(OUTSIDE_PORT, *FOREIGN),
    ),
    "metrics for some pods beside the stack, outside by an HTTP proxy, the operator elsewhere": Shape(
        lambda _, outside: {
            "metricsFrom": [pod_named(STRANGER)],
            "proxyUrl": f"http://proxy.example:{PROXY_PORT}",
            "egressCidrs": [block(outside)],
        },
        clients(*FOREIGN)
        | metrics_for(STRANGER, OUTSIDE)
        | {(reader, names.LICENSE_PROXY, names.LICENSE_PROXY_PORT) for reader in (STRANGER, OUTSIDE)}
        | {(OUTSIDE, names.LOAD_BALANCER, names.BALANCER_HEALTH_PORT)}
        | {(OUTSIDE, names.MODEL_STORE, names.MODEL_STORE_PORT)}
        | out_to(PROXY_PORT, OUTSIDE),
        operator_is_outside=True,
    ),
}


@pytest.fixture(scope="module")
def elsewhere(door: Door) -> Iterator[LiveNamespace]:
    """Another namespace of the cluster."""
    with live_namespace(door, "elsewhere") as made:
        yield made


def walled(isolation: Mapping[str, Any]) -> StreamingStack:
    """A stack whose licence proxy and model store have somewhere to go."""
    files = [{"path": "model.bin", "parts": [f"https://models.example:{OUTSIDE_PORT}/model.bin"], "sha256": "0" * 64}]
    return read_stack(
        {
            "apiVersion": "streamingstack.dev/v1alpha1",
            "kind": "StreamingStack",
            "metadata": {"name": STACK},
            "spec": {
                "models": [{"name": "en", "speechModels": ["universal-streaming-english"], "files": files}],
                "licenseProxy": {"checkInEndpoint": f"https://license.example:{OUTSIDE_PORT}"},
                "networkIsolation": dict(isolation),
                "syncApi": {"enabled": True},
            },
        }
    )


def policies(stack: StreamingStack, operator_namespace: str) -> list[dict[str, Any]]:
    """What the operator would apply."""
    image = "none"
    images = Images(image, image, image, image, image, image, image)
    facts = Inputs(images=images, license=LicenseFact("Genuine"), operator_namespace=operator_namespace)
    return [child.manifest() for child in network_policies(stack, facts)]


def pod(name: str, labels: Mapping[str, str], image: str) -> dict[str, Any]:
    """A pod that listens on every port of every part."""
    container = {
        "name": "listener",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", LISTEN % (PORTS,)],
        "readinessProbe": {"exec": {"command": ["python", "-c", "pass"]}, "periodSeconds": 2},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"{STACK}-{name}", "labels": {**labels, "app": f"{STACK}-{name}"}},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
        },
    }


class Walls:
    """The pods, and which of them reach which."""

    def __init__(self, inside: LiveNamespace, outside: LiveNamespace, image: str) -> None:
        self._homes = dict.fromkeys((*PARTS, STRANGER, NEIGHBOUR), inside) | {OUTSIDE: outside}
        labels: dict[str, dict[str, str]] = {part: names.labels(STACK, part) for part in PARTS}
        labels |= {STRANGER: {}, NEIGHBOUR: names.labels("another", names.GATEWAY), OUTSIDE: {}}
        for name, home in self._homes.items():
            home.apply(pod(name, labels[name], image))
        self.addresses = {
            name: str(home.await_ready(f"{STACK}-{name}")[0].status.pod_ip) for name, home in self._homes.items()
        }

    def reached(self, source: str) -> set[Way]:
        """Every way from `source` on which a connection is made."""
        ways = [(name, address, port) for name, address in self.addresses.items() if name != source for port in PORTS]
        found = arrived(self._homes[source], f"{STACK}-{source}", ways)
        return {(source, name, port) for name, port in found}

    def resolves(self, source: str) -> bool:
        """Whether it gets an answer from the cluster's DNS."""
        return "resolved" in self._homes[source].run_in(f"{STACK}-{source}", "python", "-c", RESOLVE)

    def open(self) -> set[Way]:
        """Every way on which a connection is made."""
        return set().union(*map(self.reached, self.sources))

    @property
    def every(self) -> set[Way]:
        """Every way that there could be."""
        return {(a, b, port) for a in self.sources for b in self.sources if a != b for port in PORTS}

    @property
    def sources(self) -> list[str]:
        """Everybody."""
        return list(self._homes)


@pytest.fixture(scope="module")
def walls(door: Door, namespace: LiveNamespace, elsewhere: LiveNamespace, images: Mapping[str, str]) -> Iterator[Walls]:
    """The pods, and the control: while no policy is there, every packet arrives."""
    if not door.policies_enforced:
        pytest.skip("not run: nothing enforces NetworkPolicies here; CALICO_DIR names a policy engine, see e2e/cluster")
    made = Walls(namespace, elsewhere, images["IMAGE_GATEWAY"])
    until("all listen", lambda: made.every <= made.open(), _SETTLED_SECONDS)
    yield made
    until("all is open again", lambda: made.every <= made.open(), _SETTLED_SECONDS)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_way_that_is_named_is_open_and_no_other(
    shape: Shape, walls: Walls, namespace: LiveNamespace, elsewhere: LiveNamespace
) -> None:
    stack = walled(shape.isolation(elsewhere.name, walls.addresses[OUTSIDE]))
    made = policies(stack, elsewhere.name if shape.operator_is_outside else "nowhere")
    named = INSIDE | shape.opened | {way for way in walls.every if not {way[0], way[1]} & set(PARTS)}
    namespace.apply(*made)
    try:
        last: set[Way] = set()

        def as_named() -> bool:
            last.clear()
            last.update(walls.open())
            return last == named

        until("only named ways are open", as_named, _SETTLED_SECONDS, otherwise=lambda: _told(last, named))
        until("all resolve names", lambda: all(map(walls.resolves, walls.sources)), _SETTLED_SECONDS)
    finally:
        for policy in made:
            namespace.delete(policy["apiVersion"], policy["kind"], policy["metadata"]["name"])


def _told(found: set[Way], wanted: set[Way]) -> str:
    return f"open and not named: {sorted(found - wanted)}\nnamed and not open: {sorted(wanted - found)}"
