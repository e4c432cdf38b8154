"""What each key may: so many sessions at once, so many new ones within a minute. Over real sockets."""

import asyncio
import hashlib
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from license_client.places import KeyLimitReached, Places, ProcessFull
from stack_model.api_keys import ApiKey
from streaming_gateway.problems import SHORTAGES
from streamingstack_bench.mounted_file import MountedFile
from streamingstack_bench.wire_client import wire_client
from websockets.asyncio.client import connect

SECRET = "0123456789abcdef0123456789abcdef"
TOO_MANY = "Unauthorized Connection: Too many concurrent sessions"


def line(key: str, limits: str = "") -> str:
    return f"{hashlib.sha256(key.encode()).hexdigest()} {key}-tenant {limits}\n"


async def outcome(url: str, **query: Any) -> tuple[str, int | None, str]:
    """The first message: its type, its code, its text."""
    async with wire_client(url, **query) as client:
        first = await client.next() or {}
        return first["type"], first.get("error_code"), first.get("error", "")


async def refused(running: Any, reason: str) -> float:
    """How many were refused for that reason; KeyError where the gateway does not know it."""
    async with httpx2.AsyncClient() as http:
        lines = (await http.get(running.metrics)).text.splitlines()
    counts = dict(line.rsplit(maxsplit=1) for line in lines if not line.startswith("#"))
    return float(counts[f'streaming_gateway_sessions_refused_total{{reason="{reason}"}}'])


@pytest.mark.check(96)
async def test_beyond_its_sessions_a_key_is_refused_3009_and_welcome_again_when_one_ends(
    stack: Any, tmp_path: Path
) -> None:
    keys = MountedFile(tmp_path, "keys", line("small", "max_sessions=2") + line("large"))
    async with stack(api_keys_file=keys.path) as running:
        assert await refused(running, "key_sessions") == 0.0
        async with wire_client(running.url, key="small") as one, wire_client(running.url, key="Bearer small") as two:
            for client in (one, two):
                assert (await client.next() or {})["type"] == "Begin"
            kind, code, text = await outcome(running.url, key="small")
            assert (kind, code) == ("Error", 3009)
            assert text.startswith(TOO_MANY)
            assert (await outcome(running.url, key="large"))[0] == "Begin", "another key has places of its own"
            assert await refused(running, "key_sessions") == 1.0
            await one.terminate()
            assert (await outcome(running.url, key="small"))[0] == "Begin"


def test_what_a_key_may_is_no_shortage_that_more_gateways_would_mend() -> None:
    assert not {"key_sessions", "key_rate"} & set(SHORTAGES)


async def test_a_client_that_just_vanishes_leaves_its_place(stack: Any, tmp_path: Path) -> None:
    keys = MountedFile(tmp_path, "keys", line("small", "max_sessions=1"))
    async with stack(api_keys_file=keys.path) as running:
        headers = {"Authorization": "small"}
        for _ in range(3):
            async with asyncio.timeout(5):
                while '"Begin"' not in str(
                    await (client := await connect(running.url, additional_headers=headers)).recv()
                ):
                    await asyncio.sleep(0.05)
            assert (await outcome(running.url, key="small"))[1] == 3009
            client.transport.abort()


async def test_of_many_at_once_exactly_as_many_begin_as_may(stack: Any, tmp_path: Path) -> None:
    keys = MountedFile(tmp_path, "keys", line("small", "max_sessions=3") + line("large"))
    ended = asyncio.Event()

    async def one(url: str, key: str) -> str:
        async with wire_client(url, key=key) as client:
            kind = str((await client.next() or {})["type"])
            await ended.wait()
            return kind

    async with stack(api_keys_file=keys.path) as running:
        clients = [asyncio.create_task(one(running.url, key)) for key in ("small", "large") * 10]
        async with asyncio.timeout(15):
            while running.sessions + await refused(running, "key_sessions") < 20:
                await asyncio.sleep(0.05)
        ended.set()
        kinds = await asyncio.gather(*clients)
        assert kinds[0::2].count("Begin") == 3
        assert kinds[1::2].count("Begin") == 10
        await running.is_empty()
        assert (await outcome(running.url, key="small"))[0] == "Begin"


async def test_beyond_its_new_sessions_of_a_minute_a_key_is_refused_3009(stack: Any, tmp_path: Path) -> None:
    keys = MountedFile(tmp_path, "keys", line("small", "max_new_per_minute=2") + line("large"))
    async with stack(api_keys_file=keys.path) as running:
        kinds = [await outcome(running.url, key="small") for _ in range(4)]
        assert [(kind, code) for kind, code, _ in kinds] == [("Begin", None)] * 2 + [("Error", 3009)] * 2
        assert all(text.startswith(TOO_MANY) for _, _, text in kinds[2:])
        assert (await outcome(running.url, key="large"))[0] == "Begin"
        assert await refused(running, "key_rate") == 2.0


