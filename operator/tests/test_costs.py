"""What a ReplicaSet is told of its pods' sessions, and how often."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import httpx2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sighted import body, deployment, pod
from streaming_operator import names
from streaming_operator.api_server import ApiServer
from streaming_operator.cache import Cache, Change
from streaming_operator.cost_writer import PATCHES_PER_SECOND, CostWriter
from streaming_operator.costs import cost_changes
from streaming_operator.kinds import DEPLOYMENT, POD, Key
from streaming_operator.metrics import OperatorMetrics
from streaming_operator.reading import Reading
from streaming_operator.seen import DELETION_COST, Metadata, Seen

DEMO = Key("speech", "demo")
TEMPLATE = "5d8f7c9b6"
COUNTS = st.integers(0, 60)


def made_by(workload: str, name: str, cost: int | None = None, component: str = names.GATEWAY, **parts: Any) -> Seen:
    """A pod as a Deployment's ReplicaSet makes it."""
    labels = names.labels("demo", component, parts.pop("model", None)) | {"pod-template-hash": TEMPLATE}
    owner = {"kind": "ReplicaSet", "name": f"{workload}-{TEMPLATE}", "uid": "rs", "apiVersion": "apps/v1"}
    annotations = {} if cost is None else {DELETION_COST: str(cost)}
    metadata = {"uid": name, "labels": labels, "ownerReferences": [owner], "annotations": annotations}
    return pod(name, component, metadata=metadata | parts.pop("metadata", {}), **parts)


def gateway(name: str, cost: int | None = None, **parts: Any) -> Seen:
    """One of the gateway's."""
    return made_by("demo-gateway", name, cost, **parts)


def told(was: int | None, active: int | None) -> list[int]:
    """The costs that are written on a pod with that annotation and so many sessions."""
    return [change.cost for change in cost_changes([("p", gateway("p", was), Reading(active=active))])]


@pytest.mark.parametrize(
    ("was", "active", "written"),
    [
        (None, 0, []),
        (None, 1, [1]),
        (0, 1, [1]),
        (1, 0, [0]),
        (40, 0, [0]),
        (1, 2, []),
        (2, 4, [4]),
        (8, 10, []),
        (8, 11, [11]),
        (20, 24, []),
        (20, 27, [27]),
        (27, 20, [20]),
        (5, None, []),
        # Somebody chose the pod that is to go first.
        (-1, 5, []),
        (-1, 0, []),
    ],
)
def test_a_cost_follows_sessions_to_and_from_zero_at_once_and_otherwise_where_it_is_far_off(
    was: int | None, active: int | None, written: list[int]
) -> None:
    assert told(was, active) == written


@given(COUNTS, COUNTS)
def test_what_was_written_is_not_written_again_and_is_never_far_off(was: int, active: int) -> None:
    (cost,) = told(was, active) or [was]
    assert told(cost, active) == []
    assert (cost == 0) == (active == 0)
    assert abs(cost - active) <= max(1, 0.25 * max(cost, active))


@given(st.lists(st.tuples(COUNTS, COUNTS), max_size=20))
def test_pods_that_are_taken_for_the_wrong_kind_come_first(counts: list[tuple[int, int]]) -> None:
    pods = [(f"p{n}", gateway(f"p{n}", was), Reading(active=now)) for n, (was, now) in enumerate(counts)]
    changes = sorted(cost_changes(pods), key=lambda change: change.urgency, reverse=True)
    wrong = [(change.was == 0) != (change.cost == 0) for change in changes]
    assert wrong == sorted(wrong, reverse=True)


@pytest.mark.parametrize(
    "seen",
    [
        gateway("p", metadata={"deletionTimestamp": "2026-01-02T03:30:00Z"}),
        made_by("demo-license-proxy", "p", component=names.LICENSE_PROXY),
        made_by("demo-lb", "p", component=names.LOAD_BALANCER),
    ],
)
def test_pods_that_end_and_parts_without_sessions_have_no_cost(seen: Seen) -> None:
    assert cost_changes([("p", seen, Reading(active=3))]) == []


def test_a_pod_that_does_not_answer_keeps_its_cost() -> None:
    assert cost_changes([("p", gateway("p", 7), None)]) == []


