"""A real API server's namespaces, and operators as processes, for tests that read as rules."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from e2e_cluster.kubernetes_api import KubernetesApi
from license_token import SigningKey, development_claims, issue
from stack_model.release import IMAGE_NAMES

# A machine with two cores may be busy with everything else.
PATIENCE_SECONDS = 120.0
IMAGES = tuple(part.upper() for part in IMAGE_NAMES)
CHILD_KINDS = (
    *("configmaps", "secrets", "services", "persistentvolumeclaims", "deployments.apps", "statefulsets.apps"),
    *("networkpolicies.networking.k8s.io", "poddisruptionbudgets.policy", "horizontalpodautoscalers.autoscaling"),
    "ingresses.networking.k8s.io",
)
# What controllers write to though nothing changes.
_MOVED = ("Horizontal", "StatefulSet", "PersistentVolumeClaim")
KEY = SigningKey.generate()


def until(what: str, holds: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> Any:
    """The first true answer of `holds`; AssertionError naming `what` after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        found = holds()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.2)


@dataclass
class Namespace:
    """One namespace of the API server."""

    api: KubernetesApi
    name: str

    def kubectl(self, *arguments: str, **more: Any) -> str:
        """kubectl in this namespace."""
        return self.api.kubectl("--namespace", self.name, *arguments, **more)

    def apply(self, *documents: Mapping[str, Any]) -> None:
        """As a user would."""
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(documents))

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """One object; None where there is none."""
        return self.api.reader.one(self.name, kind, name)

    def all(self, kind: str, selector: str = "") -> list[dict[str, Any]]:
        """The objects of one kind."""
        return self.api.reader.all(self.name, kind, selector)

    def children(self) -> dict[str, dict[str, Any]]:
        """Everything that the operator made here, by `Kind/name`."""
        ours = "app.kubernetes.io/managed-by=streaming-operator"
        items = [item for kind in CHILD_KINDS for item in self.all(kind, ours)]
        return {f"{item['kind']}/{item['metadata']['name']}": item for item in items}

    def versions(self) -> dict[str, str]:
        """resourceVersion of every child and every stack, but for what controllers move by themselves."""
        still = {name: item["metadata"]["resourceVersion"] for name, item in self.children().items()}
        return {name: version for name, version in still.items() if not name.startswith(_MOVED)}

    def patch(self, kind: str, name: str, change: Mapping[str, Any], *more: str) -> None:
        """A merge patch by somebody's hand."""
        self.kubectl("patch", kind, name, "--type=merge", "-p", json.dumps(change), *more)

    def condition(self, stack: str, type_: str) -> dict[str, Any]:
        """One condition of a stack; empty while there is none."""
        found = self.get("streamingstack", stack)
        conditions = ((found or {}).get("status") or {}).get("conditions", [])
        return next((condition for condition in conditions if condition["type"] == type_), {})

    def until_condition(self, stack: str, type_: str, reason: str) -> dict[str, Any]:
        """The condition once it has that reason."""

        def holds() -> dict[str, Any] | None:
            found = self.condition(stack, type_)
            return found if found.get("reason") == reason else None

        try:
            found: dict[str, Any] = until(f"{type_} {reason}", holds)
        except AssertionError as never:
            raise AssertionError(f"{never}; it is {self.condition(stack, type_)}") from None
        return found

    def stack(self, name: str = "demo", **spec: Any) -> None:
        """Apply a stack with one model unless told."""
        self.apply(stack(name, **spec))

    def until_made(self, name: str = "demo") -> None:
        """Wait until a stack of one model has all its children and a status."""
        until(f"{name} is made", lambda: self.condition(name, "Ready") and self.get("deployment", f"{name}-gateway"))

    def license(self, token: str | None = None, keys: str | None = None) -> None:
        """Apply a licence and the keys that verify it; a good one unless told."""
        data = {"license.jwt": token if token is not None else good_license()}
        self.apply(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "license"}, "stringData": data},
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "license-keys"},
                "data": {"public-keys.json": keys or KEY.public_keys().to_json()},
            },
        )


def good_license(**claims: Any) -> str:
    """A licence that the keys of `Namespace.license` verify."""
    from datetime import UTC, datetime

    return issue(development_claims("customer", claims.get("now", datetime.now(UTC))), KEY.private_key, KEY.key_id)


def stack(name: str = "demo", **spec: Any) -> dict[str, Any]:
    """A StreamingStack as a user writes it."""
    usual = {"models": [model("en-default")]}
    metadata = {"name": name}
    return {
        "apiVersion": "streamingstack.dev/v1alpha1",
        "kind": "StreamingStack",
        "metadata": metadata,
        "spec": usual | spec,
    }


