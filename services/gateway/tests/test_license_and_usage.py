"""Licence verdicts and usage events against a licence proxy over HTTP: its answers, its silence, its return."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from service_kit.http import serve_http
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from streaming_gateway.app import _keep_up
from streaming_gateway.license import LicenseTerms, LicenseView, ProxiedLicense, ProxyStatus
from streaming_gateway.metrics import GatewayMetrics
from streaming_gateway.usage import UsageReporter, refused_events
from streaming_gateway.usage_spool import UsageEvent, UsageSpool
from streamingstack_bench.wire_client import wire_client

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NAMES = {"universal-streaming-english", "en-default"}


@dataclass
class Proxy:
    """A licence proxy that says what a test wants; `usage` keeps the winning event of each session."""

    state: str = "Ready"
    trust_expiration: str | None = None
    session_limit: int | None = None
    models: Any = "*"
    away: bool = False
    most_named: int = 10
    puzzled: bool = False
    usage: dict[str, dict[str, Any]] = field(default_factory=dict)
    url: str = ""

    async def status(self, _: Request) -> Response:
        body = {"state": self.state, "last_successful_checkin": None, "trust_expiration": self.trust_expiration}
        return self._unless_away(body)

    async def terms(self, _: Request) -> Response:
        return self._unless_away({"customer": "c", "models": self.models, "session_limit": self.session_limit})

    async def take(self, request: Request) -> Response:
        events = (await request.json())["events"]
        wrong = [f"events[{index}].model" for index, event in enumerate(events) if " " in event["model"]]
        if self.puzzled:
            return JSONResponse({"detail": "events[0] is not to my taste"}, status_code=422)
        if wrong and not self.away:  # the whole batch, as the licence proxy does
            fields = [{"field": field, "problem": "no spaces"} for field in wrong[: self.most_named]]
            return JSONResponse({"error": "; ".join(wrong), "fields": fields}, status_code=422)
        if not self.away:
            for event in events:
                known = self.usage.get(event["session_id"], {"sequence": -1})
                if event["sequence"] > known["sequence"]:
                    self.usage[event["session_id"]] = event
        return self._unless_away({"accepted": len(events)})

    def _unless_away(self, body: dict[str, Any]) -> Response:
        return Response(status_code=503) if self.away else JSONResponse(body)


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    made = Proxy()
    routes = [
        Route("/v1/status", made.status),
        Route("/v1/license", made.terms),
        Route("/v1/usage", made.take, methods=["POST"]),
    ]
    async with serve_http(Starlette(routes=routes), "127.0.0.1", 0) as port:
        made.url = f"http://127.0.0.1:{port}"
        yield made


async def ready(running: Any) -> None:
    async with asyncio.timeout(10):
        while not running.running.gateway.ready:
            await asyncio.sleep(0.02)


async def outcome(url: str) -> tuple[str, str]:
    """The first message's type and its error text."""
    async with wire_client(url) as client:
        first = await client.next() or {}
        return first["type"], first.get("error", "")


def view(state: Any = "Ready", **more: Any) -> LicenseView:
    of_terms = more.keys() & LicenseTerms.model_fields.keys()
    terms = LicenseTerms(**{key: more.pop(key) for key in of_terms})
    return LicenseView(ProxyStatus(state=state, **more), terms, NOW)


