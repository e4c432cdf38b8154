"""The cluster's network on this machine: a bridge, a network namespace per node, the routes between them."""

import json
import subprocess
from ipaddress import ip_network
from typing import Any

from e2e_cluster.errors import ClusterError
from e2e_cluster.plan import ClusterPlan, NodePlan


def raise_network(plan: ClusterPlan) -> None:
    """Make what is missing of bridge, namespaces, cables, addresses and routes.

    Raises ClusterError where another cluster or another network holds the addresses.
    """
    _claim(plan)
    ip("link", "set", plan.bridge, "up")
    ip("addr", "replace", f"{plan.host}/{plan.network.prefixlen}", "dev", plan.bridge)
    for node in plan.nodes:
        _cable(plan, node)
    for node in plan.nodes:
        for other in plan.nodes:
            if other is not node:
                ip("-n", node.cgroup, "route", "replace", str(other.pods), "via", str(other.address))
        ip("route", "replace", str(node.pods), "via", str(node.address))
    # The host has no kube-proxy of its own: it reaches Services by way of the first node's.
    ip("route", "replace", str(plan.services), "via", str(plan.nodes[0].address))


def lower_network(plan: ClusterPlan) -> None:
    """Remove namespaces, cables and bridge; their routes and rules go with them."""
    for node in plan.nodes:
        # First: with a namespace its cable ends too, but only after a while, in the middle of a look at it.
        if _link(node.link):
            ip("link", "delete", node.link)
        if node.namespace.exists():
            ip("netns", "delete", node.cgroup)
    if _link(plan.bridge).get("ifalias") == plan.owner:
        ip("link", "delete", plan.bridge)


def cut(node: NodePlan) -> None:
    """Pull the node's cable."""
    ip("link", "set", node.link, "down")


def restore(node: NodePlan) -> None:
    """Plug the node's cable in again."""
    ip("link", "set", node.link, "up")


def is_cut(node: NodePlan) -> bool:
    """Whether the node's cable is pulled."""
    return "UP" not in _link(node.link).get("flags", ())


def owner(plan: ClusterPlan) -> str:
    """Which cluster holds the bridge, "" for none."""
    return str(_link(plan.bridge).get("ifalias", ""))


def ip(*words: str) -> str:
    """Run `ip`; ClusterError with what it complains of."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def _claim(plan: ClusterPlan) -> None:
    link = _link(plan.bridge)
    if not link:
        ours = (plan.network, plan.pods, plan.services)
        for route in json.loads(ip("-j", "route") or "[]"):
            if route["dst"] != "default" and any(ip_network(route["dst"]).overlaps(range_) for range_ in ours):
                raise ClusterError(
                    f"the route to {route['dst']} by {route.get('dev')} overlaps the cluster's addresses, "
                    f"198.18.0.0/15; take that network down first"
                )
        ip("link", "add", plan.bridge, "type", "bridge")
        ip("link", "set", plan.bridge, "alias", plan.owner)
    elif link.get("ifalias") != plan.owner:
        raise ClusterError(
            f"another cluster holds the addresses ({link.get('ifalias') or plan.bridge}); only one fits on a machine: "
            f"take it down first (python -m e2e_cluster down --name NAME, with its XDG_STATE_HOME)"
        )


def _cable(plan: ClusterPlan, node: NodePlan) -> None:
    if not node.namespace.exists():
        ip("netns", "add", node.cgroup)
    if not _link(node.link):
        ip("link", "add", node.link, "type", "veth", "peer", "name", "eth0", "netns", node.cgroup)
    ip("link", "set", node.link, "master", plan.bridge, "up")
    ip("-n", node.cgroup, "link", "set", "lo", "up")
    ip("-n", node.cgroup, "link", "set", "eth0", "up")
    ip("-n", node.cgroup, "addr", "replace", f"{node.address}/{plan.network.prefixlen}", "dev", "eth0")
    ip("-n", node.cgroup, "route", "replace", "default", "via", str(plan.host))
    subprocess.run(
        ["nsenter", f"--net={node.namespace}", "sysctl", "-q", "-w", "net.ipv4.ip_forward=1"],
        check=True,
        capture_output=True,
    )


def _link(name: str) -> dict[str, Any]:
    done = subprocess.run(["ip", "-j", "link", "show", "dev", name], capture_output=True, text=True, check=False)
    links: list[dict[str, Any]] = json.loads(done.stdout) if done.returncode == 0 else []
    return links[0] if links else {}
