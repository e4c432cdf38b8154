"""Limits that hold over all gateways of a stack: two of them before one real licence proxy."""

import asyncio
import contextlib
import hashlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from gateway_process import gateway_process
from hypothesis import given
from hypothesis import strategies as st
from license_client.counts import Counts, OfKey, at_least
from license_client.shares import SharedCounts
from license_proxy_process import LicenseProxyProcess, license_proxy_process
from scripted_gateway import ENGLISH
from service_kit.http import serve_http
from stand_in_proxy import ready
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from streamingstack_bench.mounted_file import MountedFile
from streamingstack_bench.wire_client import wire_client

TOO_MANY = "Unauthorized Connection: Too many concurrent sessions"


def line(key: str, limits: str = "") -> str:
    return f"{hashlib.sha256(key.encode()).hexdigest()} {key}-tenant {limits}\n"


@contextlib.asynccontextmanager
async def two_gateways(
    stack: Any, folder: Path, keys: str, **claims: Any
) -> AsyncIterator[tuple[Any, Any, LicenseProxyProcess]]:
    """Two gateways with the same keys, and their licence proxy."""
    file = MountedFile(folder / "keys", "keys", keys)
    async with license_proxy_process(folder / "proxy", **claims) as proxy:
        usual = {"api_keys_file": file.path, "license_endpoint": proxy.url}
        async with stack(**usual) as one, stack(**usual) as two:
            await asyncio.gather(ready(one), ready(two))
            yield one, two, proxy


async def outcome(running: Any, key: str = "small") -> tuple[str, int | None]:
    """The first message: its type, and its code."""
    async with wire_client(running.url, key=key) as client:
        first = await client.next() or {}
        assert first.get("error", TOO_MANY).startswith(TOO_MANY)
        return first["type"], first.get("error_code")


async def refused(running: Any) -> float:
    """How many the gateway refused because of their key."""
    async with httpx2.AsyncClient() as http:
        lines = (await http.get(running.metrics)).text.splitlines()
    counted = 'streaming_gateway_sessions_refused_total{reason="key_sessions"} '
    return float(next(line for line in lines if line.startswith(counted)).split()[1])


async def until_begin(running: Any, key: str = "small") -> None:
    async with asyncio.timeout(5):
        while (await outcome(running, key))[0] != "Begin":
            await asyncio.sleep(0.05)


@pytest.mark.check(96)
async def test_the_sessions_of_a_key_are_counted_over_all_gateways(stack: Any, tmp_path: Path) -> None:
    keys = line("small", "max_sessions=2") + line("large")
    async with (
        two_gateways(stack, tmp_path, keys) as (one, two, _),
        wire_client(one.url, key="small") as first,
        wire_client(two.url, key="small") as second,
    ):
        for client in (first, second):
            assert (await client.next() or {})["type"] == "Begin"
        for running in (one, two):
            assert await outcome(running) == ("Error", 3009)
        assert (await outcome(one, "large"))[0] == "Begin"
        await first.terminate()
        await until_begin(two)
        await until_begin(one)


async def test_new_sessions_of_a_minute_are_counted_over_all_gateways(stack: Any, tmp_path: Path) -> None:
    async with two_gateways(stack, tmp_path, line("small", "max_new_per_minute=3")) as (one, two, _):
        kinds = [(await outcome(running))[0] for running in (one, two, one, two, one)]
    assert kinds == ["Begin", "Begin", "Begin", "Error", "Error"]


async def test_the_licences_sessions_are_counted_over_all_gateways(stack: Any, tmp_path: Path) -> None:
    async with (
        two_gateways(stack, tmp_path, line("any"), session_limit=2) as (one, two, _),
        wire_client(one.url, key="any") as first,
        wire_client(two.url, key="any") as second,
    ):
        for client in (first, second):
            assert (await client.next() or {})["type"] == "Begin"
        for running in (one, two):
            assert await outcome(running, "any") == ("Error", 3009)
        async with httpx2.AsyncClient() as http:
            assert 'refused_total{reason="license_limit"} 1.0' in (await http.get(two.metrics)).text
        await second.terminate()
        await until_begin(one, "any")