@pytest.mark.parametrize(
    ("seen", "hours", "sessions", "code"),
    [
        (LicenseView(), 0, 0, 1008),
        (view("Ready"), 0, 0, None),
        (view("Connected"), 0, 0, None),
        (view("TrustBased", trust_expiration=NOW + timedelta(hours=5)), 4, 0, None),
        (view("TrustBased", trust_expiration=NOW + timedelta(hours=5)), 5, 0, 1008),
        (view("Failed"), 0, 0, 1008),
        (view("Ready"), 0.9, 0, None),
        (view("Ready"), 1, 0, 1008),
        (view("Ready", trust_window_seconds=7200), 1.9, 0, None),
        (view("Ready", trust_window_seconds=7200), 2, 0, 1008),
        (view("Ready", trust_window_seconds=7200, expires_at=NOW + timedelta(hours=1)), 0.9, 0, None),
        (view("Ready", trust_window_seconds=7200, expires_at=NOW + timedelta(hours=1)), 1, 0, 1008),
        (view("Ready", session_limit=2), 0, 1, None),
        (view("Ready", session_limit=2), 0, 2, 3009),
        (view("Ready", models=["*"]), 0, 0, None),
        (view("Ready", models=["en-default"]), 0, 0, None),
        (view("Ready", models=["universal-3-5-pro"]), 0, 0, 1008),
    ],
)
def test_a_verdict_holds_while_it_is_trusted(seen: LicenseView, hours: float, sessions: int, code: int | None) -> None:
    refusal = seen.refusal(NOW + timedelta(hours=hours), NAMES, sessions)
    assert (refusal.code if refusal else None) == code


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (view("Failed"), "license not valid"),
        (view("Ready", expires_at=NOW + timedelta(hours=1)), "license not valid"),
        (view("Ready"), "license cannot be checked"),
        (LicenseView(), "license not checked yet"),
    ],
)
def test_the_client_is_told_whether_the_licence_or_its_proxy_is_at_fault(seen: LicenseView, told: str) -> None:
    refusal = seen.refusal(NOW + timedelta(hours=2), NAMES, 0)
    assert refusal
    assert refusal.text == f"Unauthorized Connection: {told}"


def test_a_licence_that_is_used_up_is_a_shortage_of_its_own() -> None:
    refusal = view("Ready", session_limit=2).refusal(NOW, NAMES, 2)
    assert refusal
    assert refusal.kind == "license_limit", "more gateways would not help"


