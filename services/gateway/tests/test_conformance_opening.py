"""Checks of the protocol: how a session opens."""

import asyncio
import time
from typing import Any

import pytest
from conversations import refusal, session
from streamingstack_bench.coded_audio import coded_pcm
from streamingstack_bench.scripted import Script
from streamingstack_bench.wire_client import wire_client
from websockets.asyncio.client import connect

ENGLISH, MULTILINGUAL = "universal-streaming-english", "universal-streaming-multilingual"
UNIVERSAL_3 = "universal-3-5-pro"
WORDS = [f"word{number}" for number in range(20)]
WORD_MS = 300
PER_MS = 16


@pytest.mark.parametrize(
    "path", [pytest.param("/", marks=pytest.mark.check(2)), pytest.param("/v3/ws", marks=pytest.mark.check(3))]
)
@pytest.mark.check(4, 6, 11)
async def test_begin_is_the_first_frame_at_either_path_and_comes_within_a_second(plain_stack: Any, path: str) -> None:
    since = time.monotonic()
    async with wire_client(plain_stack.url + path, key="self-hosted", sample_rate=16_000) as client:
        begin = await client.next()
    assert time.monotonic() - since < 1
    assert begin is not None
    assert begin["type"] == "Begin"
    assert type(begin["expires_at"]) is int
    assert abs(begin["expires_at"] - time.time() - 10_800) < 30


@pytest.mark.check(7)
@pytest.mark.parametrize(("model", "mode"), [(ENGLISH, None), (MULTILINGUAL, None), (UNIVERSAL_3, "balanced")])
async def test_begin_tells_the_model_its_mode_and_the_version(stack: Any, model: str, mode: str | None) -> None:
    async with (
        stack(replacing=model == UNIVERSAL_3) as running,
        wire_client(running.url, speech_model=model, universal3=model == UNIVERSAL_3) as client,
    ):
        begin = await client.next()
    assert begin is not None
    configuration = begin["configuration"]
    assert (configuration["model"], configuration["mode"]) == (model, mode)
    assert isinstance(configuration["api_version"], str)


@pytest.mark.parametrize(
    "key", [pytest.param(None, marks=pytest.mark.check(8)), pytest.param("", marks=pytest.mark.check(9))]
)
async def test_without_a_key_a_client_is_refused_after_the_upgrade(plain_stack: Any, key: str | None) -> None:
    code, text, kinds = await refusal(plain_stack.url + "/v3/ws", key=key)
    assert (code, kinds) == (1008, ["Error"])
    assert "Missing Authorization header" in text


@pytest.mark.check(12)
@pytest.mark.parametrize("offered", [None, "something"])
async def test_no_subprotocol_is_chosen_and_none_is_needed(plain_stack: Any, offered: Any) -> None:
    headers = {"Authorization": "self-hosted"}
    async with connect(
        plain_stack.url, additional_headers=headers, subprotocols=[offered] if offered else None
    ) as connection:
        assert connection.response is not None
        assert "Sec-WebSocket-Protocol" not in connection.response.headers
        assert '"Begin"' in str(await connection.recv())


@pytest.mark.check(14)
async def test_a_client_that_offers_compression_has_its_session(plain_stack: Any) -> None:
    async with connect(
        plain_stack.url, additional_headers={"Authorization": "self-hosted"}, compression="deflate"
    ) as connection:
        assert connection.request is not None
        assert "permessage-deflate" in connection.request.headers["Sec-WebSocket-Extensions"]
        for _ in range(60):
            await connection.send(bytes(3200))
        await connection.send('{"type":"Terminate"}')
        messages = [str(message) async for message in connection]
    assert "hello there this is a test" in "".join(messages)
    assert '"Termination"' in messages[-1]


@pytest.mark.check(5, 15)
async def test_twenty_sessions_side_by_side_hear_their_own_audio_to_their_own_end(stack: Any) -> None:
    """The script is heard in its very audio alone, each sample at its place; every session has another length of it."""
    async with stack(Script.of(" ".join(WORDS), start_ms=0, word_ms=WORD_MS, gap_ms=0, coded=True)) as running:

        async def hear(count: int) -> tuple[str, list[str]]:
            async with wire_client(running.url) as client:
                for at in range(0, count * WORD_MS, 100):
                    await client.raw(coded_pcm(at * PER_MS, (at + 100) * PER_MS))
                    await asyncio.sleep(0)
                await client.terminate()
            return client.messages[0]["id"], " ".join(client.finals).split()

        heard = await asyncio.gather(*(hear(count) for count in range(1, 21)))
        await running.is_empty()
    assert len({begun for begun, _ in heard}) == 20
    assert [words for _, words in heard] == [WORDS[:count] for count in range(1, 21)]


@pytest.mark.check(10)
async def test_where_any_key_opens_any_token_does(plain_stack: Any) -> None:
    client = await session(plain_stack.url, 1000, key=None, token="anything")
    assert client.messages[0]["type"] == "Begin"
