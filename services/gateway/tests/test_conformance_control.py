"""Checks of the protocol: what a client says besides audio."""

import asyncio
import json
import time
from typing import Any

import pytest
from conversations import Listening, quiet, session, speak, utterances
from streamingstack_bench.wire_client import wire_client

FINALS = ["hello there this is a test", "done"]
WHOLE_MS = 6000
MINUTE_MS = 60_050


@pytest.mark.check(71)
@pytest.mark.parametrize("formats", ["false", "true"])
async def test_force_endpoint_ends_the_turn_at_once_where_it_is(stack: Any, formats: str) -> None:
    script = utterances("One two three four five six.")
    async with stack(script) as running, wire_client(running.url, format_turns=formats) as client:
        await client.audio(1500)
        await client.until(lambda message: message["type"] == "Turn")
        since = time.monotonic()
        await client.say("ForceEndpoint")
        wanted = {"end_of_turn": True, "turn_is_formatted": formats == "true"}
        end = await client.until(lambda message: wanted.items() <= message.items())
        assert time.monotonic() - since < 1
        assert end["turn_order"] == 0
        assert end["words"][-1]["end"] <= 1500
        await client.audio(2500)
        assert await client.terminate() == (1000, "Session Ended")
    assert {turn["turn_order"] for turn in client.turns if turn["end_of_turn"]} == {0, 1}
    assert " ".join(client.finals).lower().rstrip(".").replace(". ", " ") == "one two three four five six"


@pytest.mark.check(72)
async def test_force_endpoint_without_an_open_turn_is_nothing(plain_stack: Any) -> None:
    async with wire_client(plain_stack.url) as client:
        await client.next()
        await client.audio(300)
        await client.say("ForceEndpoint")
        await client.say("ForceEndpoint")
        assert await quiet(client, 1)
        await client.audio(WHOLE_MS - 300)
        assert await client.terminate() == (1000, "Session Ended")
    assert client.finals == FINALS


@pytest.mark.check(73)
async def test_keep_alive_has_no_reply(plain_stack: Any) -> None:
    async with wire_client(plain_stack.url) as client:
        await client.next()
        await client.say("KeepAlive")
        assert await quiet(client, 1)
        await client.audio(WHOLE_MS)
        assert await client.terminate() == (1000, "Session Ended")
    assert client.finals == FINALS


@pytest.mark.check(74)
async def test_a_shorter_longest_silence_ends_turns_from_then_on(stack: Any) -> None:
    script = utterances("one", 600, "two", 600, "three", 600, "four", eot_score=0.0)
    async with stack(script) as running, wire_client(running.url) as client:
        await client.next()
        await client.audio(1500)
        await client.say("UpdateConfiguration", max_turn_silence=400)
        await client.audio(3500)
        assert await client.terminate() == (1000, "Session Ended")
    assert client.finals == ["one two", "three", "four"]
    assert {message["type"] for message in client.messages} == {"Begin", "Turn", "Termination"}


@pytest.mark.check(75)
async def test_formatting_that_is_switched_on_during_a_turn_formats_the_next(plain_stack: Any) -> None:
    async with wire_client(plain_stack.url) as client:
        await client.audio(1000)
        await client.until(lambda message: message["type"] == "Turn")
        await client.say("UpdateConfiguration", format_turns=True)
        client.rules.format_turns = True
        await client.audio(WHOLE_MS - 1000)
        assert await client.terminate() == (1000, "Session Ended")
    formatted = {turn["turn_order"]: turn["transcript"] for turn in client.turns if turn["turn_is_formatted"]}
    assert formatted[1] == "Done."


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"keyterms_prompt": []}, marks=pytest.mark.check(76)),
        pytest.param({"keyterms_prompt": None}, marks=pytest.mark.check(76)),
        pytest.param({"some_new_field": 1}, marks=pytest.mark.check(79)),
    ],
    ids=str,
)
async def test_a_change_that_changes_nothing_is_taken_in_silence(plain_stack: Any, change: dict[str, Any]) -> None:
    async with wire_client(plain_stack.url) as client:
        await client.next()
        await client.say("UpdateConfiguration", **change)
        assert await quiet(client, 0.5)
        await client.audio(WHOLE_MS)
        assert await client.terminate() == (1000, "Session Ended")
    assert client.finals == FINALS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(
            json.dumps({"type": "UpdateConfiguration", "keyterms_prompt": ["x"] * 101}),
            "Invalid 'keyterms_prompt'",
            marks=pytest.mark.check(77),
            id="101 keyterms",
        ),
        pytest.param(
            '{"type":"UpdateConfiguration","max_turn_silence":"x"}',
            "Invalid 'max_turn_silence'",
            marks=pytest.mark.check(78),
        ),
        pytest.param("{not json", "Invalid JSON", marks=pytest.mark.check(80)),
        pytest.param('{"type":"Bogus"}', "Invalid Message Type: Bogus", marks=pytest.mark.check(81)),
        pytest.param("[]", "Invalid Message: []", marks=pytest.mark.check(82)),
        pytest.param("{}", "Invalid Message: {}", marks=pytest.mark.check(82)),
    ],
)
async def test_a_message_that_is_wrong_ends_the_session(plain_stack: Any, text: str, said: str) -> None:
    async with wire_client(plain_stack.url) as client:
        await client.next()
        await client.audio(1000)
        await client.connection.send(text)
        assert await client.rest() == (3006, "See Error message for details")
    last = client.messages[-1]
    assert (last["type"], last["error_code"]) == ("Error", 3006)
    assert said in last["error"]
    assert not any(message["type"] == "Termination" for message in client.messages)


