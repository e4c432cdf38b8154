"""The stack of a chaos run: enough of everything that one replica of each part can be missed. Pure but for `raised`."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from e2e_cluster.door import Door
from live_namespace import live_namespace, until
from operated_stack import OperatedStack, install, issue_license, mirror, through_gateway
from plain_stack import STARTUP_SECONDS, is_served, staying_node
from scripted_stack import SPEECH, Running, scripted_model, speech_model

from e2e_chaos.parts import Layout, Place
from e2e_chaos.plan import Part

SCRIPTED_PODS, SPEECH_PODS, GATEWAYS, BALANCERS, PROXIES = 3, 2, 2, 2, 2
_SCRIPTED, _SPEECH = "asr/ml-default", "asr/en-default"
PLACES: Mapping[Part, Place] = {
    "scripted recogniser": Place(_SCRIPTED, "recognizer"),
    "speech recogniser": Place(_SPEECH, "recognizer"),
    "scripted Triton": Place(_SCRIPTED, "triton"),
    "speech Triton": Place(_SPEECH, "triton"),
    "load balancer": Place("asr-lb", "load-balancer"),
    "licence proxy": Place("license-proxy", "license-proxy"),
    "operator": Place("operator", "operator"),
    "model store": Place("model-store", "model-store"),
}
WANTED = {
    _SCRIPTED: SCRIPTED_PODS,
    _SPEECH: SPEECH_PODS,
    "asr-lb": BALANCERS,
    "license-proxy": PROXIES,
    "operator": 1,
    "model-store": 1,
    "gateway": GATEWAYS,
}


def description(images: Mapping[str, str], files: list[dict[str, Any]], sessions: int, staying: str) -> dict[str, Any]:
    """The spec. Gateways stay on the node of the ingress, which is never cut off; a share of processor goes to those
    who have to answer in time."""
    speech = speech_model(images["IMAGE_MODELS"], pods=SPEECH_PODS)
    del speech["source"]
    scripted = scripted_model(images["IMAGE_SCRIPTED"], pods=SCRIPTED_PODS, streams=max(sessions, 2))
    # A quarter of it is the recogniser's.
    scripted["resources"] = {"requests": {"cpu": "400m", "memory": "256Mi"}}
    speech["resources"] = {"requests": {"cpu": "200m", "memory": "512Mi"}}
    most = 2 * sessions + 20
    stays = {"nodeSelector": {"kubernetes.io/hostname": staying}}
    return {
        "models": [scripted, {**speech, "files": files}],
        "autoscaling": {"provider": "None"},
        "gateway": {
            "sessions": {"targetPerPod": most, "maxPerPod": most},
            "autoscaling": {"minReplicas": GATEWAYS, "maxReplicas": GATEWAYS},
            "resources": {"requests": {"cpu": "200m", "memory": "256Mi"}},
            "pods": stays,
        },
        "modelStore": {"storage": {"size": "1Gi"}, "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}}},
        "loadBalancer": {"replicas": BALANCERS, "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}}},
        "licenseProxy": {"replicas": PROXIES, "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}}},
    }


@contextlib.contextmanager
def raised(door: Door, images: Mapping[str, str], folder: Path, sessions: int) -> Iterator[tuple[Running, Layout]]:
    """The stack, Ready and served, in namespaces of its own that are deleted at the end."""
    with live_namespace(door, "operator") as operator, live_namespace(door, "chaos") as space:
        install(operator, space, images)
        issue_license(space, folder)
        stack = OperatedStack(space, "chaos")
        staying = staying_node(space)
        spec = description(images, mirror(space, images)[SPEECH], sessions, staying)
        spec["gateway"]["expose"] = through_gateway(stack, listener=None)
        stack.create(spec)
        running = Running(stack, operator)
        running.settle(STARTUP_SECONDS)
        until(f"{stack.host} is served", lambda: is_served(door, stack.host), 60)
        nodes = [node.metadata.name for node in space.core.list_node().items if node.metadata.name != staying]
        yield running, Layout(WANTED, PLACES, nodes[0])
