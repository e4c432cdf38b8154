"""A stack with a pool that says a script beside one that hears speech, and the troubles that its pods can be given."""

import json
import re
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from e2e_chaos.sessions import Where
from kubernetes.client import V1ContainerStatus, V1Pod
from live_namespace import LiveNamespace, until
from operated_stack import OperatedStack
from streamingstack_bench.long_script import long_script

SCRIPTED, SPEECH = "ml-default", "en-default"
SCRIPTED_MODEL = "universal-streaming-multilingual"
# As the image has it.
SCRIPT = long_script(3700)
_MODEL = "models/en-default"


def scripted_model(image: str, *, pods: int = 2, streams: int = 60) -> dict[str, Any]:
    """A model of a StreamingStack that says the script; its file is there only because a model has one."""
    return {
        "name": SCRIPTED,
        "speechModels": [SCRIPTED_MODEL],
        "image": image,
        "source": f"image://{image}/script",
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}},
        "streams": {"targetPerPod": streams, "maxPerPod": streams},
        "autoscaling": {"minReplicas": pods, "maxReplicas": pods},
    }


def speech_model(image: str, *, pods: int = 2) -> dict[str, Any]:
    """The English model from its image."""
    return {
        "name": SPEECH,
        "speechModels": ["universal-streaming-english"],
        "source": f"image://{image}/{_MODEL}",
        "resources": {"requests": {"cpu": "100m", "memory": "512Mi"}},
        "autoscaling": {"minReplicas": pods, "maxReplicas": pods},
    }


def small_stack(images: Mapping[str, str]) -> dict[str, Any]:
    """The spec: two pods of each pool and two load balancers, so that one of each can be missed."""
    return {
        "models": [scripted_model(images["IMAGE_SCRIPTED"]), speech_model(images["IMAGE_MODELS"])],
        "autoscaling": {"provider": "None"},
        "gateway": {
            "autoscaling": {"minReplicas": 1},
            "resources": {"requests": {"cpu": "200m", "memory": "128Mi"}},
        },
        "loadBalancer": {"replicas": 2, "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}}},
        "licenseProxy": {"replicas": 1, "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}}},
    }


@dataclass(frozen=True)
class Loss:
    """A stream that a gateway lost: which session's, why, and when it noticed."""

    session: str
    reason: str
    at: datetime


@dataclass(frozen=True)
class Running:
    """A stack with a scripted pool that is Ready."""

    stack: OperatedStack
    operator: LiveNamespace

    @property
    def namespace(self) -> LiveNamespace:
        """Where it runs."""
        return self.stack.namespace

    @property
    def where(self) -> Where:
        """Its door without TLS: what it costs to encrypt says nothing here."""
        door = self.namespace.door
        return Where(door.ingress_address, door.http_port, self.stack.host, self.stack.first_key())

    def recognisers(self, model: str = SCRIPTED) -> list[V1Pod]:
        """The ready pods of a pool."""
        return [p for p in self.stack.ready_pods("asr") if p.metadata.labels["streamingstack.dev/pool"] == model]

    def hearing(self, model: str = SCRIPTED) -> V1Pod:
        """One of them that hears a session, once there is one."""
        return until(
            f"a recogniser of {model} hears a session",
            lambda: next(
                (pod for pod in self.recognisers(model) if self.metric(pod, "streaming_asr_streams_active")), None
            ),
            20,
        )

    def streams(self, model: str = SCRIPTED) -> int:
        """How many streams its recognisers have."""
        return sum(int(self.metric(pod, "streaming_asr_streams_active")) for pod in self.recognisers(model))

    def losses_since(self, at: float) -> list[Loss]:
        """The same since a moment of `time.time()`."""
        return self.losses(datetime.fromtimestamp(at, UTC))

    def losses(self, since: datetime) -> list[Loss]:
        """What the gateways noticed since then."""
        found = []
        for pod in self.stack.pods("gateway"):
            seconds = int((datetime.now(UTC) - since).total_seconds()) + 2
            text = self.namespace.core.read_namespaced_pod_log(
                pod.metadata.name, self.namespace.name, since_seconds=seconds
            )
            found += [loss for line in text.splitlines() if (loss := _loss(line)) and loss.at >= since]
        return found

    def page(self, pod: V1Pod, port: int = 9090) -> str:
        """The metrics of one pod."""
        with (
            self.namespace.forwarded(f"pod/{pod.metadata.name}", port) as local,
            urllib.request.urlopen(f"http://127.0.0.1:{local}/metrics", timeout=10) as page,
        ):
            return str(page.read().decode())

    def metric(self, pod: V1Pod, name: str) -> float:
        """A metric of one pod, summed over its labels; 0 where there is none."""
        return sum(map(float, re.findall(rf"^{name}(?:{{.*}})? (\S+)$", self.page(pod), re.M)))

    def freeze(self, pod: V1Pod, container: str) -> None:
        """Stop a container's processes where they are."""
        self.namespace.door.freeze(pod.spec.node_name, status_of(pod, container).container_id)

    def thaw(self, pod: V1Pod, container: str) -> None:
        """Let them go on."""
        self.namespace.door.thaw(pod.spec.node_name, status_of(pod, container).container_id)

    def kill(self, pod: V1Pod, container: str) -> None:
        """SIGKILL to a container."""
        self.namespace.door.kill(pod.spec.node_name, status_of(pod, container).container_id)

    def delete(self, pod: V1Pod, *, at_once: bool = False) -> None:
        """As kubectl does; `at_once` without any grace."""
        grace = {"grace_period_seconds": 0} if at_once else {}
        self.namespace.core.delete_namespaced_pod(pod.metadata.name, pod.metadata.namespace, **grace)

    def restarts(self, part: str) -> int:
        """How often containers of a part's present pods were started again."""
        return sum(
            status.restart_count for pod in self.stack.pods(part) for status in pod.status.container_statuses or []
        )

    def settle(self, seconds: float = 180.0) -> None:
        """Until every part has its pods and all of them are ready."""
        self.stack.await_condition("Ready", "True", seconds)
        until("every pod is ready", self.is_whole, seconds, otherwise=self.stack.tell)

    def is_whole(self) -> bool:
        """Whether every Deployment and StatefulSet of the stack has as many ready pods as it wants."""
        selector = f"app.kubernetes.io/instance={self.stack.name}"
        apps, name = self.namespace.apps, self.namespace.name
        every = [
            *apps.list_namespaced_deployment(name, label_selector=selector).items,
            *apps.list_namespaced_stateful_set(name, label_selector=selector).items,
        ]
        return all(
            item.status.observed_generation == item.metadata.generation
            and item.spec.replicas == (item.status.ready_replicas or 0) == (item.status.updated_replicas or 0)
            for item in every
        )


def status_of(pod: V1Pod, container: str) -> V1ContainerStatus:
    """The status of a container of a pod, an init container that goes on too. Raises StopIteration."""
    every = [*(pod.status.container_statuses or []), *(pod.status.init_container_statuses or [])]
    return next(status for status in every if status.name == container)


def _loss(line: str) -> Loss | None:
    if '"recogniser lost"' not in line:
        return None
    said = json.loads(line)
    return Loss(said["session"], said["reason"], datetime.fromisoformat(said["timestamp"]))