@pytest.mark.check(83)
async def test_terminate_at_once_ends_cleanly_within_two_seconds(plain_stack: Any) -> None:
    async with wire_client(plain_stack.url) as client:
        await client.next()
        since = time.monotonic()
        assert await client.terminate() == (1000, "Session Ended")
    assert time.monotonic() - since < 2
    end = client.messages[-1]
    assert (end["type"], end["audio_duration_seconds"]) == ("Termination", 0)
    assert type(end["session_duration_seconds"]) is int


@pytest.mark.check(84)
async def test_terminate_in_mid_speech_tells_the_open_turn_first(plain_stack: Any) -> None:
    client = await session(plain_stack.url, 1500, format_turns="true")
    kinds = [(message["type"], message.get("end_of_turn")) for message in client.messages[-3:]]
    assert kinds == [("Turn", True), ("Turn", True), ("Termination", None)]
    assert client.turns[-1]["words"][-1]["end"] <= 1500


@pytest.mark.check(86)
async def test_audio_after_terminate_is_ignored(plain_stack: Any) -> None:
    async with wire_client(plain_stack.url) as client:
        await client.audio(1000)
        await client.say("Terminate")
        await client.connection.send(bytes(3200))
        await client.connection.send(bytes(200_000))
        assert await client.rest() == (1000, "Session Ended")
    assert client.messages[-1] == {**client.messages[-1], "type": "Termination", "audio_duration_seconds": 1}


@pytest.mark.check(87)
@pytest.mark.parametrize("politely", [True, False], ids=["close", "abort"])
async def test_a_client_that_leaves_without_terminate_gives_its_place_to_another(stack: Any, politely: bool) -> None:
    async with stack(max_sessions=1) as running:
        async with wire_client(running.url) as client:
            await client.next()
            await client.audio(1000)
            if politely:
                await client.connection.close()
            else:
                client.connection.transport.abort()
        async with asyncio.timeout(5):
            while True:
                async with wire_client(running.url) as other:
                    if (await other.next() or {})["type"] == "Begin":
                        break
                await asyncio.sleep(0.1)


@pytest.mark.check(85, 94, 99)
async def test_a_minute_is_a_minute_and_one_may_be_idle_for_as_long(plain_stack: Any) -> None:
    async with wire_client(plain_stack.url) as idle, wire_client(plain_stack.url) as client:
        await idle.next()
        listening, began = Listening(client), time.monotonic()
        await speak(client, MINUTE_MS - 50, began)
        await client.audio(50, chunk_ms=50)
        await client.say("Terminate")
        assert await listening.end() == (1000, "Session Ended")
        assert not any(message["type"] == "Heartbeat" for message in client.messages)
        assert time.monotonic() - began >= 60
        await idle.audio(WHOLE_MS)
        assert await idle.terminate() == (1000, "Session Ended")
    end = client.messages[-1]
    assert end["audio_duration_seconds"] == 60
    assert type(end["session_duration_seconds"]) is int
    assert end["session_duration_seconds"] >= 60
    assert client.finals == idle.finals == FINALS
