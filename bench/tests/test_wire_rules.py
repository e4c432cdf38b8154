"""The rules of the wire catch what they are there for: one legal session of each family, then one thing wrong in it."""

import copy
import json
from collections.abc import Sequence
from typing import Any

import pytest
from streamingstack_bench.wire_rules import WireRules, WireViolation

GONE = object()
ERROR = {"type": "Error", "error_code": 3005, "error": "Session Cancelled: An error occurred"}


def word(text: str, start: int, end: int, *, final: bool = True) -> dict[str, Any]:
    return {"text": text, "start": start, "end": end, "confidence": 0.9, "word_is_final": final}


def turn(order: int, *words: dict[str, Any], said: str, **others: Any) -> dict[str, Any]:
    usual = {"turn_is_formatted": False, "end_of_turn": False, "end_of_turn_confidence": 0, "utterance": ""}
    return {"type": "Turn", "turn_order": order, "transcript": said, "words": list(words), **usual, **others}


def ended(order: int, *words: dict[str, Any], utterance: str = "", score: float = 0.7, plain: bool) -> dict[str, Any]:
    said = " ".join(one["text"] for one in words)
    others = {"turn_is_formatted": not plain, "end_of_turn": True, "end_of_turn_confidence": score}
    return turn(order, *words, said=said, utterance=utterance, **others)


BEGIN = {
    "type": "Begin",
    "id": "5f0c9b0e-6f0e-4d0b-9a53-2f6f1b8f2c11",
    "expires_at": 1_800_000_000,
    "configuration": {"model": "universal-streaming-english", "mode": None, "api_version": "v3"},
}
TERMINATION = {"type": "Termination", "audio_duration_seconds": 3, "session_duration_seconds": 4}
NOON = [word("high", 100, 300), word("noon", 320, 600)]
SHOWN = [word("High", 100, 300), word("noon.", 320, 600)]
UNIVERSAL = [
    BEGIN,
    turn(0, word("high", 100, 300), word("no", 320, 400, final=False), said="high"),
    ended(0, *NOON, utterance="high noon", plain=True),
    ended(0, *SHOWN, plain=False),
    turn(1, word("yes", 900, 1100), said="yes", utterance="yes"),
    ended(1, word("yes", 900, 1100), plain=True),
    ended(1, word("Yes.", 900, 1100), plain=False),
    TERMINATION,
]
SECOND_ENDED = 5
STARTED = {"type": "SpeechStarted", "timestamp": 90, "confidence": 0.8}
UNIVERSAL_3 = [
    BEGIN,
    STARTED,
    turn(0, word("Hi", 100, 300, final=False), said="Hi"),
    ended(0, *SHOWN, utterance="High noon.", score=1, plain=False),
    {**STARTED, "timestamp": 880},
    ended(1, word("Yes.", 900, 1100), utterance="Yes.", score=1, plain=False),
    TERMINATION,
]


def check(session: Sequence[Any], *, closed: tuple[int, str] = (1000, "Session Ended"), **rules: Any) -> None:
    judge = WireRules(**rules)
    judge.audio_ms = 3000
    for message in session:
        judge.see(message if isinstance(message, bytes) else json.dumps(message))
    judge.closed(*closed)


def with_change(session: Sequence[Any], at: int, *path: str | int, value: Any) -> list[Any]:
    """The session with another value, or without one, at one place of its message `at`."""
    changed: list[Any] = copy.deepcopy(list(session))
    place: Any = changed
    for step in (at, *path)[:-1]:
        place = place[step]
    last = (at, *path)[-1]
    if value is GONE:
        del place[last]
    else:
        place[last] = value
    return changed


def test_a_legal_session_of_each_family_passes() -> None:
    check(UNIVERSAL, format_turns=True)
    check(UNIVERSAL_3, universal3=True)
    check([message for message in UNIVERSAL if not message.get("turn_is_formatted")])
    check([BEGIN, ERROR], closed=(3005, "See Error message for details"))
    check([ERROR], closed=(3005, "See Error message for details"))
    check([BEGIN, {"type": "Heartbeat"}, TERMINATION], opted_in=frozenset({"Heartbeat"}))


TURN_KEYS = [key for key in UNIVERSAL[1] if key != "type"]


