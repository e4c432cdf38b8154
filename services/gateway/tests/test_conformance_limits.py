"""Checks of the protocol: what audio may be, and where a session ends."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from conversations import Listening, refusal, session, utterances
from streamingstack_bench.coded_audio import coded_pcm
from streamingstack_bench.scripted import Script
from streamingstack_bench.wire_client import WireClient, wire_client
from websockets.exceptions import ConnectionClosed

SPOKEN = ["one two three", "four"]


@pytest.mark.check(88, 89)
async def test_a_frame_may_last_from_50_to_1000_ms(plain_stack: Any) -> None:
    async with wire_client(plain_stack.url) as client:
        await client.next()
        await client.raw(bytes(32_000))
        await client.raw(bytes(1600))
        await client.say("ForceEndpoint")
        await client.until(lambda message: message.get("end_of_turn", False))
        await client.raw(bytes(38_400))
        assert (await client.rest())[0] == 3007
    assert "1200.0 ms. Expected between 50 and 1000 ms" in client.messages[-1]["error"]


@pytest.mark.check(90)
async def test_short_frames_without_end_are_refused_but_not_at_once(plain_stack: Any) -> None:
    async with wire_client(plain_stack.url) as client:
        await client.next()
        listening, since = Listening(client), time.monotonic()
        sent = 0
        with contextlib.suppress(ConnectionClosed):
            while time.monotonic() - since < 10:
                await client.raw(bytes(640))
                sent += 1
                await asyncio.sleep(0.02)
        assert (await listening.end())[0] == 3007
        assert 1 <= listening.when(type="Error") - since < 5
    assert sent >= 20
    assert "20.0 ms" in client.messages[-1]["error"]


@pytest.mark.check(91)
async def test_one_short_frame_before_terminate_is_fine(plain_stack: Any) -> None:
    async with wire_client(plain_stack.url) as client:
        await client.raw(bytes(640))
        assert await client.terminate() == (1000, "Session Ended")


@pytest.mark.check(92)
async def test_odd_and_empty_frames_harm_nothing(stack: Any) -> None:
    """The script is heard in its very audio alone: a sample that slips is another transcript."""
    spoken = Script.of("one two three | | four", coded=True)
    pcm = coded_pcm(0, 5 * 16_000)
    async with stack(spoken) as running, wire_client(running.url) as client:
        for start in range(0, len(pcm), 3201):
            await client.raw(pcm[start : start + 3201])
            await client.raw(b"")
        assert await client.terminate() == (1000, "Session Ended")
    assert client.finals == SPOKEN


@pytest.mark.check(93)
async def test_who_asks_for_it_is_ended_when_silent_and_not_while_alive_or_heard(plain_stack: Any) -> None:
    query: dict[str, Any] = {"inactivity_timeout": 5}
    began = time.monotonic()  # before the gateway's own clock of the session
    async with (
        wire_client(plain_stack.url, **query) as silent,
        wire_client(plain_stack.url, **query) as alive,
        wire_client(plain_stack.url, **query) as heard,
    ):
        for client in (silent, alive, heard):
            await client.next()
        listening = Listening(silent)
        for _ in range(5):
            await alive.say("KeepAlive")
            await heard.audio(100)
            await asyncio.sleep(3)
        assert (await listening.end())[0] == 3006
        assert "inactivity" in silent.messages[-1]["error"]
        assert 5 <= listening.when(type="Error") - began <= 7
        for client in (alive, heard):
            assert await client.terminate() == (1000, "Session Ended")


@pytest.mark.check(95)
async def test_the_longest_session_ends_at_its_time(stack: Any) -> None:
    async with stack(max_session_seconds=3) as running, wire_client(running.url) as client:
        await client.next()
        since = time.monotonic()
        assert (await client.rest())[0] == 3008
    assert abs(time.monotonic() - since - 3) < 2
    assert "Maximum session duration exceeded" in client.messages[-1]["error"]


async def _ask_for_nothing(_: WireClient) -> None:
    """The session ends by its time alone."""


async def _ask_to_end(client: WireClient) -> None:
    await client.say("Terminate")


@pytest.mark.check(95)
@pytest.mark.parametrize("ask", [_ask_for_nothing, _ask_to_end])
async def test_an_open_turn_that_no_recogniser_ends_makes_no_session_longer(
    stack: Any, ask: Callable[[WireClient], Awaitable[None]]
) -> None:
    """Whether or not the client waits for its Termination already."""
    script = utterances("one two three four five six")
    async with stack(script, max_session_seconds=3) as running, wire_client(running.url) as client:
        await client.next()
        since = time.monotonic()
        await client.audio(1000)
        await client.until(lambda message: message["type"] == "Turn")
        await running.recogniser.drain(0)
        await client.audio(1000)
        await ask(client)
        assert (await client.rest())[0] == 3008
    assert 3 <= time.monotonic() - since < 5
    assert not any(turn["end_of_turn"] for turn in client.turns)
    assert "Maximum session duration exceeded" in client.messages[-1]["error"]


@pytest.mark.check(96)
async def test_one_session_too_many_is_refused_until_there_is_room(stack: Any) -> None:
    async with (
        stack(max_sessions=2) as running,
        wire_client(running.url) as first,
        wire_client(running.url) as second,
    ):
        await first.next()
        await second.next()
        code, text, kinds = await refusal(running.url)
        assert (code, kinds) == (3009, ["Error"])
        assert "Too many concurrent sessions" in text
        await first.terminate()
        assert (await session(running.url, 6000)).finals
        await second.terminate()


@pytest.mark.check(97)
async def test_a_message_beyond_the_limit_closes_1009_and_disturbs_nobody(plain_stack: Any) -> None:
    async with wire_client(plain_stack.url) as other, wire_client(plain_stack.url) as client:
        await client.next()
        await other.audio(3000)
        await client.raw(bytes(256 * 1024 + 2))
        assert (await client.rest())[0] == 1009
        await other.audio(3000)
        assert await other.terminate() == (1000, "Session Ended")
    assert other.finals == ["hello there this is a test", "done"]


@pytest.mark.check(98)
async def test_without_any_recogniser_for_too_long_a_session_ends(stack: Any) -> None:
    async with stack(utterances("one two three"), buffer_seconds=1) as running, wire_client(running.url) as client:
        await client.audio(1000)
        await client.until(lambda message: message["type"] == "Turn")
        await running.recogniser.drain(0)
        await client.audio(1000)
        assert (await client.rest())[0] == 3005
    assert "Session Cancelled" in client.messages[-1]["error"]


@pytest.mark.check(99)
async def test_a_heartbeat_comes_to_who_asks_for_it(plain_stack: Any) -> None:
    opted = frozenset({"Heartbeat"})
    async with wire_client(plain_stack.url, session_heartbeat="true", opted_in=opted) as client:
        await client.next()
        await client.audio(400)
        since = time.monotonic()
        beat = await client.until(lambda message: message["type"] == "Heartbeat", 9)
        assert 4 <= time.monotonic() - since <= 7
    numbers = [beat[key] for key in ("total_audio_received_ms", "total_duration_ms", "realtime_factor")]
    assert all(type(number) in (int, float) for number in numbers)
