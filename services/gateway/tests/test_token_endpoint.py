"""`GET /v3/token` and what its tokens open, over real sockets; the numbers are those of the conformance checks."""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from streaming_gateway.tokens import issue_token
from streamingstack_bench.mounted_file import MountedFile
from streamingstack_bench.wire_client import wire_client

SECRET = "0123456789abcdef0123456789abcdef"
KEYS = ("first", "second")


def hashed(*keys: str) -> str:
    return "".join(f"{hashlib.sha256(key.encode()).hexdigest()} {key}-tenant\n" for key in keys)


class Tokens:
    """A gateway that makes tokens, its files, and requests for them."""

    def __init__(self, running: Any, keys: MountedFile, secret: MountedFile) -> None:
        self.url: str = running.url
        self.keys, self.secret, self.running = keys, secret, running
        self._http = httpx2.AsyncClient(base_url=running.http)

    async def ask(self, key: str | None = "first", **query: Any) -> httpx2.Response:
        headers = {} if key is None else {"Authorization": key}
        return await self._http.get("/v3/token", params=query, headers=headers)

    async def token(self, key: str = "first", **query: Any) -> str:
        answer = await self.ask(key, **{"expires_in_seconds": 60, **query})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["token"])

    async def close(self) -> None:
        await self._http.aclose()


@contextlib.asynccontextmanager
async def _tokens(stack: Any, folder: Path, *, keyed: bool = True, **settings: Any) -> AsyncIterator[Tokens]:
    keys = MountedFile(folder / "k", "keys", hashed(*KEYS))
    secret = MountedFile(folder / "s", "token-secret", SECRET + "\n")
    files = {"token_secret_file": secret.path, **({"api_keys_file": keys.path} if keyed else {})}
    async with stack(**files, **settings) as running:
        made = Tokens(running, keys, secret)
        try:
            yield made
        finally:
            await made.close()


@pytest.fixture
async def tokens(stack: Any, tmp_path: Path) -> AsyncIterator[Tokens]:
    """Behind keys."""
    async with _tokens(stack, tmp_path) as made:
        yield made


@pytest.fixture
async def open_tokens(stack: Any, tmp_path: Path) -> AsyncIterator[Tokens]:
    """Where any key is good."""
    async with _tokens(stack, tmp_path / "open", keyed=False) as made:
        yield made


async def opened(url: str, **query: Any) -> dict[str, Any]:
    """The first message."""
    async with wire_client(url, **query) as client:
        return await client.next() or {}


async def refusal(url: str, **query: Any) -> tuple[int, str]:
    """Code and text."""
    async with wire_client(url, **query) as client:
        code, _ = await client.rest()
        assert client.messages[-1]["error_code"] == code
        return code, client.messages[-1]["error"]


@pytest.mark.parametrize("key", ["first", "Bearer first"])
@pytest.mark.check(116)
async def test_a_key_gets_a_token(tokens: Tokens, key: str) -> None:
    answer = await tokens.ask(key, expires_in_seconds=60)
    assert answer.status_code == 200
    assert set(answer.json()) == {"token", "expires_in_seconds"}
    assert isinstance(answer.json()["token"], str)
    assert answer.json()["expires_in_seconds"] == 60
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("query", "kind", "context"),
    [
        ({"expires_in_seconds": "0"}, "greater_than_equal", {"ge": 1}),
        ({"expires_in_seconds": "601"}, "less_than_equal", {"le": 600}),
        ({"expires_in_seconds": "soon"}, "int_parsing", None),
        ({"expires_in_seconds": "1.5"}, "int_parsing", None),
        ({"expires_in_seconds": ""}, "int_parsing", None),
        ({}, "missing", None),
        ({"expires_in_seconds": "60", "max_session_duration_seconds": "59"}, "greater_than_equal", {"ge": 60}),
        ({"expires_in_seconds": "60", "max_session_duration_seconds": "10801"}, "less_than_equal", {"le": 10_800}),
    ],
)
@pytest.mark.parametrize("key", ["first", "wrong"])
@pytest.mark.check(117)
async def test_a_query_out_of_its_range_is_422_and_names_it(
    tokens: Tokens, query: dict[str, str], kind: str, context: Any, key: str
) -> None:
    answer = await tokens.ask(key, **query)
    assert answer.status_code == 422
    (problem,) = answer.json()["detail"]
    name = "max_session_duration_seconds" if len(query) == 2 else "expires_in_seconds"
    assert problem["type"] == kind
    assert problem["loc"] == ["query", name]
    assert problem["input"] == query.get(name)
    assert problem.get("ctx") == context
    assert set(problem) <= {"type", "loc", "msg", "input", "ctx"}