class Server:
    """What the writer does to pods, with the answers of an API server."""

    def __init__(self, refuse: Iterable[int] = ()) -> None:
        self.written: list[tuple[str, str, str]] = []
        self._refuse = iter(refuse)
        self.cache = Cache()
        self.readings: dict[str, Reading] = {}
        self.cache.put(DEMO, DEPLOYMENT, "demo-gateway", deployment())

    def add(self, name: str, active: int, seen: Seen | None = None) -> None:
        """A pod of the stack with so many sessions."""
        self.cache.put(DEMO, POD, name, seen or gateway(name))
        self.readings[name] = Reading(active=active)

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        """Takes a patch, or refuses it."""
        if (code := next(self._refuse, 0)) != 0:
            return httpx2.Response(code, json={"code": code, "message": "refused"})
        assert request.method == "PATCH"
        assert request.headers["content-type"] == "application/merge-patch+json"
        patch = json.loads(request.content)
        name = request.url.path.rpartition("/")[2]
        cost = patch["metadata"]["annotations"][DELETION_COST]
        self.written.append((name, patch["metadata"]["uid"], cost))
        now = body(POD, name)
        owner = {"kind": "ReplicaSet", "name": f"demo-gateway-{TEMPLATE}", "uid": "rs"}
        labels = now["metadata"]["labels"] | {"pod-template-hash": TEMPLATE}
        now["metadata"] |= patch["metadata"] | {"resourceVersion": "6", "labels": labels, "ownerReferences": [owner]}
        return httpx2.Response(200, json=now)

    def writer(self, metrics: OperatorMetrics | None = None) -> CostWriter:
        """A writer for it."""
        transport = httpx2.MockTransport(self.answer)
        api = ApiServer(httpx2.AsyncClient(transport=transport, base_url="https://api.example"))

        def sighted(_: object, metadata: Metadata, seen: Seen) -> None:
            self.cache.put(DEMO, POD, metadata.name, seen)

        return CostWriter(
            api, self.cache, lambda seen: self.readings.get(seen.uid), sighted, metrics or OperatorMetrics()
        )


async def test_what_was_written_is_known_at_once_and_not_written_again() -> None:
    server = Server()
    server.add("busy", 3)
    server.add("idle", 0)
    writer = server.writer()
    for _ in range(3):
        writer.taken(DEMO)
        await writer.write()
    assert server.written == [("busy", "busy", "3")]


async def test_no_second_has_more_than_its_share_and_the_rest_follows_by_urgency() -> None:
    server, metrics = Server(), OperatorMetrics()
    for number in range(25):
        server.add(f"p{number}", number + 1)
    for number in range(25, 30):  # off, but not taken for idle
        server.add(f"p{number}", 40, gateway(f"p{number}", 10))
    writer = server.writer(metrics)
    writer.taken(DEMO)
    counts, due = [], []
    for _ in range(4):
        counts.append(await writer.write())
        due.append(metrics.registry.get_sample_value("streaming_operator_deletion_costs_due"))
    assert counts == [PATCHES_PER_SECOND] * 3 + [0]
    assert due == [20, 10, 0, 0]
    assert [cost for _, _, cost in server.written[:25]] == [str(n) for n in range(25, 0, -1)]


@pytest.mark.parametrize(
    "stranger",
    [
        pod("stranger", metadata={"uid": "stranger"}),
        made_by("theirs", "stranger"),
        # A pool's name, and the gateway's labels.
        made_by("demo-asr-en", "stranger"),
    ],
)
async def test_a_pod_that_is_only_labelled_as_ours_is_left_alone(stranger: Seen) -> None:
    server = Server()
    server.cache.put(DEMO, DEPLOYMENT, "demo-asr-en", deployment("demo-asr-en", names.ASR, "en"))
    server.add("stranger", 5, stranger)
    writer = server.writer()
    writer.taken(DEMO)
    assert await writer.write() == 0
    assert server.written == []


def _deployment_of_nobody() -> Seen:
    return deployment(metadata={"ownerReferences": [], "generation": 1, "resourceVersion": "6"})


async def test_pods_of_a_deployment_that_is_not_the_stacks_are_left_alone() -> None:
    server = Server()
    server.cache.put(DEMO, DEPLOYMENT, "demo-gateway", _deployment_of_nobody())
    server.add("p", 5)
    writer = server.writer()
    writer.taken(DEMO)
    assert await writer.write() == 0


@pytest.mark.parametrize("code", [404, 409, 422])
async def test_a_pod_that_is_gone_holds_up_no_other(code: int) -> None:
    server = Server(refuse=[code])
    server.add("gone", 9)
    server.add("there", 3)
    writer = server.writer()
    writer.taken(DEMO)
    assert await writer.write() == 1
    assert server.written == [("there", "there", "3")]


async def test_a_missing_right_ends_nothing_is_told_once_and_tried_again_later(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("streaming_operator.cost_writer.REFUSED_SECONDS", 0.05)
    server = Server(refuse=[403])
    for number in range(5):
        server.add(f"p{number}", number + 1)
    writer = server.writer()
    writer.taken(DEMO)
    task = asyncio.create_task(writer.run())
    async with asyncio.timeout(10):
        while len(server.written) < 5:
            await asyncio.sleep(0.01)
    task.cancel()
    assert {name for name, _, _ in server.written} == {f"p{n}" for n in range(5)}
    assert capsys.readouterr().out.count("cannot be written") == 1


def test_a_cost_alone_calls_for_no_reconcile() -> None:
    cache = Cache()
    cache.put(DEMO, POD, "p", gateway("p"))
    assert cache.put(DEMO, POD, "p", gateway("p", 5, metadata={"resourceVersion": "6"})) is Change.NOTHING


def test_the_patch_lands_on_no_other_pod_of_that_name() -> None:
    (change,) = cost_changes([("p", gateway("p"), Reading(active=2))])
    assert msgspec.json.decode(msgspec.json.encode(change.patch()))["metadata"] == {
        "uid": "p",
        "annotations": {DELETION_COST: "2"},
    }
