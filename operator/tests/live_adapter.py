"""Metrics adapters as processes, and pods' metrics over real sockets on loopback, for tests that read as rules."""

import contextlib
import http.server
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from e2e_cluster.errors import ClusterError
from e2e_cluster.kubernetes_api import KubernetesApi
from live_operator import Namespace, until
from streaming_operator import names

API = "/apis/custom.metrics.k8s.io/v1beta2"
SERVICE, SECRET = "adapter", "adapter-tls"
RULES = yaml.safe_load((Path(__file__).parents[1] / "adapter-rbac.yaml").read_text())
_RBAC = "rbac.authorization.k8s.io"


class MetricsServer:
    """What one pod exports, on a loopback address of its own and the port that pods have; `text` may be changed."""

    def __init__(self, text: str = "") -> None:
        self.text = text
        self.status = 200
        self.asked = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                body = outer.text.encode()
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

            def log_message(self, *_: Any) -> None: ...

        while True:
            # All of 127/8 is this machine; port 9090 is taken on some addresses by other tests.
            self.address = "127." + ".".join(str(1 + secrets.randbelow(250)) for _ in range(3))
            with contextlib.suppress(OSError):
                self._server = http.server.ThreadingHTTPServer((self.address, names.METRICS_PORT), Handler)
                break
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Nothing listens any more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def gateway_text(active: int, capacity: int = 8, refused: Mapping[str, int] | None = None, draining: int = 0) -> str:
    """As the gateway exports it."""
    lines = [
        "# HELP streaming_gateway_sessions_active Open sessions.",
        "# TYPE streaming_gateway_sessions_active gauge",
        f"streaming_gateway_sessions_active {active}.0",
        f"streaming_gateway_sessions_capacity {capacity}.0",
        f"streaming_gateway_draining {draining}.0",
        'streaming_gateway_begin_seconds_bucket{le="0.005"} 0.0',
        *(f'streaming_gateway_sessions_refused_total{{reason="{r}"}} {n}.0' for r, n in (refused or {}).items()),
    ]
    return "\n".join(lines) + "\n"


def asr_text(active: int, capacity: int = 28, refused: Mapping[str, int] | None = None) -> str:
    """As the recogniser exports it."""
    lines = [
        f"streaming_asr_streams_active {active}.0",
        f"streaming_asr_streams_capacity {capacity}.0",
        *(f'streaming_asr_streams_refused_total{{reason="{r}"}} {n}.0' for r, n in (refused or {}).items()),
    ]
    return "\n".join(lines) + "\n"


def pod(name: str, stack: str, component: str, model: str | None = None) -> dict[str, Any]:
    """A pod as a Deployment of the operator makes it, as far as the API server cares."""
    labels = names.labels(stack, component, model)
    spec = {"containers": [{"name": "main", "image": "registry.example/none:1"}], "automountServiceAccountToken": False}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


def runs(space: Namespace, name: str, address: str) -> None:
    """What a kubelet would say: the pod runs at that address and is ready."""
    status = {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
    }
    space.patch("pod", name, {"status": status}, "--subresource=status")


