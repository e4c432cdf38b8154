"""Usage events on their way to the licence proxy: on disk, refused, interrupted, delivered."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from license_client.usage import UsageReporter, refused_events
from license_client.usage_spool import UsageEvent, UsageSpool
from prometheus_client import CollectorRegistry
from service_kit.background import in_background
from stand_in_proxy import Proxy, outcome, ready
from streaming_gateway.metrics import GatewayMetrics
from streamingstack_bench.wire_client import wire_client

NOW = datetime(2026, 6, 1, tzinfo=UTC)


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
    for pause in ("WRITE_SECONDS", "DELIVER_SECONDS"):
        monkeypatch.setattr(f"license_client.usage.{pause}", 0.1)
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
    for pause in ("WRITE_SECONDS", "DELIVER_SECONDS"):
        monkeypatch.setattr(f"license_client.usage.{pause}", 0.05)
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
            for pause in ("WRITE_SECONDS", "DELIVER_SECONDS"):
                quick.setattr(f"license_client.usage.{pause}", 0.02)
            quick.setattr("service_kit.background._AGAIN_SECONDS", 0.02)
            async with in_background(reports.run), asyncio.timeout(10):
                while failed < 3:
                    await asyncio.sleep(0.01)
    kept = {one.session_id: (one.sequence, one.ended) for one in spool.oldest(10)}
    assert kept == {"of the process before": (8, True), "live": (2, False)}


async def test_a_proxy_that_hangs_holds_up_no_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed container loses is what it had not written: seconds, however long a delivery takes."""
    monkeypatch.setattr("license_client.usage.WRITE_SECONDS", 0.02)
    asked = asyncio.Event()

    async def hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await ended.wait()
        writer.close()

    ended = asyncio.Event()
    spool, live = UsageSpool(tmp_path, 10), Speaking()
    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        reports = UsageReporter(spool, client, lambda: [live], GatewayMetrics(CollectorRegistry()).usage_refused)
        async with in_background(reports.run), asyncio.timeout(10):
            await asked.wait()
            before = spool.oldest(1)[0].sequence
            while spool.oldest(1)[0].sequence < before + 3:
                await asyncio.sleep(0.01)
            assert asked.is_set()
        ended.set()


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
