"""What the metrics adapter makes of pods' words: load, refusals, headroom, and what is withheld."""

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_adapter import asr_text, gateway_text
from metrics_adapter.answers import metric_values, quantity
from metrics_adapter.catalogue import ASR, GATEWAY, METRICS, PARTS
from metrics_adapter.load import Loads, NoLoadKnownError
from metrics_adapter.pods import Group, Pod, Pods, read_pod
from metrics_adapter.samples import WINDOW_SECONDS, History, Sample, read_sample
from metrics_adapter.stacks import Stacks, read_stack
from prometheus_client import CollectorRegistry, generate_latest
from streaming_asr.metrics import RecogniserMetrics
from streaming_gateway.metrics import GatewayMetrics
from streaming_operator import names
from streaming_operator.kinds import POD, STACK, Key

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
STALE = 30.0
GATEWAYS = Group(Key("here", "demo"), names.GATEWAY, "")
POOL = Group(Key("here", "demo"), names.ASR, "en")


class World:
    """Pods, a stack and what pods said, as watches and scrapes would have told."""

    def __init__(self, headroom: int = 0, target: int = 10) -> None:
        self.loads = Loads(Pods(), Stacks(), {}, STALE)
        gateway = {"autoscaling": {"headroomSessions": headroom}, "sessions": {"targetPerPod": target}}
        model = {"name": "en", "autoscaling": {"headroomStreams": headroom}, "streams": {"targetPerPod": target}}
        spec = {"gateway": gateway, "models": [model]}
        metadata, stack = read_stack(STACK, msgspec.json.encode({"metadata": _metadata("demo"), "spec": spec}))
        self.loads.stacks.sighted(STACK, metadata, stack)

    def pod(self, name: str, *, ends: bool = False, phase: str = "Running", ready: bool = True, pool: str = "") -> Pod:
        """A gateway's, or a pool's."""
        labels = names.labels("demo", names.ASR if pool else names.GATEWAY, pool or None)
        metadata = (
            _metadata(name) | {"labels": labels} | ({"deletionTimestamp": "2026-01-01T00:00:00Z"} if ends else {})
        )
        status: dict[str, Any] = {"phase": phase, "podIP": "127.1.1.1" if phase == "Running" else ""}
        status["conditions"] = [{"type": "Ready", "status": str(ready)}]
        found, pod = read_pod(POD, msgspec.json.encode({"metadata": metadata, "status": status}))
        self.loads.pods.sighted(POD, found, pod)
        return pod

    def says(self, pod: Pod, at: float, active: int = 0, refused: float = 0, *, drains: bool = False) -> None:
        """A scrape's sample."""
        sample = Sample(at, NOON + timedelta(seconds=at), active, 20, {"capacity": refused}, drains)
        self.loads.histories.setdefault(pod.uid, History()).add(sample)

    def wanted(self, now: float = 0.0, metric: str = names.GATEWAY_LOAD) -> dict[str, str]:
        """Quantities by pod."""
        values = self.loads.values(metric, METRICS[metric], self.loads.pods.of_namespace("here"), now)
        return {value.pod.name: quantity(value.milli) for value in values}


def _metadata(name: str) -> dict[str, Any]:
    return {"name": name, "namespace": "here", "uid": f"uid-{name}", "resourceVersion": "1"}


def test_the_signal_is_active_and_refused_and_a_share_of_the_headroom() -> None:
    world = World(headroom=3)
    busy, idle = world.pod("busy"), world.pod("idle")
    for at, refused in ((0, 100), (10, 104)):
        world.says(busy, at, 7, refused)
        world.says(idle, at, 1)
    assert world.wanted(10) == {"busy": "12500m", "idle": "2500m"}
    assert world.wanted(10, GATEWAY.active) == {"busy": "7", "idle": "1"}
    assert world.wanted(10, GATEWAY.capacity) == {"busy": "20", "idle": "20"}
    assert world.wanted(10, names.ASR_LOAD) == {}, "a metric of other pods"


@pytest.mark.parametrize(
    ("why", "changes"),
    [
        ("it ends", {"ends": True}),
        ("it failed", {"phase": "Failed"}),
        ("it has no address yet", {"phase": "Pending"}),
    ],
)
def test_such_a_pod_has_no_value_and_no_share(why: str, changes: dict[str, Any]) -> None:
    world = World(headroom=4)
    world.says(world.pod("serves"), 0, 1)
    gone = world.pod("gone", **changes)
    if changes.get("phase") != "Pending":
        world.says(gone, 0, 9)
    assert world.wanted() == {"serves": "5"}, why