@pytest.mark.parametrize("key", TURN_KEYS)
def test_a_turn_without_one_of_its_keys_is_reported(key: str) -> None:
    with pytest.raises(WireViolation, match=f"{key} is there"):
        check(with_change(UNIVERSAL, 1, key, value=GONE), format_turns=True)


@pytest.mark.parametrize("key", list(NOON[0]))
def test_a_word_without_one_of_its_keys_is_reported(key: str) -> None:
    with pytest.raises(WireViolation, match=f"{key} is there"):
        check(with_change(UNIVERSAL, 1, "words", 0, key, value=GONE), format_turns=True)


@pytest.mark.parametrize(
    ("at", "path", "value", "rule"),
    [
        (0, ("expires_at",), 1.5, "expires_at is an integer"),
        (0, ("configuration", "mode"), 7, "mode is a string or null"),
        (1, ("type",), 7, "an object with a string `type`"),
        (1, ("type",), "Warning", "only to clients that asked"),
        (1, ("type",), "SpeechStarted", "only to clients that asked"),
        (1, ("error",), "x", "no key `error` outside of Error"),
        (1, ("turn_order",), 0.0, "turn_order is int"),
        (1, ("turn_order",), 1, "turn 0 is next, not 1"),
        (1, ("turn_is_formatted",), 0, "turn_is_formatted is bool"),
        (1, ("turn_is_formatted",), True, "formatted only after the end"),
        (1, ("language_code",), None, "language_code is never null"),
        (1, ("end_of_turn_confidence",), True, "end_of_turn_confidence is float"),
        (1, ("end_of_turn_confidence",), 1.2, "end_of_turn_confidence is from 0 to 1"),
        (1, ("transcript",), "high no", "the transcript is the final words"),
        (1, ("words", 0, "start"), 100.0, "start is int"),
        (1, ("words", 0, "end"), 330, "in order and do not overlap"),
        (1, ("words", 0, "confidence"), -0.1, "a word's confidence"),
        (1, ("words", 0, "word_is_final"), False, "only the last word may be unfinished"),
        (1, ("words", 1, "text"), " ", "a word has text"),
        (1, ("words", 1, "end"), 3001, "within the audio sent"),
        (2, ("words", 0, "start"), 101, "final words never change"),
        (2, ("words", 1, "word_is_final"), False, "final words only"),
        (2, ("transcript",), "", "an end of turn has text"),
        (2, ("utterance",), "high", "the utterances are the turn"),
        (2, ("utterance",), "High noon.", "lower case, no punctuation"),
        (3, ("utterance",), "high noon", "utterance empty"),
        (3, ("end_of_turn",), False, "the formatted message ends the turn"),
        (3, ("end_of_turn_confidence",), 0.6, "keeps the confidence"),
        (3, ("words", 1, "end"), 610, "spans the same time"),
        (3, ("transcript",), "High noon!", "the transcript is its words"),
        (4, ("words", 0, "start"), 590, "in order and do not overlap"),
        (7, ("audio_duration_seconds",), 3.0, "audio_duration_seconds is an integer"),
        (7, ("session_duration_seconds",), GONE, "session_duration_seconds is an integer"),
    ],
)
def test_what_is_wrong_in_one_message_is_reported(at: int, path: tuple[str | int, ...], value: Any, rule: str) -> None:
    with pytest.raises(WireViolation, match=rule):
        check(with_change(UNIVERSAL, at, *path, value=value), format_turns=True)


@pytest.mark.parametrize("path", [("id",), ("expires_at",), ("configuration",), ("configuration", "model")])
def test_a_begin_without_one_of_its_keys_is_malformed(path: tuple[str, ...]) -> None:
    with pytest.raises(KeyError):
        check(with_change(UNIVERSAL, 0, *path, value=GONE), format_turns=True)


def test_a_session_id_that_is_none_is_malformed() -> None:
    with pytest.raises(ValueError, match="UUID"):
        check(with_change(UNIVERSAL, 0, "id", value="session"), format_turns=True)


