"""Clients that are refused for what they send: nothing is left of them, and whoever speaks beside them goes on."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from leftovers import leaving_nothing
from streamingstack_bench.wire_client import WireClient, wire_client

HEARD = ["hello there this is a test", "done"]


@contextlib.asynccontextmanager
async def beside_another(stack: Any) -> AsyncIterator[None]:
    """Meanwhile another session is in the middle of a turn; it goes on and hears all. At the end nothing is left."""
    async with leaving_nothing(stack), wire_client(stack.url) as other:
        await other.audio(900)
        await other.until(lambda message: message["type"] == "Turn")
        yield
        await other.audio(5100)
        assert await other.terminate() == (1000, "Session Ended")
        assert other.finals == HEARD


async def words_as_text(client: WireClient) -> None:
    await client.connection.send("Hello there, this is a test.")


async def audio_as_text(client: WireClient) -> None:
    await client.connection.send("UklGRiQAAABXQVZF" * 100)


async def an_unknown_message(client: WireClient) -> None:
    await client.audio(900)
    await client.say("Bogus")


async def a_wrong_update(client: WireClient) -> None:
    await client.audio(900)
    await client.say("UpdateConfiguration", max_turn_silence="x")


async def a_frame_beyond_a_second(client: WireClient) -> None:
    await client.audio(900)
    await client.raw(bytes(38_400))


async def short_frames_as_a_habit(client: WireClient) -> None:
    with contextlib.suppress(Exception):  # the server closes meanwhile
        while True:
            await client.raw(bytes(640))
            await asyncio.sleep(0.02)


async def nothing(client: WireClient) -> None:
    """What it asked for is refused before Begin."""


@pytest.mark.parametrize(
    ("query", "act", "code"),
    [
        ({}, words_as_text, 3006),
        ({}, audio_as_text, 3006),
        ({}, an_unknown_message, 3006),
        ({}, a_wrong_update, 3006),
        ({}, a_frame_beyond_a_second, 3007),
        ({}, short_frames_as_a_habit, 3007),
        ({"sample_rate": 7000}, nothing, 3006),
        ({"speech_model": "nope"}, nothing, 3006),
    ],
)
async def test_a_refused_client_leaves_nothing_and_another_session_goes_on(
    plain_stack: Any, query: dict[str, Any], act: Callable[[WireClient], Awaitable[None]], code: int
) -> None:
    async with beside_another(plain_stack), wire_client(plain_stack.url, **query) as client:
        await act(client)
        assert (await client.rest())[0] == code


async def test_text_in_binary_frames_is_audio_whatever_it_says(plain_stack: Any) -> None:
    orders = json.dumps({"type": "Terminate"}).encode() * 80
    assert len(orders) == 1680
    async with beside_another(plain_stack), wire_client(plain_stack.url) as client:
        await client.audio(0, pcm=orders * (6000 * 32 // len(orders) + 1))
        assert await client.terminate() == (1000, "Session Ended")
        assert client.finals == HEARD
