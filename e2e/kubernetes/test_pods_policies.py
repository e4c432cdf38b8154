"""A NetworkPolicy stops packets, and only it does."""

from collections.abc import Mapping
from typing import Any

import pytest
from e2e_cluster.door import Door
from live_namespace import LiveNamespace, until
from plain_stack import MANIFESTS

pytestmark = pytest.mark.kubernetes
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], 8000), 1.5).close(); print('arrived')"


@pytest.mark.parametrize(
    ("direction", "selects"), [("Egress", "caller"), ("Ingress", "callee")], ids=["out-of-a-pod", "into-a-pod"]
)
def test_a_packet_arrives_without_the_policy_and_not_with_it(
    door: Door, namespace: LiveNamespace, images: Mapping[str, str], direction: str, selects: str
) -> None:
    if not door.policies_enforced:
        pytest.skip("not run: nothing enforces NetworkPolicies here; CALICO_DIR names a policy engine, see e2e/cluster")
    for app in ("caller", "callee"):
        namespace.apply_file(MANIFESTS / "probe.yaml", APP=app, **images)
    namespace.await_ready("caller")
    callee = namespace.await_ready("callee")[0].status.pod_ip

    def arrives() -> bool:
        return "arrived" in namespace.run_in("caller", "python", "-c", CONNECT, str(callee))

    until("without a policy the packet arrives", arrives, 20)
    namespace.apply(deny(direction, selects))
    until("with it none arrives", lambda: not arrives(), 20)
    assert not arrives()
    namespace.delete("networking.k8s.io/v1", "NetworkPolicy", "deny")
    until("once it is gone the packet arrives again", arrives, 20)


def deny(direction: str, app: str) -> dict[str, Any]:
    """A policy that lets nothing pass in one direction."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "deny"},
        "spec": {"podSelector": {"matchLabels": {"app": app}}, "policyTypes": [direction]},
    }