async def test_tokens_count_for_their_key(stack: Any, tmp_path: Path) -> None:
    keys = MountedFile(tmp_path / "k", "keys", line("small", "max_sessions=1"))
    secret = MountedFile(tmp_path / "s", "token-secret", SECRET)
    async with stack(api_keys_file=keys.path, token_secret_file=secret.path) as running:
        async with httpx2.AsyncClient(base_url=running.http, headers={"Authorization": "small"}) as http:
            tokens = [(await http.get("/v3/token?expires_in_seconds=60")).json()["token"] for _ in range(2)]
        async with wire_client(running.url, key=None, token=tokens[0]) as client:
            await client.next()
            for credentials in ({"key": None, "token": tokens[1]}, {"key": "small"}):
                assert (await outcome(running.url, **credentials))[1] == 3009


async def test_limits_follow_their_file_and_end_no_open_session(stack: Any, tmp_path: Path) -> None:
    keys = MountedFile(tmp_path, "keys", line("small"))
    async with stack(api_keys_file=keys.path) as running, wire_client(running.url, key="small") as open_session:
        await open_session.next()
        keys.replace(line("small", "max_sessions=1"))
        assert (await outcome(running.url, key="small"))[1] == 3009
        keys.replace(line("small", "max_sessions=2"))
        assert (await outcome(running.url, key="small"))[0] == "Begin"
        await open_session.audio(3000)
        assert await open_session.terminate() == (1000, "Session Ended")


async def test_a_wrong_line_is_logged_by_its_number_and_the_keys_that_were_stay(
    stack: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    keys = MountedFile(tmp_path, "keys", line("small"))
    async with stack(api_keys_file=keys.path) as running:
        keys.replace(line("small") + line("other", "max_session=3"))
        assert (await outcome(running.url, key="small"))[0] == "Begin"
    logged = "".join(capfd.readouterr())
    assert "line 2: a limit is max_sessions or max_new_per_minute" in logged
    assert "other-tenant" not in logged


@given(st.lists(st.tuples(st.sampled_from((0, 1, 2)), st.booleans()), max_size=40), st.integers(1, 4))
async def test_whoever_comes_and_goes_nobody_has_more_than_may(moves: list[tuple[int, bool]], most: int) -> None:
    keys = [ApiKey(mark * 64, mark, max_sessions=limit) for mark, limit in (("a", 1), ("b", 2), ("c", None))]
    places = Places(most)
    open_: list[list[ExitStack]] = [[], [], []]
    for which, comes in moves:
        if comes:
            session = ExitStack()
            with suppress(ProcessFull, KeyLimitReached):
                session.enter_context(places.one(keys[which]))
                open_[which].append(session)
        elif open_[which]:
            open_[which].pop().close()
        counts = [len(sessions) for sessions in open_]
        assert places.taken == sum(counts) <= most
        assert counts[0] <= 1
        assert counts[1] <= 2
        assert [places.mine.of(key.mark).sessions for key in keys] == counts


async def test_new_sessions_are_counted_over_a_sliding_minute_and_refused_ones_are_not() -> None:
    now = [0.0]
    places = Places(100, clock=lambda: now[0])
    key = ApiKey("a" * 64, "small", max_new_per_minute=2)

    def let_in() -> str:
        try:
            with places.one(key):
                return "in"
        except KeyLimitReached as refused:
            return refused.limit

    seen = []
    for moment in (0.0, 30.0, 59.0, 59.9, 60.0, 60.1, 89.9, 90.0):
        now[0] = moment
        seen.append(let_in())
    assert seen == ["in", "in", "key_rate", "key_rate", "in", "key_rate", "key_rate", "in"]


async def test_a_place_is_given_back_whatever_ends_the_session_and_nothing_is_kept_of_a_key_that_went() -> None:
    places = Places(2)
    key = ApiKey("a" * 64, "small", max_sessions=1, max_new_per_minute=9)

    def fail() -> None:
        with places.one(key):
            assert not places.empty.is_set()
            raise RuntimeError("over")

    for _ in range(3):
        with pytest.raises(RuntimeError, match="over"):
            fail()
    assert places.mine.keys == [], "what never began is not new either"
    assert places.taken == 0
    assert places.empty.is_set()
    with places.one(key), places.one(ApiKey("b" * 64, "other")):
        for one in (key, ApiKey("c" * 64, "third")):
            with pytest.raises(ProcessFull), places.one(one):
                pass


async def test_what_has_begun_is_new_however_it_ends_and_who_is_refused_is_told_when_to_come_again() -> None:
    now = [0.0]
    places = Places(9, clock=lambda: now[0])
    key = ApiKey("a" * 64, "small", max_new_per_minute=2)

    def begin_and_fail() -> None:
        with places.one(key) as place:
            place.begun = True
            raise RuntimeError("over")

    for moment in (0.0, 20.0):
        now[0] = moment
        with pytest.raises(RuntimeError, match="over"):
            begin_and_fail()
    now[0] = 50.0
    with pytest.raises(KeyLimitReached) as refused, places.one(key):
        pass
    assert (refused.value.limit, refused.value.again_seconds) == ("key_rate", 10.0)
