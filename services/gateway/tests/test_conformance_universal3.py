"""Checks of the protocol: turns of Universal-3."""

import itertools
from typing import Any

import pytest
from conversations import Listening, session, trickle, utterances
from streamingstack_bench.wire_client import wire_client
from streamingstack_bench.wire_rules import Message

UNIVERSAL_3: dict[str, Any] = {"speech_model": "universal-3-5-pro"}
TALK = utterances("Hello there,", 300, "this is a test.", 2000, "Done.")
TALK_MS = 6000


async def talk(stack: Any, **query: Any) -> list[Message]:
    """The messages of a session whose chunks are heard one after the other."""
    async with (
        stack(TALK, replacing=True) as running,
        wire_client(running.url, universal3=True, **UNIVERSAL_3, **query) as client,
    ):
        listening = Listening(client)
        await trickle(client, TALK_MS)
        await client.say("Terminate")
        assert await listening.end() == (1000, "Session Ended")
    return client.messages


@pytest.mark.check(66)
async def test_speech_started_comes_once_before_the_first_turn_of_each(stack: Any) -> None:
    told = [message for message in await talk(stack) if message["type"] in ("SpeechStarted", "Turn")]
    starts = [index for index, message in enumerate(told) if message["type"] == "SpeechStarted"]
    assert [told[index + 1]["turn_order"] for index in starts] == [0, 1]
    assert [index == 0 or told[index - 1]["end_of_turn"] for index in starts] == [True, True]
    assert all(type(told[index]["timestamp"]) is int for index in starts)
    assert all(isinstance(told[index]["confidence"], float) for index in starts)


@pytest.mark.check(67, 68)
async def test_partials_are_unfinished_and_ends_are_final_and_formatted(stack: Any) -> None:
    turns = [message for message in await talk(stack) if message["type"] == "Turn"]
    for _, of_one in itertools.groupby(turns, lambda turn: turn["turn_order"]):
        *partials, end = of_one
        assert end["end_of_turn"]
        assert end["turn_is_formatted"]
        assert end["end_of_turn_confidence"] == 1
        assert end["utterance"] == end["transcript"] != ""
        assert all(word["word_is_final"] for word in end["words"])
        for partial in partials:
            assert not partial["end_of_turn"]
            assert not partial["turn_is_formatted"]
            assert (partial["end_of_turn_confidence"], partial["utterance"]) == (0, "")
            assert not any(word["word_is_final"] for word in partial["words"])
    assert [turn["transcript"] for turn in turns if turn["end_of_turn"]] == ["Hello there, this is a test.", "Done."]
    assert len(turns) > 2, "partials"


@pytest.mark.check(69)
@pytest.mark.parametrize(
    ("query", "turns"),
    [
        ({"min_turn_silence": 100, "max_turn_silence": 100}, ["one two", "three", "four"]),
        ({}, ["one two three four"]),
    ],
)
async def test_with_short_silences_every_pause_ends_the_turn(
    stack: Any, query: dict[str, Any], turns: list[str]
) -> None:
    async with stack(utterances("one two", 500, "three", 500, "four"), replacing=True) as running:
        client = await session(running.url, 4000, **UNIVERSAL_3, **query)
    assert client.finals == turns


@pytest.mark.check(70)
async def test_format_turns_makes_no_difference(stack: Any) -> None:
    async with stack(TALK, replacing=True) as running:
        plain = await session(running.url, TALK_MS, **UNIVERSAL_3)
        formatted = await session(running.url, TALK_MS, format_turns="true", **UNIVERSAL_3)
    ended = [[turn for turn in client.turns if turn["end_of_turn"]] for client in (plain, formatted)]
    assert ended[0] == ended[1]
    assert len(ended[0]) == 2