async def test_the_error_of_the_cloud_is_ours_to_the_letter(tokens: Tokens) -> None:
    assert (await tokens.ask(expires_in_seconds=0)).json() == {
        "detail": [
            {
                "type": "greater_than_equal",
                "loc": ["query", "expires_in_seconds"],
                "msg": "Input should be greater than or equal to 1",
                "input": "0",
                "ctx": {"ge": 1},
            }
        ]
    }
    both = (await tokens.ask(None)).json()["detail"]
    assert [problem["loc"] for problem in both] == [["query", "expires_in_seconds"], ["header", "authorization"]]
    assert {problem["type"] for problem in both} == {"missing"}


async def test_a_request_without_key_is_422_and_one_with_a_wrong_key_401(tokens: Tokens, open_tokens: Tokens) -> None:
    missing = await tokens.ask(None, expires_in_seconds=60)
    assert (missing.status_code, missing.json()["detail"][0]["loc"]) == (422, ["header", "authorization"])
    wrong = await tokens.ask("wrong", expires_in_seconds=60)
    assert (wrong.status_code, wrong.json()) == (401, {"error": "Unauthorized Connection: Invalid API key"})
    for some in (tokens, open_tokens):
        assert (await some.ask("", expires_in_seconds=60)).status_code == 401
    for answer in (missing, wrong):
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.check(118)
async def test_a_token_opens_from_the_query_and_from_the_header_and_caps_the_session(tokens: Tokens) -> None:
    token = await tokens.token(max_session_duration_seconds=600)
    for credentials in ({"key": None, "token": token}, {"key": token}, {"key": f"Bearer {token}"}):
        begin = await opened(tokens.url + "/v3/ws", **credentials)
        assert begin["type"] == "Begin"
        assert abs(begin["expires_at"] - time.time() - 600) < 10
    begin = await opened(tokens.url, key=await tokens.token())
    assert abs(begin["expires_at"] - time.time() - 10_800) < 30


async def test_the_token_of_the_query_is_looked_at_and_not_the_header(tokens: Tokens) -> None:
    token = await tokens.token()
    assert (await opened(tokens.url, key="wrong", token=token))["type"] == "Begin"
    assert await refusal(tokens.url, key="first", token="wrong") == (1008, "Unauthorized Connection: Invalid API key")


@pytest.mark.parametrize("keyed", [True, False])
@pytest.mark.check(119)
async def test_a_token_whose_time_is_over_is_refused(stack: Any, tmp_path: Path, keyed: bool) -> None:
    async with _tokens(stack, tmp_path, keyed=keyed) as tokens:
        token = await tokens.token(expires_in_seconds=1)
        assert (await opened(tokens.url, key=token))["type"] == "Begin"
        await asyncio.sleep(3)
        told = (1008, "Unauthorized Connection: Signature has expired")
        assert await refusal(tokens.url, key=None, token=token) == told
        assert await refusal(tokens.url, key=token) == told
        async with httpx2.AsyncClient() as http:
            assert 'sessions_refused_total{reason="expired_token"} 2.0' in (await http.get(tokens.running.metrics)).text


async def test_a_session_that_began_outlives_its_token(tokens: Tokens) -> None:
    token = await tokens.token(expires_in_seconds=1)
    async with wire_client(tokens.url, key=None, token=token) as client:
        await client.next()
        await asyncio.sleep(2.5)
        await client.audio(1000)
        assert await client.terminate() == (1000, "Session Ended")


