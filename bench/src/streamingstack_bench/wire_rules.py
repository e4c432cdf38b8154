"""The rules of the wire, written once: every message that a gateway sends must pass, in tests and under load."""

import json
import re
from typing import Any
from uuid import UUID

Message = dict[str, Any]

_TURN_KEYS = {
    "turn_order": int,
    "turn_is_formatted": bool,
    "end_of_turn": bool,
    "transcript": str,
    "end_of_turn_confidence": float,
    "words": list,
    "utterance": str,
}
_WORD_KEYS = {"text": str, "start": int, "end": int, "confidence": float, "word_is_final": bool}
_NUMBERS_INSIDE = re.compile(r"(?<=\d)[.,](?=\d)")


class WireViolation(AssertionError):
    """A message that would break a client; the text names the rule, never the words."""


class WireRules:
    """Checks one session's messages in order.

    `universal3` tells the family, `format_turns` what the client asked for, and may be set anew before an end of turn;
    `opted_in` the message types it asked for.
    `audio_ms`, where the caller keeps it up to date, bounds the times of words.
    """

    def __init__(
        self, *, universal3: bool = False, format_turns: bool = False, opted_in: frozenset[str] = frozenset()
    ) -> None:
        self.universal3 = universal3
        self.format_turns = format_turns
        self.audio_ms: int | None = None
        self._allowed = (
            {"Begin", "Turn", "Termination", "Error"} | opted_in | ({"SpeechStarted"} if universal3 else set())
        )
        self._begun = False
        self._over: Message | None = None
        self._order = 0
        self._floor_ms = 0
        self._finals: list[tuple[str, int, int]] = []
        self._utterances: list[str] = []
        self._speech_started = False
        self._ended: Message | None = None
        self._formatted_due = False
        self._taken_back = False

    def see(self, frame: str | bytes) -> Message:
        """Check one frame as it came from the socket; returns the message. Raises WireViolation."""
        _must(isinstance(frame, str), "messages are text frames")
        message = json.loads(frame)
        _must(isinstance(message, dict) and isinstance(message.get("type"), str), "an object with a string `type`")
        self.check(message)
        return dict(message)

    def check(self, message: Message) -> None:
        """Check one message. Raises WireViolation."""
        kind = message["type"]
        _must(kind in self._allowed, f"{kind} is sent only to clients that asked for it")
        _must(self._over is None, f"nothing after Termination or Error, not even {kind}")
        _must(self._begun != (kind == "Begin") or kind == "Error", "Begin is first, and only first")
        _must(kind == "Error" or "error" not in message, "no key `error` outside of Error")
        getattr(self, f"_check_{kind.lower()}", lambda _: None)(message)

    def closed(self, code: int, reason: str) -> None:
        """Check how the server closed. Raises WireViolation."""
        last = self._over["type"] if self._over else None
        if last == "Termination":
            _must((code, reason) == (1000, "Session Ended"), f"Termination, then close 1000, not {code}")
        if last == "Error":
            assert self._over is not None
            _must(code == self._over["error_code"], f"close code {code} is the Error's")
            _must(reason == "See Error message for details", "the reason points to the Error")

    def _check_begin(self, message: Message) -> None:
        self._begun = True
        UUID(message["id"])
        _must(type(message["expires_at"]) is int, "expires_at is an integer")
        configuration = message["configuration"]
        for key in ("model", "mode", "api_version"):
            _must(configuration[key] is None or isinstance(configuration[key], str), f"{key} is a string or null")

    def _check_speechstarted(self, message: Message) -> None:
        _must(type(message.get("timestamp")) is int, "timestamp is an integer")
        _must(_is_score(message.get("confidence")), "confidence is a number from 0 to 1")
        self._next_turn()
        _must(not self._speech_started and not self._finals, "one SpeechStarted a turn, before its first Turn")
        self._speech_started = True

    def _check_termination(self, message: Message) -> None:
        for key in ("audio_duration_seconds", "session_duration_seconds"):
            _must(type(message.get(key)) is int and message[key] >= 0, f"{key} is an integer")
        followed = self._ended is not None or self._taken_back
        _must(not self._speech_started or followed, "every SpeechStarted is followed by a Turn, ended or taken back")
        self._turn_is_complete()
        self._over = message

    def _check_error(self, message: Message) -> None:
        _must(
            type(message.get("error_code")) is int and isinstance(message.get("error"), str), "Error has code and text"
        )
        self._over = message

    def _check_turn(self, turn: Message) -> None:
        _has_keys(turn, _TURN_KEYS)
        _must("language_code" not in turn or isinstance(turn["language_code"], str), "language_code is never null")
        _must(_is_score(turn["end_of_turn_confidence"]), "end_of_turn_confidence is from 0 to 1")
        if self._ended is not None and turn["turn_order"] == self._order and turn["turn_is_formatted"]:
            self._check_formatted(turn)
            return
        self._next_turn()
        _must(turn["turn_order"] == self._order, f"turn {self._order} is next, not {turn['turn_order']}")
        self._check_words(turn)
        if self.universal3:
            self._check_universal3(turn)
        else:
            self._check_universal(turn)
        if turn["end_of_turn"]:
            self._ended, self._formatted_due = turn, self.format_turns

    def _check_words(self, turn: Message) -> None:
        end = self._floor_ms
        for word in turn["words"]:
            _has_keys(word, _WORD_KEYS)
            _must(_is_score(word["confidence"]), "a word's confidence is from 0 to 1")
            _must(end <= word["start"] <= word["end"], "words are in order and do not overlap")
            _must(bool(word["text"].strip()), "a word has text")
            end = word["end"]
        _must(self.audio_ms is None or end <= self.audio_ms, "words lie within the audio sent")
        if turn["end_of_turn"]:
            _must(bool(turn["transcript"]), "an end of turn has text")
            _must(all(word["word_is_final"] for word in turn["words"]), "an end of turn has final words only")
            _must(turn["transcript"] == _join(turn["words"]), "the transcript is its words")

    def _check_universal(self, turn: Message) -> None:
        _must(not turn["turn_is_formatted"], "formatted only after the end of turn")
        words = turn["words"]
        _must(all(word["word_is_final"] for word in words[:-1]), "only the last word may be unfinished")
        final = [word for word in words if word["word_is_final"]]
        _must(turn["transcript"] == _join(final), "the transcript is the final words")
        finals = [(word["text"], word["start"], word["end"]) for word in final]
        _must(finals[: len(self._finals)] == self._finals, "final words never change")
        _must(_is_plain(turn["transcript"]) and _is_plain(turn["utterance"]), "unformatted: lower case, no punctuation")
        self._finals = finals
        if turn["utterance"]:
            self._utterances.append(turn["utterance"])
        if turn["end_of_turn"]:
            _must(" ".join(self._utterances) == turn["transcript"], "the utterances are the turn")

    def _check_universal3(self, turn: Message) -> None:
        _must(self._speech_started, "SpeechStarted comes before the first Turn")
        end = turn["end_of_turn"]
        _must(turn["turn_is_formatted"] == end, "formatted is the same as ended")
        _must(turn["end_of_turn_confidence"] == (1 if end else 0), "confidence is 1 at the end, 0 before")
        _must(turn["utterance"] == (turn["transcript"] if end else ""), "the utterance is the ended turn")
        _must(end or not any(word["word_is_final"] for word in turn["words"]), "partials have no final word")
        _must(turn["transcript"] == _join(turn["words"]), "the transcript is its words")
        self._finals = [(word["text"], word["start"], word["end"]) for word in turn["words"]]
        self._taken_back = not turn["words"]  # nothing was said after all: such a turn may go on, or never end

    def _check_formatted(self, turn: Message) -> None:
        assert self._ended is not None
        _must(self._formatted_due and not self.universal3, "a second end of turn only with format_turns")
        _must(turn["end_of_turn"] and turn["utterance"] == "", "the formatted message ends the turn, utterance empty")
        _must(not self._ended["turn_is_formatted"], "one formatted message a turn")
        self._check_words(turn)
        same = "end_of_turn_confidence"
        _must(turn[same] == self._ended[same], "the formatted message keeps the confidence")
        plain, formatted = self._ended["words"], turn["words"]
        _must(
            (plain[0]["start"], plain[-1]["end"]) == (formatted[0]["start"], formatted[-1]["end"]),
            "the formatted message spans the same time",
        )
        self._ended = turn

    def _turn_is_complete(self) -> None:
        """Before the next turn or the end: an ended turn has its formatted message, an open one may be open."""
        if self._ended is not None and not self.universal3:
            _must(self._ended["turn_is_formatted"] == self._formatted_due, "a formatted message iff format_turns")

    def _next_turn(self) -> None:
        """Go on to the next turn if this one has ended."""
        if self._ended is None:
            return
        self._turn_is_complete()
        self._order += 1
        self._floor_ms = max([self._floor_ms, *(word["end"] for word in self._ended["words"])])
        self._finals, self._utterances = [], []
        self._speech_started = self._taken_back = False
        self._ended = None


def _must(holds: bool, rule: str) -> None:
    if not holds:
        raise WireViolation(rule)


def _has_keys(thing: Message, keys: dict[str, type]) -> None:
    for key, kind in keys.items():
        _must(key in thing, f"{key} is there")
        kinds = (int, float) if kind is float else (kind,)
        _must(type(thing[key]) in kinds, f"{key} is {kind.__name__}")


def _is_score(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value <= 1  # type: ignore[operator]


def _join(words: list[Message]) -> str:
    return " ".join(word["text"] for word in words)


def _is_plain(text: str) -> bool:
    return text == text.lower() and not set(_NUMBERS_INSIDE.sub("", text)) & set(".,?!")