@dataclass
class RunningAdapter:
    """An adapter process."""

    process: subprocess.Popen[bytes]
    log: Path
    _ports: dict[str, int] = field(default_factory=dict)

    def port(self, of: str) -> int:
        """`probes`, `scaler` or `api`, as its log tells."""
        if not self._ports:
            found = until("the adapter tells its ports", lambda: re.search(r"\{.*\"served\".*\}", self.log.read_text()))
            self._ports = {key: value for key, value in json.loads(found[0]).items() if isinstance(value, int)}
        return self._ports[of]

    def get(self, path: str) -> str:
        """What its probes answer."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port('probes')}{path}", timeout=30) as response:
            return str(response.read().decode())

    def ready(self) -> bool:
        """Whether it answers."""
        assert self.process.poll() is None, f"the adapter ended: {self.log.read_text()[-2000:]}"
        try:
            return self.get("/readyz") == "ok"
        except OSError:
            return False

    def end(self, number: int = signal.SIGTERM) -> None:
        """End it, and wait."""
        if self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(30)


@contextmanager
def adapter(kubeconfig: Path, log: Path, namespace: str, **environment: str) -> Iterator[RunningAdapter]:
    """The adapter, installed in `namespace`, as long as the context lasts."""
    given = {
        **os.environ,
        "KUBECONFIG": str(kubeconfig),
        "POD_NAMESPACE": namespace,
        "PROBE_PORT": "0",
        "SCALER_PORT": "0",
        "API_PORT": "0",
        "SERVICE_NAME": SERVICE,
        "TLS_SECRET": SECRET,
        "SCRAPE_SECONDS": "0.5",
        "STALE_SECONDS": "5",
        **environment,
    }
    with log.open("ab") as output:
        argv = [sys.executable, "-m", "metrics_adapter", "run"]
        process = subprocess.Popen(argv, env=given, stderr=output, stdin=subprocess.DEVNULL)
    running = RunningAdapter(process, log)
    try:
        until("the adapter is ready", running.ready, 180)
        yield running
    finally:
        running.end()


def free_port() -> int:
    """One of loopback's."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _object(kind: str, name: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": f"{_RBAC}/v1", "kind": kind, "metadata": {"name": name}, **fields}


def prepare(space: Namespace, folder: Path) -> tuple[Path, str]:
    """What the chart makes but the Deployment, in `space`; returns the account's kubeconfig and the owner's name."""
    owner = f"adapter-{space.name}"
    subject = [{"kind": "ServiceAccount", "name": "adapter", "namespace": space.name}]
    secret = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [SECRET], "verbs": ["get", "patch"]}
    own = {"apiGroups": [_RBAC], "resources": ["clusterroles"], "resourceNames": [owner], "verbs": ["get"]}
    metadata = {"name": SERVICE, "namespace": space.name}
    # Nothing runs in pods here: the API server reaches the process on this machine.
    service = {"type": "ExternalName", "externalName": "localhost"}
    space.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "adapter"}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service},
        _object("ClusterRole", owner, rules=RULES["namespaced"] + RULES["cluster"] + [own]),
        _object("ClusterRoleBinding", owner, roleRef=_ref("ClusterRole", owner), subjects=subject),
        _object("Role", "adapter", rules=[secret]),
        _object("RoleBinding", "adapter", roleRef=_ref("Role", "adapter"), subjects=subject),
    )
    reader = _object(
        "RoleBinding", owner, roleRef=_ref("Role", "extension-apiserver-authentication-reader"), subjects=subject
    )
    space.api.kubectl("--namespace=kube-system", "apply", "-f", "-", stdin=yaml.safe_dump(reader))
    config = yaml.safe_load(space.api.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": space.kubectl("create", "token", "adapter").strip()}
    path = folder / "adapter-kubeconfig"
    path.write_text(json.dumps(config))
    return path, owner


def _ref(kind: str, name: str) -> dict[str, str]:
    return {"apiGroup": _RBAC, "kind": kind, "name": name}


def raw(api: KubernetesApi, path: str) -> dict[str, Any]:
    """What the API server answers on a path; ClusterError with its reason where it has nothing."""
    found: dict[str, Any] = json.loads(api.kubectl("get", "--raw", path))
    return found


def metric_of(api: KubernetesApi, namespace: str, metric: str, selector: str = "") -> dict[str, str] | None:
    """Quantities by pod, as the autoscaler asks; None while the API is not served."""
    query = f"?labelSelector={selector}" if selector else ""
    try:
        found = api.reader.read(f"{API}/namespaces/{namespace}/pods/%2A/{metric}{query}")
    except ClusterError:
        return None
    return found and {item["describedObject"]["name"]: item["value"] for item in found["items"]}