async def test_a_token_opens_as_often_as_one_likes_until_it_ends(tokens: Tokens) -> None:
    token = await tokens.token()
    assert [(await opened(tokens.url, key=token))["type"] for _ in range(3)] == ["Begin"] * 3


async def test_the_shorter_of_the_tokens_and_the_servers_longest_session_holds(stack: Any, tmp_path: Path) -> None:
    async with _tokens(stack, tmp_path, max_session_seconds=2) as tokens:
        token = await tokens.token(max_session_duration_seconds=600)
        async with wire_client(tokens.url, key=token) as client:
            assert abs((await client.next() or {})["expires_at"] - time.time() - 2) < 3
            assert (await client.rest())[0] == 3008


async def test_a_session_ends_3008_at_the_cap_of_its_token(tokens: Tokens) -> None:
    # The endpoint grants no less than a minute.
    owner = hashlib.sha256(b"first").hexdigest()
    token = issue_token(SECRET, owner, now=time.time(), lifetime_seconds=60, session_seconds=2, jti="one")
    async with wire_client(tokens.url, key=token) as client:
        await client.audio(1500)
        since = time.monotonic()
        assert (await client.rest())[0] == 3008
        assert time.monotonic() - since < 4
    assert client.messages[-1]["error"] == "Session Expired: Maximum session duration exceeded"
    assert len(client.finals) == 1


async def test_a_token_ends_with_its_key(tokens: Tokens) -> None:
    first, second = await tokens.token("first"), await tokens.token("second")
    tokens.keys.replace(hashed("second"))
    assert (await opened(tokens.url, key=second))["type"] == "Begin"
    assert await refusal(tokens.url, key=first) == (1008, "Unauthorized Connection: Invalid API key")
    assert (await tokens.ask("first", expires_in_seconds=60)).status_code == 401


async def test_secrets_are_read_again_and_turned_over_without_a_break(tokens: Tokens) -> None:
    new = "fedcba9876543210fedcba9876543210"
    old = await tokens.token()
    tokens.secret.replace(f"{new}\n{SECRET}\n")
    fresh = await tokens.token()
    for token in (old, fresh):
        assert (await opened(tokens.url, key=token))["type"] == "Begin"
    tokens.secret.replace(f"{new}\n")
    assert (await opened(tokens.url, key=fresh))["type"] == "Begin"
    assert (await refusal(tokens.url, key=old))[0] == 1008
    tokens.secret.replace("short\n")
    assert (await opened(tokens.url, key=fresh))["type"] == "Begin", "the last good secrets stay"


async def test_no_token_makes_another_one(tokens: Tokens, open_tokens: Tokens) -> None:
    for some in (tokens, open_tokens):
        assert (await some.ask(await some.token(), expires_in_seconds=600)).status_code == 401


async def test_a_token_of_another_gateways_secret_is_an_invalid_key(tokens: Tokens) -> None:
    token = await tokens.token()
    tokens.secret.replace("f" * 32)
    assert await refusal(tokens.url, key=token) == (1008, "Unauthorized Connection: Invalid API key")


async def test_where_any_key_is_good_tokens_are_made_and_cap(open_tokens: Tokens) -> None:
    token = await open_tokens.token("whatever", max_session_duration_seconds=60)
    begin = await opened(open_tokens.url, key=None, token=token)
    assert abs(begin["expires_at"] - time.time() - 60) < 10
    assert (await opened(open_tokens.url, key="anything else"))["type"] == "Begin"


async def test_a_gateway_without_secret_makes_no_tokens_and_says_what_to_set(plain_stack: Any) -> None:
    async with httpx2.AsyncClient(base_url=plain_stack.http) as http:
        answer = await http.get("/v3/token", params={"expires_in_seconds": 60}, headers={"Authorization": "key"})
    assert answer.status_code == 501
    assert "TOKEN_SECRET_FILE" in answer.json()["error"]


async def test_usage_of_a_token_is_its_keys(tokens: Tokens) -> None:
    token = await tokens.token("second")
    async with wire_client(tokens.url, key=token) as client:
        await client.next()
        (session,) = tokens.running.running.gateway.sessions
        assert session.usage().tenant == "second-tenant"
