"""Verdicts on the licence, and what a gateway makes of the proxy's answers and silence."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from license_client.license import LicenseTerms, LicenseView, ProxiedLicense, ProxyStatus
from service_kit.http import serve_http
from stand_in_proxy import Proxy, outcome, ready
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from streamingstack_bench.wire_client import wire_client

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NAMES = {"universal-streaming-english", "en-default"}


def view(state: Any = "Ready", **more: Any) -> LicenseView:
    of_terms = more.keys() & LicenseTerms.model_fields.keys()
    terms = LicenseTerms(**{key: more.pop(key) for key in of_terms})
    return LicenseView(ProxyStatus(state=state, **more), terms, NOW)


@pytest.mark.parametrize(
    ("seen", "hours", "sessions", "exhausted"),
    [
        (LicenseView(), 0, 0, False),
        (view("Ready"), 0, 0, None),
        (view("Connected"), 0, 0, None),
        (view("TrustBased", trust_expiration=NOW + timedelta(hours=5)), 4, 0, None),
        (view("TrustBased", trust_expiration=NOW + timedelta(hours=5)), 5, 0, False),
        (view("Failed"), 0, 0, False),
        (view("Ready"), 0.9, 0, None),
        (view("Ready"), 1, 0, False),
        (view("Ready", trust_window_seconds=7200), 1.9, 0, None),
        (view("Ready", trust_window_seconds=7200), 2, 0, False),
        (view("Ready", trust_window_seconds=7200, expires_at=NOW + timedelta(hours=1)), 0.9, 0, None),
        (view("Ready", trust_window_seconds=7200, expires_at=NOW + timedelta(hours=1)), 1, 0, False),
        (view("Ready", session_limit=2), 0, 1, None),
        (view("Ready", session_limit=2), 0, 2, True),
        (view("Ready", models=["*"]), 0, 0, None),
        (view("Ready", models=["en-default"]), 0, 0, None),
        (view("Ready", models=["universal-3-5-pro"]), 0, 0, False),
    ],
)
def test_a_verdict_holds_while_it_is_trusted(
    seen: LicenseView, hours: float, sessions: int, exhausted: bool | None
) -> None:
    refusal = seen.refusal(NOW + timedelta(hours=hours), NAMES, sessions)
    assert (refusal.exhausted if refusal else None) == exhausted


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
    assert refusal.reason == told


async def test_a_licence_that_is_used_up_is_a_shortage_of_its_own(stack: Any, proxy: Proxy) -> None:
    proxy.session_limit = 0
    async with stack(license_endpoint=proxy.url) as running:
        await ready(running)
        kind, text = await outcome(running.url)
        assert (kind, "Too many concurrent sessions" in text) == ("Error", True)
        async with httpx2.AsyncClient() as client:
            page = (await client.get(running.metrics)).text
        assert 'refused_total{reason="license_limit"} 1.0' in page, "more gateways would not help"


async def test_a_failed_licence_refuses_new_sessions_and_ends_no_live_one(
    stack: Any, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("license_client.license.POLL_SECONDS", 0.05)
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
    monkeypatch.setattr("license_client.license.POLL_SECONDS", 0.05)
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
