"""Checks of the protocol: turns of Universal-Streaming, explicitly; the client itself checks more of every message."""

import asyncio
import itertools
import string
import time
from typing import Any

import pytest
from conversations import Listening, session, speak, utterances
from streamingstack_bench.scripted import Script
from streamingstack_bench.wire_client import wire_client
from streamingstack_bench.wire_rules import Message

THRESHOLD = "end_of_turn_confidence_threshold"
MULTILINGUAL = "universal-streaming-multilingual"
TALK = utterances("Hello there, this is", 200, "a test.", 2000, "And it goes on.", 1500, "Done.")
TALK_MS = 10_000
PLAIN = ["hello there this is a test", "and it goes on", "done"]
FORMATTED = ["Hello there, this is a test.", "And it goes on.", "Done."]
FLAGS = {"turn_order", "turn_is_formatted", "end_of_turn"}
OF_A_TURN = FLAGS | {"transcript", "end_of_turn_confidence", "words", "utterance"}
OF_A_WORD = {"text", "start", "end", "confidence", "word_is_final"}


async def talk(stack: Any, **query: Any) -> list[Message]:
    """The turns of a session in real time's order, from chunks that are heard one after the other."""
    async with stack(TALK) as running, wire_client(running.url, **query) as client:
        listening = Listening(client)
        for _ in range(TALK_MS // 50):
            await client.audio(50, chunk_ms=50)
            await asyncio.sleep(0.005)
        await client.say("Terminate")
        assert await listening.end() == (1000, "Session Ended")
    return client.turns


def ends(turns: list[Message]) -> list[Message]:
    return [turn for turn in turns if turn["end_of_turn"]]


@pytest.mark.check(43, 44, 53)
async def test_without_format_turns_each_turn_ends_once_in_plain_text(stack: Any) -> None:
    turns = await talk(stack)
    assert [turn["turn_order"] for turn in ends(turns)] == [0, 1, 2]
    assert not any(turn["turn_is_formatted"] for turn in turns)
    said = [turn["transcript"] for turn in ends(turns)]
    assert said == PLAIN
    assert not set("".join(said)) & set(string.ascii_uppercase + ".,?!")


@pytest.mark.check(45, 54)
async def test_with_format_turns_each_turn_ends_plain_and_right_after_it_formatted(stack: Any) -> None:
    turns = await talk(stack, format_turns="true")
    ended = [(turn["turn_order"], turn["turn_is_formatted"]) for turn in ends(turns)]
    assert ended == [(0, False), (0, True), (1, False), (1, True), (2, False), (2, True)]
    for plain, formatted in zip(ends(turns)[::2], ends(turns)[1::2], strict=True):
        assert turns[turns.index(plain) + 1] is formatted
        assert formatted["utterance"] == ""
        assert formatted["transcript"] in FORMATTED
        assert formatted["transcript"].lower().translate(str.maketrans("", "", ".,?!")) == plain["transcript"]


@pytest.mark.check(46)
@pytest.mark.parametrize("formats", ["true", "false"])
async def test_every_turn_and_every_word_has_all_its_keys(stack: Any, formats: str) -> None:
    turns = await talk(stack, format_turns=formats)
    words = [word for turn in turns for word in turn["words"]]
    assert all(turn.keys() >= OF_A_TURN for turn in turns)
    assert all(word.keys() >= OF_A_WORD for word in words)
    assert all(type(word["start"]) is type(word["end"]) is int and word["start"] <= word["end"] for word in words)
    confidences = [turn["end_of_turn_confidence"] for turn in turns] + [word["confidence"] for word in words]
    assert all(0 <= confidence <= 1 for confidence in confidences)


@pytest.mark.check(47)
async def test_the_order_of_turns_grows_by_one_after_each_end(stack: Any) -> None:
    turns = await talk(stack)
    expected = 0
    for turn in turns:
        assert turn["turn_order"] == expected
        expected += turn["end_of_turn"]
    assert expected == 3


@pytest.mark.check(48, 49, 50)
async def test_final_words_stay_and_only_the_last_word_may_be_unfinished(stack: Any) -> None:
    turns = await talk(stack)
    for _, of_one in itertools.groupby(turns, lambda turn: turn["turn_order"]):
        kept: list[Any] = []
        messages = list(of_one)
        assert len(messages) > 2, "partials"
        for turn in messages:
            assert all(word["word_is_final"] for word in turn["words"][:-1])
            final = [(word["text"], word["start"], word["end"]) for word in turn["words"] if word["word_is_final"]]
            assert final[: len(kept)] == kept
            assert turn["transcript"] == " ".join(text for text, _, _ in final)
            kept = final
        assert all(word["word_is_final"] for word in messages[-1]["words"])
    assert any(not word["word_is_final"] for turn in turns for word in turn["words"])


@pytest.mark.check(51)
async def test_words_lie_in_the_audio_one_after_the_other(stack: Any) -> None:
    words = [word for turn in ends(await talk(stack)) for word in turn["words"]]
    times = [time_ for word in words for time_ in (word["start"], word["end"])]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= TALK_MS


@pytest.mark.check(52, 56)
async def test_a_partial_comes_soon_and_the_end_soon_after_the_speech_with_nothing_more_said(stack: Any) -> None:
    script = utterances("Hello there, this is a test.")
    voice, silence = script.words[0].start_ms / 1000, script.words[-1].end_ms / 1000
    async with stack(script) as running, wire_client(running.url) as client:
        listening, began = Listening(client), time.monotonic()
        await speak(client, round(1000 * silence) + 3000, began)
        first, ended = listening.when(type="Turn"), listening.when(end_of_turn=True)
        await client.say("Terminate")
        await listening.end()
    assert first - (began + voice) < 1.5
    assert first < ended < began + silence + 1.280 + 1.0
    assert client.finals == ["hello there this is a test"]


@pytest.mark.check(55)
async def test_ten_seconds_of_silence_are_no_turn(stack: Any) -> None:
    for replacing, model in ((False, "universal-streaming-english"), (True, "universal-3-5-pro")):
        async with stack(Script([]), replacing=replacing) as running:
            client = await session(running.url, 10_000, speech_model=model)
        assert [message["type"] for message in client.messages] == ["Begin", "Termination"]


@pytest.mark.check(57)
async def test_without_more_audio_a_turn_stays_open_until_terminate(stack: Any) -> None:
    async with stack(utterances("one two three")) as running, wire_client(running.url) as client:
        listening = Listening(client)
        await client.audio(1500)
        await asyncio.sleep(5)
        assert client.turns
        assert not ends(client.turns)
        await client.say("Terminate")
        assert await listening.end() == (1000, "Session Ended")
    assert client.finals == ["one two three"]


@pytest.mark.parametrize(
    ("query", "turns"),
    [
        pytest.param({THRESHOLD: 1, "max_turn_silence": 2000}, ["one two three"], marks=pytest.mark.check(58)),
        pytest.param({THRESHOLD: 1, "max_turn_silence": 500}, ["one two", "three"], marks=pytest.mark.check(58)),
        pytest.param({THRESHOLD: 0, "min_turn_silence": 200}, ["one two", "three"], marks=pytest.mark.check(59)),
    ],
)
@pytest.mark.parametrize("score", [0.1, 1.0], ids=["unsure", "sure"])
async def test_a_second_of_silence_ends_a_turn_or_not(
    stack: Any, query: dict[str, Any], turns: list[str], score: float
) -> None:
    async with stack(utterances("one two", 1000, "three", eot_score=score)) as running:
        client = await session(running.url, 5000, **query)
    assert client.finals == turns


@pytest.mark.check(60)
async def test_the_utterances_of_a_turn_are_its_text(stack: Any) -> None:
    turns = await talk(stack)
    said = {order: [turn["utterance"] for turn in some if turn["utterance"]]
            for order, some in itertools.groupby(turns, lambda turn: turn["turn_order"])}  # fmt: skip
    assert said == {0: ["hello there this is", "a test"], 1: ["and it goes on"], 2: ["done"]}


@pytest.mark.check(61)
async def test_the_language_is_named_where_an_utterance_or_a_turn_ends_and_never_null(stack: Any) -> None:
    turns = await talk(stack, speech_model=MULTILINGUAL, language_detection="true")
    for turn in turns:
        named = turn["end_of_turn"] or turn["utterance"] != ""
        assert ("language_code" in turn) is ("language_confidence" in turn) is named
        if named:
            assert turn["language_code"] == "en"
            assert 0 <= turn["language_confidence"] <= 1
    assert any("language_code" not in turn for turn in turns)


@pytest.mark.check(61)
async def test_without_being_asked_for_no_language_is_named(stack: Any) -> None:
    assert not any("language_code" in turn or "language_confidence" in turn for turn in await talk(stack))


@pytest.mark.check(63)
async def test_without_partials_only_ends_of_turn_come(stack: Any) -> None:
    turns = await talk(stack, include_partial_turns="false")
    assert [turn["transcript"] for turn in turns] == PLAIN
    assert all(turn["end_of_turn"] for turn in turns)