def test_what_drains_or_is_silent_for_too_long_has_no_value_and_the_others_keep_the_headroom() -> None:
    world = World(headroom=6)
    serves, drains, silent = (world.pod(name) for name in ("serves", "drains", "silent"))
    world.says(silent, 0, 5)
    world.says(serves, 20, 1)
    world.says(drains, 20, 5, drains=True)
    assert world.wanted(20) == {"serves": "4", "silent": "8"}
    assert world.wanted(STALE + 1) == {"serves": "7"}, "withheld, and its share is not lost"
    assert world.wanted(99) == {}


def test_a_pod_of_a_model_that_left_keeps_no_room() -> None:
    world = World(headroom=6)
    world.says(world.pod("old", pool="gone"), 0, 2)
    world.says(world.pod("new", pool="en"), 0, 2)
    assert world.wanted(metric=names.ASR_LOAD) == {"old": "2", "new": "8"}


@given(
    active=st.lists(st.integers(0, 500), min_size=1, max_size=12),
    headroom=st.integers(0, 100),
    away=st.integers(0, 5),
)
def test_the_sum_is_all_sessions_and_the_whole_headroom_however_many_are_silent(
    active: list[int], headroom: int, away: int
) -> None:
    world = World(headroom)
    for number, sessions in enumerate(active):
        world.says(world.pod(f"pod-{number}"), 0, sessions)
    for number in range(away):
        world.pod(f"silent-{number}")
    values = world.loads.values(names.GATEWAY_LOAD, GATEWAY, world.loads.pods.everywhere(), 0)
    assert len(values) == len(active)
    assert sum(value.milli for value in values) / 1000 == pytest.approx(sum(active) + headroom, abs=0.001 * len(active))


# Counters at times, what was refused in the last minute at the end, and why.
REFUSALS: list[tuple[str, list[tuple[float, float]], float, float]] = [
    ("the first word only sets the mark", [(0, 500)], 0, 0),
    ("an increase", [(0, 5), (10, 8), (20, 9)], 20, 4),
    ("nothing before the last minute", [(0, 0), (10, 50), (50, 50), (75, 53)], 75, 3),
    ("a container that restarted counts from nothing", [(0, 500), (10, 3)], 10, 3),
    ("and goes on", [(0, 500), (10, 3), (20, 5)], 20, 5),
    ("what was counted in a long silence may be old", [(0, 5), (100, 900), (110, 901)], 110, 1),
    ("half of an increase lies within", [(0, 0), (20, 10), (70, 10)], 70, 5),
    ("without a new word it fades", [(0, 0), (10, 10)], 80, 0),
]


@pytest.mark.parametrize(("why", "counts", "now", "expected"), REFUSALS, ids=[row[0] for row in REFUSALS])
def test_refused_in_the_last_minute(why: str, counts: list[tuple[float, float]], now: float, expected: float) -> None:
    history = History()
    for at, value in counts:
        history.add(Sample(at, NOON, 0, 1, {"capacity": value}))
    assert history.refused(now) == pytest.approx(expected)


@given(
    steps=st.lists(st.tuples(st.floats(0.5, 40), st.integers(0, 50), st.booleans()), min_size=1, max_size=40),
)
def test_refusals_are_never_negative_nor_more_than_there_were(steps: list[tuple[float, int, bool]]) -> None:
    history, at, counter, truth = History(), 0.0, 0, []
    history.add(Sample(0, NOON, 0, 1, {"capacity": 0}))
    for pause, more, restarts in steps:
        at += pause
        counter = more if restarts else counter + more
        truth.append((at, more))
        history.add(Sample(at, NOON, 0, 1, {"capacity": counter}))
        assert 0 <= history.refused(at) <= sum(count for when, count in truth if when > at - WINDOW_SECONDS) + 1e-9


def test_a_history_keeps_little_more_than_a_window() -> None:
    history = History()
    for second in range(10_000):
        history.add(Sample(second, NOON, 0, 1))
    assert len(history._samples) <= WINDOW_SECONDS + 2


def test_only_refusals_that_another_pod_would_have_spared_are_demand() -> None:
    refused = {"capacity": 3, "budget": 1, "unauthorized": 40, "license_limit": 7, "recognizers": 5, "draining": 9}
    assert read_sample(gateway_text(1, refused=refused), GATEWAY, 0, NOON).refused == {"capacity": 3, "budget": 1}
    assert sum(read_sample(asr_text(1, refused={"full": 2, "unavailable": 9}), ASR, 0, NOON).refused.values()) == 2