async def test_a_failed_licence_refuses_new_sessions_and_ends_no_live_one(
    stack: Any, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming_gateway.license.POLL_SECONDS", 0.05)
    async with stack(license_endpoint=proxy.url) as running:
        await ready(running)
        async with wire_client(running.url) as live:
            await live.next()
            proxy.state = "Failed"
            async with asyncio.timeout(10):
                while (await outcome(running.url))[0] == "Begin":
                    await asyncio.sleep(0.05)
            assert await outcome(running.url) == ("Error", "Unauthorized Connection: license not valid")
            await live.audio(6000)
            assert await live.terminate() == (1000, "Session Ended")
        assert live.finals == ["hello there this is a test", "done"]


async def test_before_any_verdict_nobody_is_let_in_and_a_proxy_that_goes_changes_nothing(
    stack: Any, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming_gateway.license.POLL_SECONDS", 0.05)
    proxy.away = True
    async with stack(license_endpoint=proxy.url) as running, httpx2.AsyncClient(base_url=running.http) as http:
        assert (await outcome(running.url))[1] == "Unauthorized Connection: license not checked yet"
        assert (await http.get("/readyz")).status_code == 503
        proxy.away = False
        await ready(running)
        proxy.away = True
        await asyncio.sleep(0.2)
        assert (await outcome(running.url))[0] == "Begin"
        assert (await http.get("/readyz")).status_code == 200


async def test_usage_is_reported_when_a_session_ends_with_its_audio(stack: Any, proxy: Proxy, tmp_path: Path) -> None:
    async with stack(license_endpoint=proxy.url, spool_dir=tmp_path) as running:
        await ready(running)
        async with wire_client(running.url) as client:
            await client.audio(6000)
            await client.terminate()
        async with asyncio.timeout(10):
            while not proxy.usage:
                await asyncio.sleep(0.05)
    (event,) = proxy.usage.values()
    assert event["session_id"] == client.messages[0]["id"]
    assert (event["audio_ms"], event["ended"], event["tenant"]) == (6000, True, "open")
    assert event["model"] == "universal-streaming-english"
    assert datetime.fromisoformat(event["started_at"]).tzinfo is not None


async def test_usage_waits_on_disk_while_the_proxy_is_away_also_over_a_restart(
    stack: Any, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming_gateway.usage.FLUSH_SECONDS", 0.1)
    settings = {"license_endpoint": proxy.url, "spool_dir": tmp_path}
    async with stack(**settings) as running:
        await ready(running)
        for _ in range(3):
            async with wire_client(running.url) as client:
                await client.audio(1000)
                proxy.away = True
                await client.terminate()
    assert proxy.usage == {}
    proxy.away = False
    async with stack(**settings), asyncio.timeout(10):
        while len(proxy.usage) < 3:
            await asyncio.sleep(0.05)
    assert [event["audio_ms"] for event in proxy.usage.values()] == [1000] * 3


async def test_a_full_spool_refuses_new_sessions_until_it_is_delivered(
    stack: Any, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming_gateway.usage.FLUSH_SECONDS", 0.05)
    async with stack(license_endpoint=proxy.url, spool_dir=tmp_path, spool_sessions=1) as running:
        await ready(running)
        proxy.away = True
        async with wire_client(running.url) as client:
            await client.terminate()
        async with asyncio.timeout(10):
            while (await outcome(running.url))[0] == "Begin":
                await asyncio.sleep(0.05)
            assert (await outcome(running.url))[1] == "Unauthorized Connection: usage cannot be recorded"
            proxy.away = False
            while (await outcome(running.url))[0] == "Error":
                await asyncio.sleep(0.05)


def event(session: str, sequence: int, *, ended: bool = False, model: str = "m") -> UsageEvent:
    return UsageEvent(session, sequence, sequence * 100, sequence * 100, model, "t", NOW.isoformat(), ended)


def reporter(spool: UsageSpool, client: httpx2.AsyncClient, registry: CollectorRegistry | None = None) -> UsageReporter:
    return UsageReporter(spool, client, list, GatewayMetrics(registry or CollectorRegistry()).usage_refused)


async def test_usage_that_the_proxy_refuses_is_set_aside_and_holds_up_no_other(
    proxy: Proxy, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    proxy.most_named = 2
    spool, registry = UsageSpool(tmp_path, 100), CollectorRegistry()
    good, bad = [f"good{number}" for number in range(5)], [f"bad{number}" for number in range(5)]
    async with httpx2.AsyncClient(base_url=proxy.url) as client:
        reports = reporter(spool, client, registry)
        for one, other in zip(good, bad, strict=True):
            reports.ended(event(other, 1, ended=True, model="no such"))
            reports.ended(event(one, 1, ended=True))
        await reports.flush()
        assert sorted(proxy.usage) == good
        assert spool.oldest(10) == []
        assert (spool.refused(), spool.size()) == (5, 5)
        assert registry.get_sample_value("streaming_gateway_usage_refused_sessions") == 5
        reports.ended(event("bad0", 2, ended=True))
        reports.ended(event("good5", 1, ended=True))
        await reports.flush()
        assert sorted(proxy.usage) == ["bad0", *good, "good5"], "a newer event is offered again, and then wins"
        assert spool.refused() == 4
    logged = "".join(capfd.readouterr())
    assert "events[0].model" in logged
    assert "no such" not in logged
    assert UsageSpool(tmp_path, 100).refused() == 4, "over a restart too"


async def test_a_422_that_names_no_event_keeps_the_usage(proxy: Proxy) -> None:
    proxy.puzzled = True
    spool = UsageSpool(None, 10)
    async with httpx2.AsyncClient(base_url=proxy.url) as client:
        reports = reporter(spool, client)
        reports.ended(event("a", 1, ended=True))
        await reports.flush()
        assert (len(spool.oldest(10)), spool.refused()) == (1, 0)
        proxy.puzzled = False
        await reports.flush()
    assert list(proxy.usage) == ["a"]


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        ('{"error": "", "fields": [{"field": "events[1].audio_ms", "problem": ""}]}', {1: "audio_ms"}),
        ('{"fields": [{"field": "events[1].model"}, {"field": "events[1].audio_ms"}, {"field": "events[0]"}]}',
         {1: "model", 0: ""}),
        ('{"fields": [{"field": "events[2].model"}, {"field": "events"}, {"field": "body"}]}', {}),
        ('{"fields": [{"field": "events[0].Words that were spoken"}]}', {0: ""}),
        ('{"fields": [{"field": "events[99999999999999999999]"}]}', {}),
        ('{"fields": [7]}', {}),
        ("[]", {}),
        ("", {}),
        ("\ud800".encode("utf-8", "surrogatepass"), {}),
    ],
)  # fmt: skip
def test_of_a_refusal_only_the_places_of_events_are_read(answer: str | bytes, named: dict[int, str]) -> None:
    assert refused_events(answer if isinstance(answer, bytes) else answer.encode(), 2) == named


def test_a_session_that_a_killed_process_left_open_is_closed(tmp_path: Path) -> None:
    first = UsageSpool(tmp_path, 10)
    first.write([event("a", 3), event("b", 2, ended=True)])
    again = UsageSpool(tmp_path, 10)
    assert again.close_left_open() == 1
    assert {(e.session_id, e.sequence, e.audio_ms, e.ended) for e in again.oldest(10)} == {
        ("a", 4, 300, True),
        ("b", 2, 200, True),
    }


class Speaking:
    """A session that goes on."""

    sequence = 0

    def usage(self) -> UsageEvent:
        self.sequence += 1
        return event("live", self.sequence)


async def test_work_that_failed_and_is_begun_anew_ends_no_live_session(proxy: Proxy, tmp_path: Path) -> None:
    left = UsageSpool(tmp_path, 10)
    left.write([event("of the process before", 7)])
    left.close()
    proxy.away = True
    spool, live, failed = UsageSpool(tmp_path, 10), Speaking(), 0

    def sessions() -> list[Speaking]:
        nonlocal failed
        if live.sequence == 2:
            failed += 1
            raise RuntimeError("unforeseen")
        return [live]

    async with httpx2.AsyncClient(base_url=proxy.url) as client:
        reports = UsageReporter(spool, client, sessions, GatewayMetrics(CollectorRegistry()).usage_refused)
        with pytest.MonkeyPatch.context() as quick:
            quick.setattr("streaming_gateway.usage.FLUSH_SECONDS", 0.02)
            quick.setattr("streaming_gateway.app._AGAIN_SECONDS", 0.02)
            working = asyncio.create_task(_keep_up(reports.run))
            async with asyncio.timeout(10):
                while failed < 3:
                    await asyncio.sleep(0.01)
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
    kept = {one.session_id: (one.sequence, one.ended) for one in spool.oldest(10)}
    assert kept == {"of the process before": (8, True), "live": (2, False)}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=30))
def test_what_comes_while_a_batch_is_delivered_is_not_forgotten(steps: list[tuple[str, bool]]) -> None:
    spool, sequences, delivered = UsageSpool(None, 10), dict.fromkeys("abc", 0), dict.fromkeys("abc", 0)
    for name, deliver in steps:
        batch = spool.oldest(10)
        sequences[name] += 1
        spool.write([event(name, sequences[name])])
        if deliver:
            spool.forget(batch)
            delivered.update({sent.session_id: sent.sequence for sent in batch})
    left = {kept.session_id: kept.sequence for kept in spool.oldest(10)}
    assert {name: max(delivered[name], left.get(name, 0)) for name in "abc"} == sequences
    spool.close()


async def test_a_spool_that_cannot_be_written_keeps_usage_in_memory_and_recovers(proxy: Proxy, tmp_path: Path) -> None:
    spool = UsageSpool(tmp_path, 10)
    async with httpx2.AsyncClient(base_url=proxy.url) as client:
        reports = reporter(spool, client)
        spool._database.execute("PRAGMA query_only = 1")
        reports.ended(event("a", 1, ended=True))
        await reports.flush()
        assert proxy.usage == {}
        spool._database.execute("PRAGMA query_only = 0")
        await reports.flush()
    assert list(proxy.usage) == ["a"]


@pytest.mark.parametrize("body", ["", "{", '{"state": "Unheard"}', "[]"])
async def test_an_answer_that_is_none_is_no_verdict(body: str) -> None:
    async def answer(_: Request) -> Response:
        return Response(body, media_type="application/json")

    app = Starlette(routes=[Route("/v1/status", answer), Route("/v1/license", answer)])
    async with (
        serve_http(app, "127.0.0.1", 0) as port,
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        license_ = ProxiedLicense(client)
        await license_.look()
    assert not license_.checked
    assert license_.refusal(NAMES, 0) is not None
