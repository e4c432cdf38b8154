"""Tokens that open one session: of all who come with one, at whichever gateway and in whatever time, one gets in."""

import asyncio
import contextlib
import hashlib
import json
import signal
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from license_proxy_process import LicenseProxyProcess, license_proxy_process
from service_kit.http import serve_http
from stand_in_proxy import ready
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from streaming_gateway.problems import Problem
from streaming_gateway.token_uses import SpentAtProxy, SpentHere
from streaming_gateway.tokens import Token, issue_token
from streamingstack_bench.mounted_file import MountedFile
from streamingstack_bench.wire_client import wire_client

SECRET = "0123456789abcdef0123456789abcdef"
BEGIN = (None, "Begin")
USED = (1008, "Unauthorized Connection: Token was used already")
UNCHECKED = (3005, "Session Cancelled: Tokens cannot be checked now; try again with a new token")
Outcome = tuple[int | None, str]


@dataclass
class Site:
    """The files that all gateways of a stack have."""

    folder: Path
    limits: str = ""

    def __post_init__(self) -> None:
        line = f"{hashlib.sha256(b'key').hexdigest()} team {self.limits}\n"
        self._keys = MountedFile(self.folder / "k", "keys", line)
        self._secret = MountedFile(self.folder / "s", "token-secret", SECRET)

    def settings(self, **more: Any) -> dict[str, Any]:
        files = {"api_keys_file": self._keys.path, "token_secret_file": self._secret.path}
        return {**files, "single_use_tokens": True, **more}


@contextlib.asynccontextmanager
async def two_gateways(stack: Any, folder: Path, **more: Any) -> AsyncIterator[tuple[Any, Any, LicenseProxyProcess]]:
    """Two gateways of one stack, and the licence proxy that both tell."""
    async with license_proxy_process(folder / "proxy") as proxy:
        settings = Site(folder).settings(license_endpoint=proxy.url, **more)
        async with stack(**settings) as one, stack(**settings) as two:
            await asyncio.gather(ready(one), ready(two))
            yield one, two, proxy


async def token_of(running: Any) -> str:
    async with httpx2.AsyncClient(base_url=running.http, headers={"Authorization": "key"}) as http:
        return str((await http.get("/v3/token?expires_in_seconds=60")).json()["token"])


async def outcome(running: Any, **credentials: Any) -> Outcome:
    """BEGIN, or code and text of the refusal, after which the server has to close with the same code."""
    async with wire_client(running.url, **{"key": None, **credentials}) as client:
        first = await client.next() or {}
        if first["type"] == "Begin":
            return BEGIN
        assert (await client.rest())[0] == first["error_code"]
        return first["error_code"], first["error"]


async def refused(running: Any, reason: str) -> float:
    async with httpx2.AsyncClient() as http:
        lines = (await http.get(running.metrics)).text.splitlines()
    counted = f'streaming_gateway_sessions_refused_total{{reason="{reason}"}} '
    return next((float(line.split()[1]) for line in lines if line.startswith(counted)), 0.0)


# -- over all gateways -----------------------------------------------------------------------------------------------


async def test_of_many_at_once_at_two_gateways_one_gets_in(stack: Any, tmp_path: Path) -> None:
    async with two_gateways(stack, tmp_path) as (one, two, _):
        for _ in range(4):
            token = await token_of(one)
            came = await asyncio.gather(*(outcome(running, token=token) for running in (one, two) * 8))
            assert sorted(came, key=str) == [*[USED] * 15, BEGIN]
        assert await refused(one, "used_token") + await refused(two, "used_token") == 60
        await asyncio.gather(one.is_empty(), two.is_empty())


async def test_each_of_many_tokens_gets_its_session_at_either_gateway(stack: Any, tmp_path: Path) -> None:
    async with two_gateways(stack, tmp_path) as (one, two, _):
        tokens = await asyncio.gather(*(token_of(one) for _ in range(12)))
        assert len(set(tokens)) == 12, "though of one key and one second"
        came = [outcome((one, two)[at % 2], token=token) for at, token in enumerate(tokens)]
        assert await asyncio.gather(*came) == [BEGIN] * 12
        assert [await outcome(two, token=token) for token in tokens] == [USED] * 12


async def test_a_proxy_that_was_killed_and_is_back_forgot_none(stack: Any, tmp_path: Path) -> None:
    async with two_gateways(stack, tmp_path) as (one, two, proxy):
        token, other = await token_of(one), await token_of(one)
        assert await outcome(one, token=token) == BEGIN
        for _ in range(2):
            await proxy.kill()
            await proxy.start()
            for running in (one, two):
                assert await outcome(running, token=token) == USED
        assert await outcome(two, token=other) == BEGIN


async def test_a_gateway_that_is_new_knows_what_the_others_spent(stack: Any, tmp_path: Path) -> None:
    site = Site(tmp_path)
    async with license_proxy_process(tmp_path / "proxy") as proxy:
        settings = site.settings(license_endpoint=proxy.url)
        async with stack(**settings) as before:
            await ready(before)
            token = await token_of(before)
            assert await outcome(before, token=token) == BEGIN
        async with stack(**settings) as after:
            await ready(after)
            assert await outcome(after, token=token) == USED