async def test_of_many_at_once_at_both_gateways_never_more_begin_than_may(stack: Any, tmp_path: Path) -> None:
    ended = asyncio.Event()

    async def one_client(running: Any) -> str:
        async with wire_client(running.url, key="small") as client:
            kind = str((await client.next() or {})["type"])
            await ended.wait()
            return kind

    async with two_gateways(stack, tmp_path, line("small", "max_sessions=5")) as (one, two, proxy):
        clients = [asyncio.create_task(one_client(running)) for running in (one, two) * 8]
        async with asyncio.timeout(30):
            while one.sessions + two.sessions + await refused(one) + await refused(two) < 16:
                assert one.sessions + two.sessions <= 5
                await asyncio.sleep(0.05)
        begun = one.sessions + two.sessions
        assert 0 < begun <= 5
        async with asyncio.timeout(10):  # who was refused is counted no more
            while await proxy.leased() != begun:
                await asyncio.sleep(0.05)
        ended.set()
        kinds = await asyncio.gather(*clients)
        assert kinds.count("Begin") == begun
        await asyncio.gather(one.is_empty(), two.is_empty())
        await until_begin(one)


async def test_without_the_proxy_each_gateway_keeps_to_its_last_share(stack: Any, tmp_path: Path) -> None:
    async with (
        two_gateways(stack, tmp_path, line("small", "max_sessions=3")) as (one, two, proxy),
        wire_client(one.url, key="small") as first,
        wire_client(two.url, key="small") as second,
    ):
        for client in (first, second):
            assert (await client.next() or {})["type"] == "Begin"
        assert (await outcome(one))[0] == "Begin", "so that it knows of the other's session"
        await proxy.kill()
        async with wire_client(one.url, key="small") as third:
            assert (await third.next() or {})["type"] == "Begin"
            assert await outcome(one) == ("Error", 3009)
            await proxy.start()
            async with asyncio.timeout(20):
                while await proxy.leased() < 3:
                    await asyncio.sleep(0.1)
            for running in (one, two):
                assert await outcome(running) == ("Error", 3009)


async def test_a_killed_gateway_gives_a_keys_last_place_back_within_half_a_minute(stack: Any, tmp_path: Path) -> None:
    file = MountedFile(tmp_path / "keys", "keys", line("small", "max_sessions=1"))
    async with (
        license_proxy_process(tmp_path / "proxy") as proxy,
        stack(api_keys_file=file.path, license_endpoint=proxy.url) as survivor,
    ):
        await ready(survivor)
        variables = {
            "AAI_ASR_ENDPOINT": f"127.0.0.1:{survivor.recogniser.port}",
            "GATEWAY_MODELS": json.dumps([ENGLISH]),
            "API_KEYS_FILE": str(file.path),
            "AAI_LICENSE_AND_USAGE_PROXY_ENDPOINT": proxy.url,
        }
        async with gateway_process(**variables) as victim:
            await until_verdict(victim.port)
            async with wire_client(f"ws://127.0.0.1:{victim.port}", key="small") as client:
                assert (await client.next() or {})["type"] == "Begin"
                assert await outcome(survivor) == ("Error", 3009)
                victim.process.kill()
                killed = time.monotonic()
                assert await outcome(survivor) == ("Error", 3009), "nobody knows yet that it is gone"
                async with asyncio.timeout(40):
                    while (await outcome(survivor))[0] != "Begin":
                        await asyncio.sleep(0.25)
        assert time.monotonic() - killed < 32


async def until_verdict(port: int) -> None:
    """Waits until a gateway knows of its licence."""
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http, asyncio.timeout(10):
        while (await http.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.05)


async def test_a_gateway_that_starts_while_the_proxy_is_away_counts_alone_until_it_is_back(
    stack: Any, tmp_path: Path
) -> None:
    """It was told of nobody yet: a key may have its limit there once more."""
    async with (
        two_gateways(stack, tmp_path, line("small", "max_sessions=1")) as (one, _, proxy),
        wire_client(one.url, key="small") as first,
    ):
        assert (await first.next() or {})["type"] == "Begin"
        await proxy.kill()
        # Its licence was checked by another proxy, which does not count.
        late = {"api_keys_file": tmp_path / "keys" / "keys", "lease_endpoint": proxy.url}
        async with stack(**late) as new, wire_client(new.url, key="small") as second:
            assert (await second.next() or {})["type"] == "Begin"
            assert await outcome(new) == ("Error", 3009)
            await proxy.start()
            async with asyncio.timeout(20):
                while await proxy.leased() < 2:
                    await asyncio.sleep(0.1)
            await second.terminate()
            assert await outcome(new) == ("Error", 3009), "it knows of the other one's now"


