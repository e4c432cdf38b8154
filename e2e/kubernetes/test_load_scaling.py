"""Sizes follow real sessions, from `helm install` alone: more pods, fewer, the adapter away and back, nothing left."""

import concurrent.futures
import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from chart_release import RELEASE, STACK, Release
from e2e_cluster.door import Door
from kubernetes import client
from listener import recording, resolving, spoken
from live_namespace import LiveNamespace, is_ready, live_namespace, until
from metrics_registration import await_free, registration
from operated_stack import OperatedStack, issue_license, small, through_gateway
from plain_stack import STARTUP_SECONDS, is_served

pytestmark = [pytest.mark.kubernetes, pytest.mark.long, pytest.mark.timeout(900)]
ADAPTER = f"{RELEASE}-streaming-stack-metrics-adapter"
# From the first session that is one too many until a new pod serves.
SCALED_SECONDS = 60.0
FULL = "Too many concurrent sessions"
SETTLED_SECONDS = 150.0


@pytest.fixture(scope="module")
def release(door: Door, images: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """A stack whose gateway and model are sized by one session a pod."""
    folder = tmp_path_factory.mktemp("autoscaling")
    with live_namespace(door, "scaled") as space:
        await_free(space)
        issue_license(space, folder)
        stack = OperatedStack(space, STACK)
        values = {
            "scope": "namespaces",
            "images": {"registry": images["IMAGE_GATEWAY"].rpartition("/")[0]},
            "metricsAdapter": {"api": "Always", "scrapeSeconds": 2},
            "stack": {"enabled": True, "name": STACK, "spec": sized(images, through_gateway(stack))},
        }
        made = Release(space, folder, values)
        made.put("install")
        stack.await_condition("Ready", "True", STARTUP_SECONDS)
        yield made
        made.helm("uninstall", RELEASE, "--ignore-not-found")


def sized(images: Mapping[str, str], expose: dict[str, Any]) -> dict[str, Any]:
    """One session, or stream, is what a pod should carry; two are what it takes."""
    spec = small(images, expose)
    spec["autoscaling"] = {"provider": "HPA"}
    spec["gateway"] |= {
        "autoscaling": {"minReplicas": 1, "maxReplicas": 3, "headroomSessions": 0},
        "sessions": {"targetPerPod": 1, "maxPerPod": 2},
    }
    [model] = spec["models"]
    model |= {
        "autoscaling": {"minReplicas": 1, "maxReplicas": 2, "headroomStreams": 0},
        "streams": {"targetPerPod": 1, "maxPerPod": 4},
    }
    return spec


def is_available(space: LiveNamespace) -> bool:
    """Whether the API server reaches the adapter."""
    found = registration(space)
    conditions = (found.status.conditions or []) if found and found.status else []
    return any(it.type == "Available" and it.status == "True" for it in conditions)


@contextlib.contextmanager
def sessions(stack: OperatedStack, recordings: Path, count: int) -> Iterator[list[float]]:
    """So many real sessions that have begun, and go on while the context is open; yields when each was open."""
    door = stack.namespace.door
    until(f"{stack.host} is served", lambda: is_served(door, stack.host), STARTUP_SECONDS)
    pcm, _ = recording(recordings)
    enough = threading.Event()
    key = stack.first_key()

    def audio() -> bytes:
        return pcm if not enough.is_set() else b""

    def talk(began: threading.Event) -> list[str]:
        # One after another, so that it lasts as long as it is needed; each is a whole session of its own.
        while audio():
            heard = spoken(stack.host, key, pcm, speed=1.0, began=began)
            if any(FULL in error for error in heard.errors):
                # An ingress may choose a full gateway where another has room: clients try again.
                time.sleep(1)
            elif heard.errors:
                return heard.errors
        return []

    with (
        resolving(door.domain, door.ingress_address, str(door.ca_file)),
        concurrent.futures.ThreadPoolExecutor(count) as pool,
    ):
        begun = [threading.Event() for _ in range(count)]
        talking = [pool.submit(talk, each) for each in begun]
        opened = []
        try:
            for each in begun:
                assert each.wait(STARTUP_SECONDS)
                opened.append(time.monotonic())
            yield opened
        finally:
            enough.set()
        assert [talk_.result(timeout=180) for talk_ in talking] == [[]] * count


def test_more_sessions_bring_more_gateways_and_recognisers_in_time(release: Release, recordings: Path) -> None:
    stack, space = OperatedStack(release.space, STACK), release.space
    until("the adapter is reached", lambda: is_available(space), SETTLED_SECONDS)
    stack.await_condition("ScalingSignal", "True", SETTLED_SECONDS, "Reported")
    assert len(stack.ready_pods("gateway")) == 1
    with sessions(stack, recordings, 2) as opened:
        for part in ("gateway", "asr"):
            serves = partial(at_least_two_serve, stack, part)
            until(f"another {part} serves", serves, SCALED_SECONDS, otherwise=stack.tell)
            print(f"a second {part} serves {time.monotonic() - opened[-1]:.0f} s after the second session")  # noqa: T201
        with sessions(stack, recordings, 1):
            assert len(stack.ready_pods("gateway")) >= 2, "a third is taken, though two are all that one gateway takes"


def at_least_two_serve(stack: OperatedStack, part: str) -> bool:
    """Whether another pod of a part is Ready beside the first."""
    return len(stack.ready_pods(part)) >= 2


def test_fewer_sessions_leave_fewer_gateways(release: Release) -> None:
    """With an HPA of the user's own on the same metric, as the operator's waits a quarter of an hour."""
    stack, space = OperatedStack(release.space, STACK), release.space
    stack.patch({"autoscaling": {"provider": "None"}})
    hpas = client.AutoscalingV2Api(space.api)
    until("the operator's is gone", lambda: not hpas.list_namespaced_horizontal_pod_autoscaler(space.name).items, 60)
    assert len(stack.pods("gateway")) >= 2, "its size stays"
    space.apply(own_hpa(f"{STACK}-gateway"))
    until("one is left", lambda: len(stack.pods("gateway")) == 1, SETTLED_SECONDS, otherwise=stack.tell)
    space.delete("autoscaling/v2", "HorizontalPodAutoscaler", f"{STACK}-gateway")
    stack.patch({"autoscaling": {"provider": "HPA"}})
    stack.await_condition("ScalingSignal", "True", SETTLED_SECONDS, "Reported")


def own_hpa(deployment: str) -> dict[str, Any]:
    """At once in both directions."""
    metric = {
        "metric": {"name": "streaming_gateway_sessions_wanted"},
        "target": {"type": "AverageValue", "averageValue": "1"},
    }
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": deployment},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment},
            "minReplicas": 1,
            "maxReplicas": 3,
            "metrics": [{"type": "Pods", "pods": metric}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
        },
    }


