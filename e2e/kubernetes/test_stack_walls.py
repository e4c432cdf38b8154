"""The walls of a stack, packet by packet: every way that the design names is open, and no other is.

Pods stand in for the parts: they have their labels and listen on their ports. What the operator would apply is applied.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from e2e_cluster.door import Door
from live_namespace import LiveNamespace, live_namespace, until
from stack_model.api import StreamingStack, read_stack
from streaming_operator import names
from streaming_operator.children.network_policy import network_policies
from streaming_operator.facts import Images, Inputs, LicenseFact

# Hundreds of connections, most of which have to time out.
pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(1200)]
_SETTLED_SECONDS = 240.0

STACK = "walls"
OUTSIDE_PORT = 8443
PARTS = (names.GATEWAY, names.LICENSE_PROXY, names.LOAD_BALANCER, names.ASR, names.MODEL_STORE)
PORTS = (8080, names.METRICS_PORT, names.GRPC_PORT, names.TRITON_METRICS_PORT, OUTSIDE_PORT)
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
KNOCK = """
import asyncio, sys
async def knock(way):
    name, address, port = way.split(",")
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(address, int(port)), 2)
    except (OSError, TimeoutError):
        return
    writer.close()
    print("arrived", name, port)
async def main():
    await asyncio.gather(*map(knock, sys.argv[1:]))
asyncio.run(main())
"""
RESOLVE = "import socket, sys; print('resolved', socket.gethostbyname('kubernetes.default.svc'))"

NAMED: set[Way] = {
    (names.GATEWAY, names.LOAD_BALANCER, names.GRPC_PORT),
    (names.GATEWAY, names.LICENSE_PROXY, names.LICENSE_PROXY_PORT),
    (names.LOAD_BALANCER, names.ASR, names.GRPC_PORT),
    (names.ASR, names.MODEL_STORE, names.MODEL_STORE_PORT),
    (names.LICENSE_PROXY, OUTSIDE, OUTSIDE_PORT),
    (names.MODEL_STORE, OUTSIDE, OUTSIDE_PORT),
    # Clients come from anywhere; metrics are for the namespace that the stack names.
    *((source, names.GATEWAY, names.GATEWAY_PORT) for source in (STRANGER, NEIGHBOUR, OUTSIDE)),
    *((OUTSIDE, part, names.METRICS_PORT) for part in (names.GATEWAY, names.ASR, names.MODEL_STORE)),
    (OUTSIDE, names.ASR, names.TRITON_METRICS_PORT),
    (OUTSIDE, names.LICENSE_PROXY, names.LICENSE_PROXY_PORT),
}


@pytest.fixture(scope="module")
def elsewhere(door: Door) -> Iterator[LiveNamespace]:
    """Another namespace of the cluster."""
    with live_namespace(door, "elsewhere") as made:
        yield made


def walled(metrics_from: str, outside: str) -> StreamingStack:
    """A stack whose licence proxy and model store have somewhere to go: the address `outside`, and nowhere else."""
    files = [{"path": "model.bin", "parts": [f"https://models.example:{OUTSIDE_PORT}/model.bin"], "sha256": "0" * 64}]
    peer = {"namespaceLabels": {"kubernetes.io/metadata.name": metrics_from}}
    return read_stack(
        {
            "apiVersion": "streamingstack.dev/v1alpha1",
            "kind": "StreamingStack",
            "metadata": {"name": STACK},
            "spec": {
                "models": [{"name": "en", "speechModels": ["universal-streaming-english"], "files": files}],
                "licenseProxy": {"checkInEndpoint": f"https://license.example:{OUTSIDE_PORT}"},
                "networkIsolation": {
                    "metricsFrom": [peer],
                    "egressCidrs": [f"{outside}/{128 if ':' in outside else 32}"],
                },
            },
        }
    )


def policies(stack: StreamingStack) -> list[dict[str, Any]]:
    """What the operator would apply."""
    image = "none"
    facts = Inputs(images=Images(image, image, image, image, image, image), license=LicenseFact("Genuine"))
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
        ways = [
            f"{name},{address},{port}" for name, address in self.addresses.items() if name != source for port in PORTS
        ]
        said = self._homes[source].run_in(f"{STACK}-{source}", "python", "-c", KNOCK, *ways)
        arrived = (line.split() for line in said.splitlines() if line.startswith("arrived"))
        return {(source, name, int(port)) for _, name, port in arrived}

    def resolves(self, source: str) -> bool:
        """Whether it gets an answer from the cluster's DNS."""
        return "resolved" in self._homes[source].run_in(f"{STACK}-{source}", "python", "-c", RESOLVE)

    @property
    def sources(self) -> list[str]:
        """Everybody."""
        return list(self._homes)


def test_every_way_that_is_named_is_open_and_no_other(
    door: Door, namespace: LiveNamespace, elsewhere: LiveNamespace, images: Mapping[str, str]
) -> None:
    if not door.policies_enforced:
        pytest.skip("not run: nothing enforces NetworkPolicies here; CALICO_DIR names a policy engine, see e2e/cluster")
    walls = Walls(namespace, elsewhere, images["IMAGE_GATEWAY"])
    every = {(a, b, port) for a in walls.sources for b in walls.sources if a != b for port in PORTS}
    # The control: without the policies every packet arrives.
    until("all listen", lambda: every <= set().union(*map(walls.reached, walls.sources)), _SETTLED_SECONDS)

    made = policies(walled(elsewhere.name, walls.addresses[OUTSIDE]))
    namespace.apply(*made)
    foreign = {(a, b, port) for a, b, port in every if b not in PARTS and a not in PARTS}
    try:
        last: set[Way] = set()

        def as_named() -> bool:
            last.clear()
            last.update(*map(walls.reached, walls.sources))
            return last == NAMED | foreign

        until("only named ways are open", as_named, _SETTLED_SECONDS, otherwise=lambda: _told(last, NAMED | foreign))
        until("all resolve names", lambda: all(map(walls.resolves, walls.sources)), _SETTLED_SECONDS)
    finally:
        for policy in made:
            namespace.delete(policy["apiVersion"], policy["kind"], policy["metadata"]["name"])
    until("all is open again", lambda: every <= set().union(*map(walls.reached, walls.sources)), _SETTLED_SECONDS)


def _told(found: set[Way], wanted: set[Way]) -> str:
    return f"open and not named: {sorted(found - wanted)}\nnamed and not open: {sorted(wanted - found)}"