async def test_while_the_proxy_is_away_no_token_opens_keys_do_and_the_token_is_good_later(
    stack: Any, tmp_path: Path
) -> None:
    async with two_gateways(stack, tmp_path) as (one, two, proxy):
        token = await token_of(one)
        await proxy.kill()
        for running in (one, two):
            since = time.monotonic()
            assert await outcome(running, token=token) == UNCHECKED
            assert time.monotonic() - since < 1
            assert await refused(running, "unchecked_token") == 1
        assert await outcome(one, key="key") == BEGIN
        await proxy.start()
        assert await outcome(two, token=token) == BEGIN
        assert await outcome(one, token=token) == USED


async def test_a_proxy_that_hangs_is_waited_for_less_than_a_second_and_a_new_token_opens_later(
    stack: Any, tmp_path: Path
) -> None:
    async with two_gateways(stack, tmp_path) as (one, two, proxy):
        first, later = await token_of(one), await token_of(one)
        assert proxy.process
        proxy.process.send_signal(signal.SIGSTOP)
        since = time.monotonic()
        came = await asyncio.gather(*(outcome(running, token=first) for running in (one, two) * 2))
        assert time.monotonic() - since < 4
        assert came == [UNCHECKED] * 4
        proxy.process.send_signal(signal.SIGCONT)
        async with asyncio.timeout(10):
            while (last := await outcome(two, token=later)) == UNCHECKED:
                await asyncio.sleep(0.1)
        # Where the proxy took it late, this very asking may have used it up: that is why a new one is asked for.
        assert last in (BEGIN, USED)
        assert await outcome(one, token=await token_of(one)) == BEGIN
        assert (await outcome(one, token=first))[0] in (None, 1008)
        assert await outcome(two, token=first) == USED


@pytest.mark.parametrize(("answers_after", "expected"), [(0.05, BEGIN), (30.0, UNCHECKED)])
async def test_begin_is_there_within_a_second_whoever_is_slow(
    stack: Any, tmp_path: Path, answers_after: float, expected: Outcome
) -> None:
    """Nobody tells of the other gateways' sessions, no recogniser says whether it has a place, and the token waits."""

    async def hang(_: Request) -> Response:
        await asyncio.sleep(30)
        return Response()

    async def slowly(_: Request) -> Response:
        await asyncio.sleep(answers_after)
        return Response(b'{"first": true}')

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)
        writer.close()

    routes = [Route("/v1/leases", hang, methods=["POST"]), Route("/v1/spent-tokens", slowly, methods=["POST"])]
    async with (
        serve_http(Starlette(routes=routes), "127.0.0.1", 0) as port,
        await asyncio.start_server(silent, "127.0.0.1", 0) as recogniser,
    ):
        silent_port = recogniser.sockets[0].getsockname()[1]
        settings = Site(tmp_path, "max_sessions=9").settings(lease_endpoint=f"127.0.0.1:{port}")
        async with stack(asr_endpoint=f"127.0.0.1:{silent_port}", **settings) as running:
            token = await token_of(running)
            since = time.monotonic()
            assert await outcome(running, token=token) == expected
            assert time.monotonic() - since < 1
            recogniser.close()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b"{}"),
        (422, b"{}"),
        (503, b'{"error": "too many"}'),
        (200, b""),
        (200, b"[]"),
        (200, b'{"first": 1}'),
        (200, b'{"first": "true"}'),
    ],
)
async def test_whatever_else_a_proxy_says_lets_nobody_in(stack: Any, tmp_path: Path, status: int, body: bytes) -> None:
    """An older one has no such path; one whose disk is full cannot write."""

    async def answer(_: Request) -> Response:
        return Response(body, status)

    app = Starlette(routes=[Route("/v1/spent-tokens", answer, methods=["POST"])])
    async with serve_http(app, "127.0.0.1", 0) as port:
        settings = Site(tmp_path).settings(lease_endpoint=f"127.0.0.1:{port}")
        async with stack(**settings) as running:
            assert await outcome(running, token=await token_of(running)) == UNCHECKED
            assert await outcome(running, key="key") == BEGIN
            await running.is_empty()


async def test_an_answer_that_was_lost_is_asked_for_again_for_the_same_session() -> None:
    """The proxy closes a connection that the gateway takes for open."""
    asked: list[dict[str, Any]] = []

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        asked.append(json.loads(await reader.readexactly(length)))
        if len(asked) == 2:
            writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{"first": true}')
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            await SpentAtProxy(client, lambda: 1000.5).spend(Token(60, "hash", 1060, "k", "s"), "session")
    assert asked == [{"token": "hash", "session_id": "session", "expires_in_seconds": 60}] * 2


# -- whose token stays good ------------------------------------------------------------------------------------------


async def test_who_is_refused_for_want_of_room_has_the_token_still(stack: Any, tmp_path: Path) -> None:
    async with two_gateways(stack, tmp_path, max_sessions=1) as (one, _, _):
        token = await token_of(one)
        async with wire_client(one.url, key="key") as client:
            await client.next()
            assert (await outcome(one, token=token))[0] == 3009
        await one.is_empty()
        assert await outcome(one, token=token) == BEGIN
        await one.is_empty()
        assert await outcome(one, token=token) == USED