def test_with_the_adapter_away_and_back_sizes_hold_sessions_go_on_and_an_unrelated_namespace_ends(
    release: Release, door: Door, recordings: Path
) -> None:
    stack, space = OperatedStack(release.space, STACK), release.space
    before = {pod.metadata.name for pod in stack.pods("gateway")}
    with sessions(stack, recordings, 1):
        space.scale(ADAPTER, 0)
        until("the registration is withdrawn", lambda: registration(space) is None, SETTLED_SECONDS)
        with live_namespace(door, "unrelated") as unrelated:
            name = unrelated.name
        until("an unrelated namespace ends", lambda: not _exists(space, name), SETTLED_SECONDS)
        stack.await_condition("ScalingSignal", "False", SETTLED_SECONDS, "NoSignal")
        assert {pod.metadata.name for pod in stack.pods("gateway")} == before
        assert all(is_ready(pod) for pod in stack.pods("gateway"))
        space.scale(ADAPTER, 2)
        until("it is registered again", lambda: is_available(space), SETTLED_SECONDS)
        stack.await_condition("ScalingSignal", "True", SETTLED_SECONDS, "Reported")


def _exists(space: LiveNamespace, name: str) -> bool:
    return name in {it.metadata.name for it in space.core.list_namespace().items}


def test_after_uninstall_no_registration_is_left(release: Release) -> None:
    release.helm("uninstall", RELEASE, "--wait", "--timeout=5m")
    until("the registration is gone", lambda: registration(release.space) is None, SETTLED_SECONDS)