def test_the_series_are_those_that_gateway_and_recogniser_export() -> None:
    registry = CollectorRegistry()
    gateway, asr = GatewayMetrics(registry), RecogniserMetrics(registry, 28)
    gateway.active.set(3)
    gateway.capacity.set(48)
    gateway.draining.set(1)
    gateway.refused.labels("capacity").inc(2)
    gateway.refused.labels("unauthorized").inc(5)
    asr.active.set(4)
    asr.draining.set(1)
    asr.refused.labels("full").inc(6)
    text = generate_latest(registry).decode()
    assert read_sample(text, GATEWAY, 1, NOON) == Sample(1, NOON, 3, 48, {"capacity": 2, "budget": 0}, draining=True)
    assert read_sample(text, ASR, 1, NOON) == Sample(1, NOON, 4, 28, {"full": 6}, draining=True)


@pytest.mark.parametrize(
    "text",
    ["", "streaming_gateway_sessions_active 1\n", gateway_text(-1), gateway_text(1).replace("8.0", "NaN"), "<html>"],
)
def test_what_is_no_count_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="streaming_gateway"):
        read_sample(text, GATEWAY, 0, NOON)


@given(st.text())
def test_any_text_is_a_sample_or_refused(text: str) -> None:
    for part in PARTS.values():
        for form in (text, gateway_text(1) + text, text + "\n" + asr_text(1)):
            with contextlib.suppress(ValueError):
                assert read_sample(form, part, 0, NOON).active >= 0


def test_for_keda_a_ready_pod_that_is_silent_stands_for_its_target() -> None:
    world = World(headroom=2)
    world.says(world.pod("a"), 0, 8)
    world.says(world.pod("b"), 0, 5)
    assert world.loads.demand(GATEWAYS, 0) == 15
    world.pod("silent")
    assert world.loads.demand(GATEWAYS, 0) == 25
    assert world.loads.demand(GATEWAYS, 0, target=4) == 19
    world.pod("starts", ready=False)
    world.pod("ends", ends=True)
    world.says(world.pod("drains"), 0, 9, drains=True)
    assert world.loads.demand(GATEWAYS, 0) == 25
    with pytest.raises(NoLoadKnownError, match="no asr pod of here/demo en"):
        world.loads.demand(POOL, 0)


def test_a_list_is_what_kubernetes_clients_read() -> None:
    world = World(headroom=1)
    world.says(world.pod("a"), 0, 1)
    world.says(world.pod("b"), 0, 2)
    values = world.loads.values(names.GATEWAY_LOAD, GATEWAY, world.loads.pods.of_namespace("here"), 0)
    found = metric_values(names.GATEWAY_LOAD, values)
    assert (found["kind"], found["apiVersion"]) == ("MetricValueList", "custom.metrics.k8s.io/v1beta2")
    assert found["items"][0] == {
        "describedObject": {"kind": "Pod", "namespace": "here", "name": "a", "apiVersion": "/v1"},
        "metric": {"name": names.GATEWAY_LOAD, "selector": None},
        "timestamp": "2026-01-01T12:00:00Z",
        "windowSeconds": 60,
        "value": "1500m",
    }


def test_pods_follow_what_watches_tell() -> None:
    world = World()
    first, second = world.pod("a"), world.pod("b", pool="en")
    pods = world.loads.pods
    assert [pod.name for pod in pods.of_group(POOL)] == ["b"]
    found, _ = read_pod(POD, msgspec.json.encode({"metadata": _metadata("a") | {"uid": "other"}}))
    pods.gone(POD, found, "other")
    assert pods.get("here", "a") == first, "another of its name went"
    pods.listed(POD, "elsewhere", set())
    assert len(pods) == 2
    pods.listed(POD, "here", {second.uid})
    assert [pod.name for pod in pods.everywhere()] == ["b"]
    assert pods.of_group(GATEWAYS) == []
    pods.listed(POD, None, set())
    assert len(pods) == 0


def test_a_pod_that_is_none_of_a_stacks_carries_nothing() -> None:
    for labels in ({}, {names.STACK: "demo"}, names.labels("demo", names.LICENSE_PROXY)):
        _, pod = read_pod(POD, msgspec.json.encode({"metadata": _metadata("x") | {"labels": labels}}))
        assert not pod.counts
