"""Pods that a kubelet nobody has would run: on a node, ready, and with sessions that they tell over HTTP."""

import http.server
import itertools
import json
import os
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from e2e_cluster.kubernetes_api import KubernetesApi
from live_operator import Namespace, until
from streaming_operator import names

_HEARTBEAT_SECONDS = 5.0
_next = itertools.count(1)


class Told(http.server.ThreadingHTTPServer):
    """The metrics port of one pod, at a loopback address of its own."""

    def __init__(self, address: str) -> None:
        self.sessions = 0
        self.asked = 0
        super().__init__((address, names.METRICS_PORT), _Answer)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Answer(http.server.BaseHTTPRequestHandler):
    server: Told

    def do_GET(self) -> None:
        """As a gateway and a recogniser answer."""
        self.server.asked += 1
        lines = [f"{what} {self.server.sessions}" for what in _ACTIVE] + [f"{what} 48" for what in _CAPACITY]
        body = ("\n".join(lines) + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


_ACTIVE = ("streaming_gateway_sessions_active", "streaming_asr_streams_active")
_CAPACITY = ("streaming_gateway_sessions_capacity", "streaming_asr_streams_capacity")


class Node:
    """A node whose pods are ready as soon as they are on it."""

    def __init__(self, api: KubernetesApi, name: str) -> None:
        self.api, self.name = api, name
        self.told: dict[str, Told] = {}

    def run(self, space: Namespace, pod: str, sessions: int = 0) -> None:
        """Bind a pod to the node; it is Ready and says that it has so many sessions."""
        told = Told(f"127.{os.getpid() % 250 + 1}.{secrets.randbelow(254) + 1}.{next(_next) % 254 + 1}")
        told.sessions = sessions
        self.told[pod] = told
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": pod},
            "target": {"apiVersion": "v1", "kind": "Node", "name": self.name},
        }
        path = f"/api/v1/namespaces/{space.name}/pods/{pod}/binding"
        space.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(binding))
        address = str(told.server_address[0])
        ready = [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady", "PodScheduled")]
        status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": ready}
        space.patch("pod", pod, {"status": status}, "--subresource=status")

    def run_all(self, space: Namespace, deployment: str, count: int) -> list[str]:
        """All pods of a Deployment, once there are so many; their names."""
        found = until(f"{count} pods of {deployment}", lambda: _as_many(pods_of(space, deployment), count))
        for pod in found:
            if pod not in self.told:
                self.run(space, pod)
        return sorted(found)


@contextmanager
def node(api: KubernetesApi) -> Iterator[Node]:
    """A node that is Ready as long as the context lasts, so that no controller ends its pods."""
    made = Node(api, f"node-{secrets.token_hex(4)}")
    api.apply([{"apiVersion": "v1", "kind": "Node", "metadata": {"name": made.name}}])
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(_HEARTBEAT_SECONDS):
            _beat(made)

    _beat(made)
    beating = threading.Thread(target=beat, daemon=True)
    beating.start()
    try:
        yield made
    finally:
        ended.set()
        beating.join()
        for told in made.told.values():
            told.shutdown()
            told.server_close()
        api.kubectl("delete", "node", made.name, "--wait=false")


def _beat(made: Node) -> None:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    condition = {"type": "Ready", "status": "True", "reason": "Test", "lastHeartbeatTime": now}
    patch = json.dumps({"status": {"conditions": [condition]}})
    made.api.kubectl("patch", "node", made.name, "--subresource=status", "--type=strategic", "-p", patch)


def pods_of(space: Namespace, deployment: str, *, ending: bool = False) -> dict[str, dict[str, Any]]:
    """The pods that a Deployment's ReplicaSets made and that are not ending, or those that are; by name."""
    items = space.all("pods")
    return {
        item["metadata"]["name"]: item
        for item in items
        if item["metadata"]["name"].startswith(f"{deployment}-") and ("deletionTimestamp" in item["metadata"]) is ending
    }


def _as_many(found: dict[str, dict[str, Any]], count: int) -> dict[str, dict[str, Any]] | None:
    time.sleep(0.1)
    return found if len(found) == count else None
