"""What the pods tell at this moment, asked through an API server: a real one over HTTP, with chosen answers."""

import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from streaming_operator import names
from streamingstack_cli.cluster.api import Cluster
from streamingstack_cli.cluster.live_counts import LiveCounts, live_counts
from streamingstack_cli.cluster.stacks import Load

PODS = "/api/v1/namespaces/speech/pods"
SILENT = object()


def pod(name: str, component: str, model: str | None = None, phase: str = "Running", **metadata: Any) -> dict[str, Any]:
    labels = names.labels("demo", component, model)
    return {
        "metadata": {"name": name, "namespace": "speech", "labels": labels, **metadata},
        "status": {"phase": phase},
    }


def metrics(what: str, active: int, capacity: int | None = None) -> str:
    told = "" if capacity is None else f"{what}_capacity {capacity}\n"
    return f"# TYPE {what}_active gauge\n{what}_active {active}.0\n{told}"


def sessions(active: int, capacity: int | None = None) -> str:
    return metrics("streaming_gateway_sessions", active, capacity)


def streams(active: int, capacity: int | None = None) -> str:
    return metrics("streaming_asr_streams", active, capacity)


@dataclass
class Answers:
    """Of the API server: its pods, and what each tells; a number is an HTTP status."""

    pods: list[dict[str, Any]] | int = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def of(self, path: str, query: dict[str, list[str]]) -> tuple[int, str]:
        self.asked.append(path)
        if path == PODS:
            if isinstance(self.pods, int):
                return self.pods, json.dumps({"message": "no"})
            assert query["labelSelector"] == [f"{names.INSTANCE}=demo"]
            return 200, json.dumps({"items": self.pods})
        name = path.removeprefix(f"{PODS}/").removesuffix("/proxy/metrics")
        found = self.told.get(name.removesuffix(":9090"), 503)
        if found is SILENT:
            time.sleep(4)
            return 504, ""
        return (found, "") if isinstance(found, int) else (200, found)


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def server(answers: Answers) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            code, text = answers.of(parts.path, parse_qs(parts.query))
            self.send_response(code)
            self.send_header("Content-Type", "application/json" if parts.path == PODS else "text/plain")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()


@pytest.fixture
async def cluster(server: str) -> AsyncIterator[Cluster]:
    async with httpx2.AsyncClient(base_url=server, trust_env=False) as http:
        yield Cluster(server, "speech", http)


async def test_sessions_add_up_over_gateways_and_streams_over_the_pods_of_each_model(
    cluster: Cluster, answers: Answers
) -> None:
    answers.pods = [
        pod("g1", names.GATEWAY),
        pod("g2", names.GATEWAY),
        pod("a1", names.ASR, "en"),
        pod("a2", names.ASR, "en"),
        pod("m1", names.ASR, "ml"),
    ]
    answers.told = {
        "g1": sessions(3, 48), "g2": sessions(4, 48), "a1": streams(2, 28), "a2": streams(5, 28), "m1": streams(0, 20),
    }  # fmt: skip
    found = await live_counts(cluster, "speech", "demo")
    assert found == (Load(7, 96), {"en": Load(7, 56), "ml": Load(0, 20)})


async def test_only_pods_that_take_load_are_asked(cluster: Cluster, answers: Answers) -> None:
    answers.pods = [
        pod("g1", names.GATEWAY),
        pod("draining", names.GATEWAY, deletionTimestamp="2026-01-02T03:04:05Z"),
        pod("pending", names.GATEWAY, phase="Pending"),
        pod("lb", names.LOAD_BALANCER),
        pod("proxy", names.LICENSE_PROXY),
    ]
    answers.told = {"g1": sessions(3, 48)}
    assert await live_counts(cluster, "speech", "demo") == (Load(3, 48), {})
    assert answers.asked == [PODS, f"{PODS}/g1:9090/proxy/metrics"]


@pytest.mark.parametrize(
    "says",
    [503, 403, "", "streaming_gateway_sessions_capacity 48\n", SILENT],
    ids=["503", "403", "nothing", "no sessions", "silent"],
)
async def test_a_pod_that_does_not_say_holds_up_no_other(cluster: Cluster, answers: Answers, says: Any) -> None:
    answers.pods = [pod("g1", names.GATEWAY), pod("g2", names.GATEWAY)]
    answers.told = {"g1": says, "g2": sessions(4, 48)}
    assert await live_counts(cluster, "speech", "demo") == (Load(4, 48, silent=1), {})


async def test_a_part_of_which_no_pod_says_has_no_count_and_the_others_have(cluster: Cluster, answers: Answers) -> None:
    answers.pods = [pod("g1", names.GATEWAY), pod("a1", names.ASR, "en"), pod("m1", names.ASR, "ml")]
    answers.told = {"g1": 403, "a1": streams(2, 28), "m1": 503}
    assert await live_counts(cluster, "speech", "demo") == (None, {"en": Load(2, 28)})


@pytest.mark.parametrize("pods", [403, 500, []], ids=str)
async def test_without_pods_there_is_nothing_to_tell(cluster: Cluster, answers: Answers, pods: Any) -> None:
    answers.pods = pods
    assert await live_counts(cluster, "speech", "demo") == (None, {})


async def test_walls_are_tried_again_only_after_a_while(cluster: Cluster, answers: Answers) -> None:
    answers.pods = [pod("g1", names.GATEWAY)]
    now = 100.0
    counts = LiveCounts(lambda: now)
    assert await counts.of(cluster, "speech", "demo") == (None, {})
    asked = len(answers.asked)
    now += 59
    assert await counts.of(cluster, "speech", "demo") == (None, {})
    assert len(answers.asked) == asked
    answers.told = {"g1": sessions(1, 48)}
    now += 2
    for _ in range(2):
        assert await counts.of(cluster, "speech", "demo") == (Load(1, 48), {})
    assert len(answers.asked) == asked + 4