@pytest.mark.parametrize(
    ("at", "path", "value", "rule"),
    [
        (1, ("confidence",), GONE, "confidence is a number from 0 to 1"),
        (1, ("timestamp",), 90.0, "timestamp is an integer"),
        (2, ("words", 0, "word_is_final"), True, "partials have no final word"),
        (2, ("turn_is_formatted",), True, "formatted is the same as ended"),
        (2, ("end_of_turn_confidence",), 0.5, "confidence is 1 at the end, 0 before"),
        (2, ("utterance",), "Hi", "the utterance is the ended turn"),
        (2, ("transcript",), "", "the transcript is its words"),
        (3, ("end_of_turn_confidence",), 0.9, "confidence is 1 at the end, 0 before"),
        (3, ("utterance",), "", "the utterance is the ended turn"),
        (3, ("turn_order",), 1, "turn 0 is next, not 1"),
    ],
)
def test_what_is_wrong_in_one_message_of_universal_3_is_reported(
    at: int, path: tuple[str | int, ...], value: Any, rule: str
) -> None:
    with pytest.raises(WireViolation, match=rule):
        check(with_change(UNIVERSAL_3, at, *path, value=value), universal3=True)


@pytest.mark.parametrize(
    ("session", "rule"),
    [
        ([*UNIVERSAL[:3], *UNIVERSAL[4:]], "a formatted message iff format_turns"),
        ([*UNIVERSAL[: SECOND_ENDED + 1], TERMINATION], "a formatted message iff format_turns"),
        ([*UNIVERSAL[:4], *UNIVERSAL[3:]], "one formatted message a turn"),
        ([BEGIN, *UNIVERSAL], "Begin is first, and only first"),
        (UNIVERSAL[1:], "Begin is first, and only first"),
        ([*UNIVERSAL, UNIVERSAL[1]], "nothing after Termination or Error, not even Turn"),
        ([BEGIN, ERROR, TERMINATION], "nothing after Termination or Error, not even Termination"),
        ([BEGIN, {**ERROR, "error_code": "3005"}], "Error has code and text"),
        ([BEGIN, {**ERROR, "error": None}], "Error has code and text"),
        ([BEGIN, json.dumps(UNIVERSAL[1]).encode()], "messages are text frames"),
        ([BEGIN, [1]], "an object with a string `type`"),
    ],
)
def test_what_is_wrong_in_the_order_or_the_kind_of_messages_is_reported(session: list[Any], rule: str) -> None:
    with pytest.raises(WireViolation, match=rule):
        check(session, format_turns=True)


def test_a_formatted_message_that_nobody_asked_for_is_reported() -> None:
    with pytest.raises(WireViolation, match="a second end of turn only with format_turns"):
        check(UNIVERSAL)


@pytest.mark.parametrize(
    ("session", "rule"),
    [
        ([BEGIN, *UNIVERSAL_3[2:]], "SpeechStarted comes before the first Turn"),
        ([*UNIVERSAL_3[:2], STARTED, *UNIVERSAL_3[2:]], "one SpeechStarted a turn"),
        ([*UNIVERSAL_3[:3], STARTED, *UNIVERSAL_3[3:]], "one SpeechStarted a turn"),
        ([*UNIVERSAL_3[:2], TERMINATION], "every SpeechStarted is followed by a Turn"),
        ([*UNIVERSAL_3[:4], UNIVERSAL_3[3]], "a second end of turn only with format_turns"),
    ],
)
def test_what_is_wrong_in_the_order_of_universal_3_is_reported(session: list[Any], rule: str) -> None:
    with pytest.raises(WireViolation, match=rule):
        check(session, universal3=True)


@pytest.mark.parametrize(
    ("last", "closed", "rule"),
    [
        (TERMINATION, (1001, "Session Ended"), "Termination, then close 1000, not 1001"),
        (TERMINATION, (1000, ""), "Termination, then close 1000"),
        (ERROR, (3006, "See Error message for details"), "close code 3006 is the Error's"),
        (ERROR, (3005, "Session Cancelled"), "the reason points to the Error"),
    ],
)
def test_a_close_that_is_not_what_the_last_message_said_is_reported(
    last: dict[str, Any], closed: tuple[int, str], rule: str
) -> None:
    with pytest.raises(WireViolation, match=rule):
        check([BEGIN, last], closed=closed)