def pod_on_a_node(space: Namespace, name: str, labels: dict[str, str], address: str | None = None, **spec: Any) -> None:
    """A pod that a kubelet nobody has would run: its end takes its whole grace."""
    container = {"name": "main", "image": "registry.example/main:1"}
    usual = {"nodeName": "nowhere", "containers": [container], "tolerations": [{"operator": "Exists"}]}
    space.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": usual | spec})
    if address:
        status = {"status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}}
        space.patch("pod", name, status, "--subresource=status")


def model(name: str, **fields: Any) -> dict[str, Any]:
    """One model of a stack."""
    return {
        "name": name,
        "speechModels": [f"universal-streaming-{name}"],
        "source": f"hf://example/{name}@v1",
        **fields,
    }


@dataclass
class Running:
    """An operator process."""

    process: subprocess.Popen[bytes]
    log: Path
    _port: int = field(default=0)

    @property
    def port(self) -> int:
        """Of its probes, as its log tells."""
        if not self._port:
            found = until("the operator tells its port", lambda: re.search(r'"port": (\d+)', self.log.read_text()))
            self._port = int(found.group(1))
        return self._port

    def get(self, path: str) -> str:
        """What its probes answer."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as response:
            return str(response.read().decode())

    def ready(self) -> bool:
        """Whether everything is listed."""
        assert self.process.poll() is None, f"the operator ended: {self.log.read_text()[-2000:]}"
        try:
            return self.get("/readyz") == "ok"
        except OSError:
            return False

    def total(self, metric: str, **labels: str) -> float:
        """Sum of a metric's series with those labels."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        lines = [line for line in self.get("/metrics").splitlines() if re.match(rf"{metric}(\{{| )", line)]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if all(pair in line for pair in wanted))

    def writes(self) -> float:
        """PATCH, POST and DELETE so far."""
        return sum(
            self.total("streaming_operator_api_requests_total", verb=verb) for verb in ("PATCH", "POST", "DELETE")
        )

    def reconciles(self) -> float:
        """Reconciles that ended."""
        return self.total("streaming_operator_reconcile_seconds_count")

    def until_quiet(self) -> None:
        """Wait until nothing is due, three times in a row."""
        for _ in range(3):
            until("the queue is empty", lambda: self.total("streaming_operator_queue_depth") == 0)
            time.sleep(0.4)

    def kill(self) -> None:
        """SIGKILL: no chance to put anything in order."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)


@contextmanager
def operator(kubeconfig: Path, log: Path, namespaces: str, **environment: str) -> Iterator[Running]:
    """The operator over some namespaces, ready, as long as the context lasts."""
    with starting_operator(kubeconfig, log, namespaces, **environment) as running:
        until("the operator is ready", running.ready, 180)
        yield running


@contextmanager
def starting_operator(kubeconfig: Path, log: Path, namespaces: str, **environment: str) -> Iterator[Running]:
    """The same, from the moment when its process starts."""
    given = {
        **os.environ,
        "KUBECONFIG": str(kubeconfig),
        "PROBE_PORT": "0",
        "WATCH_NAMESPACES": namespaces,
        "POD_NAMESPACE": "streamingstack-system",
        **{f"IMAGE_{part}": f"registry.example/{part.lower()}:1" for part in IMAGES},
        **environment,
    }
    with log.open("wb") as output:
        argv = [sys.executable, "-m", "streaming_operator", "run"]
        process = subprocess.Popen(argv, env=given, stderr=output, stdin=subprocess.DEVNULL)
    running = Running(process, log)
    try:
        yield running
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                raise AssertionError(f"the operator does not stop: {log.read_text()[-2000:]}") from None


def install_definition(api: KubernetesApi) -> None:
    """The custom resource definition, served."""
    from stack_model.crd import definition_yaml

    api.apply_text(definition_yaml())
    until_served(api)


def until_served(api: KubernetesApi) -> None:
    """Wait until StreamingStacks can be asked for."""
    until("StreamingStacks are served", lambda: api.reader.answers("/apis/streamingstack.dev/v1alpha1/streamingstacks"))


def make_namespace(api: KubernetesApi, name: str) -> Namespace:
    """A new namespace, usable."""
    api.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}])
    until(f"namespace {name} is usable", lambda: api.reader.one(name, "serviceaccount", "default"))
    return Namespace(api, name)
