"""Turns, lags and renderings, from messages alone."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamingstack_cli.transcript import Summary, Transcript, Turn, Word, as_json, as_srt, as_text


def message(order: int, text: str, *, end: bool = False, formatted: bool = False, start: int = 0) -> dict[str, Any]:
    words = [
        {"text": word, "start": start + 500 * place, "end": start + 500 * place + 400}
        for place, word in enumerate(text.split())
    ]
    return {
        "type": "Turn",
        "turn_order": order,
        "turn_is_formatted": formatted,
        "end_of_turn": end,
        "transcript": text,
        "words": words,
    }


def spoken_at(milliseconds: int) -> float:
    return 100 + milliseconds / 1000


def test_a_formatted_session_shows_each_turn_once_and_formatted() -> None:
    transcript = Transcript(spoken_at)
    taken = [
        transcript.take(message(0, "hello"), 101.0),
        transcript.take(message(0, "hello there", end=True), 102.0),
        transcript.take(message(0, "Hello, there.", end=True, formatted=True), 102.1),
    ]
    assert [turn.text for turn in taken if turn] == ["Hello, there."]
    assert as_text(transcript.turns) == "Hello, there.\n"


def test_an_unformatted_session_shows_the_end_of_turn() -> None:
    transcript = Transcript(spoken_at, formatted=False)
    turn = transcript.take(message(0, "hello there", end=True), 102.0)
    assert turn is not None
    assert turn.text == "hello there"


def test_a_words_lag_is_from_its_end_in_the_audio_to_when_it_first_showed() -> None:
    transcript = Transcript(spoken_at)
    transcript.take(message(0, "hello"), 101.0)
    transcript.take(message(0, "hello there"), 101.9)
    transcript.take(message(0, "hello there", end=True), 105.0)
    transcript.take(message(0, "Hello there.", end=True, formatted=True), 106.0)
    summary = transcript.summary(2.0)
    assert summary.words == 2
    assert summary.lag_p50 == pytest.approx((0.6 + 1.0) / 2)
    assert summary.lag_p95 == pytest.approx(1.0)


def test_a_word_that_changed_shows_first_when_it_got_its_final_form() -> None:
    transcript = Transcript(spoken_at)
    transcript.take(message(0, "yellow"), 101.0)
    transcript.take(message(0, "Hello"), 103.0)
    transcript.take(message(0, "Hello.", end=True, formatted=True), 104.0)
    assert transcript.summary(1.0).lag_p50 == pytest.approx(103.0 - 100.4)


def test_a_session_without_words_has_no_lag() -> None:
    summary = Transcript(spoken_at).summary(3.0)
    assert summary == Summary(0, 3.0, None, None)
    assert str(summary) == "0 words in 3.0 s of audio; no lag"


def test_json_holds_the_servers_turns_and_the_summary() -> None:
    transcript = Transcript(spoken_at)
    final = message(0, "Grüße.", end=True, formatted=True)
    transcript.take(final, 101.0)
    document = json.loads(as_json(transcript.turns, transcript.summary(1.5), {"id": "s"}))
    assert document["turns"] == [final]
    assert document["session"] == {"id": "s"}
    assert document["summary"] == {"words": 1, "audio_seconds": 1.5, "lag_seconds": {"p50": 0.6, "p95": 0.6}}


def turn_of(*words: Word) -> Turn:
    return Turn(0, " ".join(word.text for word in words), words, {})


def test_srt_has_numbered_cues_with_clocks() -> None:
    turns = [turn_of(Word("Hello,", 0, 400), Word("there.", 500, 900)), turn_of(Word("Bye.", 3_661_001, 3_661_500))]
    assert as_srt(turns) == (
        "1\n00:00:00,000 --> 00:00:00,900\nHello, there.\n\n2\n01:01:01,001 --> 01:01:01,500\nBye.\n"
    )


@given(st.lists(st.tuples(st.integers(1, 14), st.integers(0, 900), st.integers(1, 900)), max_size=80))
def test_srt_cues_keep_every_word_in_order_and_stay_short(lengths: list[tuple[int, int, int]]) -> None:
    words, at = [], 0
    for number, (length, pause, spoken) in enumerate(lengths):
        at += pause
        words.append(Word(chr(97 + number % 26) * length, at, at + spoken))
        at += spoken
    text = as_srt([turn_of(*words)] if words else [])
    bodies = [block.split("\n", 2)[2].strip("\n") for block in text.split("\n\n") if block]
    assert " ".join(bodies).split() == [word.text for word in words]
    assert all(len(body) <= 84 and body.count("\n") <= 1 for body in bodies)
    clocks = re.findall(r"\d\d:\d\d:\d\d,\d{3}", text)
    assert clocks == sorted(clocks)


def test_nothing_said_is_an_empty_srt() -> None:
    assert as_srt([]) == ""