async def test_a_gateway_that_is_told_nothing_counts_alone(stack: Any, tmp_path: Path) -> None:
    """An older licence proxy has no such path."""
    file = MountedFile(tmp_path, "keys", line("small", "max_sessions=1"))

    async def nothing(_: Request) -> Response:
        return Response(status_code=404)

    app = Starlette(routes=[Route("/v1/leases", nothing, methods=["POST"])])
    async with serve_http(app, "127.0.0.1", 0) as port:
        settings = {"api_keys_file": file.path, "lease_endpoint": f"127.0.0.1:{port}"}
        async with stack(**settings) as running, wire_client(running.url, key="small") as client:
            assert (await client.next() or {})["type"] == "Begin"
            assert await outcome(running) == ("Error", 3009)


async def test_a_proxy_that_hangs_holds_up_begin_only_a_moment_and_once(stack: Any, tmp_path: Path) -> None:
    file = MountedFile(tmp_path, "keys", line("small", "max_sessions=9"))

    async def hang(_: Request) -> Response:
        await asyncio.sleep(5)
        return JSONResponse({})

    app = Starlette(routes=[Route("/v1/leases", hang, methods=["POST"])])
    async with serve_http(app, "127.0.0.1", 0) as port:
        settings = {"api_keys_file": file.path, "lease_endpoint": f"http://127.0.0.1:{port}"}
        async with stack(**settings) as running:
            for _ in range(3):
                since = time.monotonic()
                async with wire_client(running.url, key="small") as client:
                    assert (await client.next() or {})["type"] == "Begin"
                    assert time.monotonic() - since < 1
                    await asyncio.sleep(0.5)


def counts(sessions: int = 0, **keys: tuple[int, int]) -> Counts:
    of_keys = [OfKey(key=key, sessions=now, started=started) for key, (now, started) in keys.items()]
    return Counts(sessions=sessions, keys=of_keys)


async def test_a_proxy_that_has_just_begun_only_adds_to_what_is_known() -> None:
    answers = [
        {"settled": True, "others": counts(4, a=(2, 3)).model_dump()},
        {"settled": False, "others": counts(1, b=(1, 1)).model_dump()},
        {"settled": True, "others": counts(1, b=(1, 1)).model_dump()},
    ]
    told: list[dict[str, Any]] = []

    async def answer(request: Request) -> Response:
        told.append(await request.json())
        return JSONResponse(answers[len(told) - 1])

    app = Starlette(routes=[Route("/v1/leases", answer, methods=["POST"])])
    async with (
        serve_http(app, "127.0.0.1", 0) as port,
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        shares = SharedCounts(client, "me", lambda: counts(7, a=(1, 0)))
        seen = []
        for _ in answers:
            await shares.report()
            seen.append((shares.others.sessions, shares.others.of("a").sessions, shares.others.of("b").started))
    assert seen == [(4, 2, 0), (4, 2, 1), (1, 0, 1)]
    assert told[0] == {"holder": "me", "sessions": 7, "keys": [{"key": "a", "sessions": 1, "started": 0}]}


_COUNTS = st.builds(
    counts,
    st.integers(0, 9),
    a=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    b=st.tuples(st.integers(0, 9), st.just(0)),
)


@given(_COUNTS, _COUNTS)
def test_the_greater_of_two_counts_is_no_smaller_than_either(one: Counts, other: Counts) -> None:
    both = at_least(one, other)
    assert both.sessions == max(one.sessions, other.sessions)
    for key in ("a", "b", "c"):
        assert both.of(key).sessions == max(one.of(key).sessions, other.of(key).sessions)
        assert both.of(key).started == max(one.of(key).started, other.of(key).started)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"others": 7}', b'{"others": {"sessions": "many"}}'])
async def test_an_answer_that_is_none_changes_nothing(body: bytes) -> None:
    async def answer(_: Request) -> Response:
        return Response(body)

    app = Starlette(routes=[Route("/v1/leases", answer, methods=["POST"])])
    async with (
        serve_http(app, "127.0.0.1", 0) as port,
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        shares = SharedCounts(client, "me", Counts)
        await shares.report()
        assert shares.others == Counts()
