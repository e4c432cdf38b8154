"""One namespace of a live cluster, under the restricted Pod Security level: what tests do in it."""

import base64
import contextlib
import re
import secrets
import string
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from e2e_cluster import tools
from e2e_cluster.door import Door
from kubernetes import client, config
from kubernetes.client import ApiClient, V1EndpointSlice, V1Pod
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient
from kubernetes.stream import stream

FIELD_MANAGER = "streamingstack-e2e"
_LEVEL = {"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"}
_SETTLED_SECONDS = 120.0
T = TypeVar("T")


class LiveNamespace:
    """A namespace and the clients that act in it. What waits raises AssertionError naming what did not come."""

    def __init__(self, api: ApiClient, door: Door, name: str) -> None:
        self.name, self.door, self.api = name, door, api
        self.core, self.apps = client.CoreV1Api(api), client.AppsV1Api(api)
        self._dynamic = DynamicClient(api)

    def apply(self, *documents: Mapping[str, Any]) -> None:
        """Server-side apply, in order; the namespace is added."""
        for document in documents:
            kind = self._dynamic.resources.get(api_version=document["apiVersion"], kind=document["kind"])
            kind.server_side_apply(
                body=dict(document),
                name=document["metadata"]["name"],
                namespace=self.name if kind.namespaced else None,
                field_manager=FIELD_MANAGER,
                force_conflicts=True,
            )

    def apply_file(self, path: Path, **values: str) -> None:
        """Apply a manifest with its `${NAMES}` filled in; KeyError for a name without a value."""
        text = string.Template(path.read_text()).substitute(NAMESPACE=self.name, **values)
        self.apply(*yaml.safe_load_all(text))

    def delete(self, api_version: str, kind: str, name: str) -> None:
        """Delete one object; nothing happens where it is gone already."""
        with contextlib.suppress(ApiException):
            self._dynamic.resources.get(api_version=api_version, kind=kind).delete(name=name, namespace=self.name)

    def pods(self, app: str) -> list[V1Pod]:
        """Pods with the label `app` that are not being deleted."""
        return [pod for pod in self.everything(app) if pod.metadata.deletion_timestamp is None]

    def everything(self, app: str) -> list[V1Pod]:
        """Pods with the label `app`, those that are being deleted too."""
        return list(self.core.list_namespaced_pod(self.name, label_selector=f"app={app}").items)

    def ready_pods(self, app: str) -> list[V1Pod]:
        """Those of them that are Ready."""
        return [pod for pod in self.pods(app) if is_ready(pod)]

    def await_ready(self, app: str, count: int = 1, seconds: float = _SETTLED_SECONDS) -> list[V1Pod]:
        """Wait until exactly `count` pods are there and all are Ready."""

        def settled() -> list[V1Pod] | None:
            pods = self.pods(app)
            return pods if len(pods) == count and all(map(is_ready, pods)) else None

        return until(f"{count} ready pods of {app}", settled, seconds, otherwise=lambda: self.tell(app))

    def endpoint_slices(self, service: str) -> list[V1EndpointSlice]:
        """What a Service leads to."""
        selector = f"kubernetes.io/service-name={service}"
        return list(
            client.DiscoveryV1Api(self.api).list_namespaced_endpoint_slice(self.name, label_selector=selector).items
        )

    def secret(self, name: str, data: Mapping[str, str], kind: str = "Opaque") -> None:
        """Apply a Secret."""
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        self.apply({"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": {"name": name}, "data": encoded})

    def scale(self, deployment: str, replicas: int) -> None:
        """Set the size through the scale subresource."""
        self.apps.patch_namespaced_deployment_scale(deployment, self.name, {"spec": {"replicas": replicas}})

    def run_in(self, pod: str, *argv: str) -> str:
        """What a command prints in a pod's first container, standard error included."""
        return str(
            stream(
                self.core.connect_get_namespaced_pod_exec,
                pod,
                self.name,
                command=list(argv),
                stdout=True,
                stderr=True,
                stdin=False,
                tty=False,
            )
        )

    @contextlib.contextmanager
    def forwarded(self, workload: str, port: int) -> Iterator[int]:
        """A loopback port that leads to `port` of one pod of `workload` (kind/name)."""
        argv = [str(tools.kubectl()), f"--kubeconfig={self.door.kubeconfig}", f"--namespace={self.name}"]
        argv += ["port-forward", workload, f":{port}"]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as forward:
            assert forward.stdout is not None
            try:
                said = forward.stdout.readline()
                found = re.search(r"127\.0\.0\.1:(\d+)", said)
                assert found, f"port-forward to {workload}: {said}"
                yield int(found[1])
            finally:
                forward.kill()

    def tell(self, app: str) -> str:
        """What a person needs to see why pods are not ready: states, and the latest events."""
        lines = []
        for pod in self.pods(app):
            for status in [*(pod.status.init_container_statuses or []), *(pod.status.container_statuses or [])]:
                state = status.state.waiting or status.state.terminated
                lines.append(f"{pod.metadata.name} {status.name} ready={status.ready} {state and state.reason}")
        events = self.core.list_namespaced_event(self.name).items
        events.sort(key=lambda event: str(event.last_timestamp or event.event_time))
        return "\n".join([*lines, *(f"{e.involved_object.name}: {e.reason}: {e.message}" for e in events[-12:])])


@contextlib.contextmanager
def live_namespace(door: Door, prefix: str) -> Iterator[LiveNamespace]:
    """A new namespace, deleted at the end with all that is in it; its end is not waited for."""
    api = config.new_client_from_config(str(door.kubeconfig))
    name = f"{prefix}-{secrets.token_hex(3)}"
    core = client.CoreV1Api(api)
    core.create_namespace({"metadata": {"name": name, "labels": {**_LEVEL, "streamingstack.dev/e2e": "true"}}})
    try:
        yield LiveNamespace(api, door, name)
    finally:
        core.delete_namespace(name)
        api.close()


def until(what: str, holds: Callable[[], T | None], seconds: float, *, otherwise: Callable[[], str] = lambda: "") -> T:
    """Poll until `holds` gives something true; AssertionError naming `what` after that many seconds."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s\n{otherwise()}"
        time.sleep(0.3)
    return found


def is_ready(pod: V1Pod) -> bool:
    """Whether the pod's Ready condition holds."""
    return any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions or [])