@pytest.mark.parametrize(("limits", "capacity"), [("max_sessions=1", 28), ("", 1)])
async def test_so_has_who_is_refused_for_a_limit_of_the_key_or_by_every_recogniser(
    stack: Any, tmp_path: Path, limits: str, capacity: int
) -> None:
    async with stack(capacity=capacity, **Site(tmp_path, limits).settings()) as running:
        token = await token_of(running)
        async with wire_client(running.url, key="key") as client:
            await client.next()
            assert (await outcome(running, token=token))[0] == 3009
        await running.is_empty()
        assert await outcome(running, token=token) == BEGIN


async def test_so_has_who_asks_for_what_there_is_not(stack: Any, tmp_path: Path) -> None:
    async with stack(**Site(tmp_path).settings()) as running:
        token = await token_of(running)
        assert (await outcome(running, token=token, speech_model="nope"))[0] == 3006
        assert await outcome(running, token=token) == BEGIN


async def test_a_used_token_leaves_no_session_and_counts_for_no_limit(stack: Any, tmp_path: Path) -> None:
    async with stack(**Site(tmp_path, "max_new_per_minute=2").settings()) as running:
        token = await token_of(running)
        assert [await outcome(running, token=token) for _ in range(4)] == [BEGIN, USED, USED, USED]
        await running.is_empty()
        assert await outcome(running, key="key") == BEGIN, "only the second that began within the minute"


# -- one gateway by itself -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("again", [lambda t: {"token": t}, lambda t: {"key": t}, lambda t: {"key": f"Bearer {t}"}])
async def test_a_gateway_alone_lets_a_token_in_once_however_it_is_sent(
    stack: Any, tmp_path: Path, again: Callable[[str], dict[str, str]]
) -> None:
    async with stack(**Site(tmp_path).settings()) as running:
        token, other = await token_of(running), await token_of(running)
        assert await outcome(running, token=token) == BEGIN
        assert await outcome(running, **again(token)) == USED
        assert await outcome(running, token=other) == BEGIN
        assert [await outcome(running, key="key") for _ in range(2)] == [BEGIN] * 2


async def test_a_token_of_before_tokens_had_an_id_opens_once_too(stack: Any, tmp_path: Path) -> None:
    owner = hashlib.sha256(b"key").hexdigest()
    made = issue_token(SECRET, owner, now=time.time(), lifetime_seconds=60, session_seconds=60, jti="x")
    claims = {name: value for name, value in jwt.decode(made, SECRET, ["HS256"]).items() if name != "jti"}
    token = jwt.encode(claims, SECRET, "HS256")
    async with stack(**Site(tmp_path).settings()) as running:
        assert [await outcome(running, token=token) for _ in range(2)] == [BEGIN, USED]


async def test_without_the_option_a_token_opens_as_often_as_one_likes(stack: Any, tmp_path: Path) -> None:
    async with two_gateways(stack, tmp_path, single_use_tokens=False) as (one, two, _):
        token = await token_of(one)
        assert [await outcome(running, token=token) for running in (one, two, one)] == [BEGIN] * 3


# -- what is spent, by itself ----------------------------------------------------------------------------------------

_COMES = st.tuples(st.sampled_from("abcd"), st.integers(0, 200))


def token(name: str, expires_at: int) -> Token:
    return Token(60, name, expires_at, "k", "s")


async def spent(uses: SpentHere, one: Token) -> int | None:
    try:
        await uses.spend(one, "session")
    except Problem as refusal:
        return refusal.code
    return None


@given(st.lists(_COMES, max_size=40))
async def test_a_token_is_spent_once_as_long_as_anybody_could_take_it(comes: list[tuple[str, int]]) -> None:
    """Each token ends at a time of its own; the clock goes on by some seconds each time, and may stand still."""
    ends = {name: 1000 + 150 * at for at, name in enumerate("abcd")}
    now, had = 1000.0, set[str]()
    uses = SpentHere(lambda: now)
    for name, seconds in comes:
        now += seconds
        if now >= ends[name]:
            continue  # refused for its time, before
        assert await spent(uses, token(name, ends[name])) == (1008 if name in had else None)
        had.add(name)


async def test_it_is_known_beyond_its_end_for_who_was_in_time_and_for_clocks_that_are_set_back() -> None:
    now = 1000.0
    uses = SpentHere(lambda: now)
    assert await spent(uses, token("a", 1001)) is None
    for later in (1001, 1299, 950):
        now = later
        assert await spent(uses, token("a", 1001)) == 1008


async def test_beyond_the_most_that_are_known_nobody_gets_in_until_some_have_ended() -> None:
    now = 1000.0
    uses = SpentHere(lambda: now, most=2)
    assert [await spent(uses, token(name, 1060)) for name in "abc"] == [None, None, 3005]
    assert await spent(uses, token("a", 1060)) == 1008
    now = 1400.0
    assert await spent(uses, token("c", 1460)) is None
