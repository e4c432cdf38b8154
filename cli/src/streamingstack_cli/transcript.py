"""What a session said, from its Turn messages: final turns, when each word first showed, and their renderings; pure."""

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# A subtitle holds at most two lines of this, and this long.
_CUE_CHARACTERS = 84
_CUE_MS = 6000


@dataclass(frozen=True)
class Word:
    """A word of a final turn; times in milliseconds of audio."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Turn:
    """A final turn; `raw` is its message."""

    order: int
    text: str
    words: tuple[Word, ...]
    raw: Mapping[str, Any]

    @property
    def start(self) -> int:
        """Of its first word, ms."""
        return self.words[0].start if self.words else 0


@dataclass(frozen=True)
class Summary:
    """Counts and lags of a session; lags in seconds, None without words."""

    words: int
    audio_seconds: float
    lag_p50: float | None
    lag_p95: float | None

    def __str__(self) -> str:
        lag = f"lag p50 {self.lag_p50:.2f} s, p95 {self.lag_p95:.2f} s" if self.lag_p50 is not None else "no lag"
        return f"{self.words} words in {self.audio_seconds:.1f} s of audio; {lag}"


@dataclass
class Transcript:
    """Takes a session's Turn messages in order.

    `spoken_at` tells at which time a millisecond of the audio was sent: the lag of a word is the time it first showed,
    minus that of its end.
    """

    spoken_at: Callable[[int], float]
    formatted: bool = True
    turns: list[Turn] = field(default_factory=list)
    _showed: dict[int, list[tuple[str, float]]] = field(default_factory=dict)
    _settled: set[int] = field(default_factory=set)
    _lags: list[float] = field(default_factory=list)

    def take(self, message: Mapping[str, Any], now: float) -> Turn | None:
        """Note a Turn message that came at `now`; the turn, where the message is its final form."""
        order = int(message["turn_order"])
        words = [Word(str(word["text"]), int(word["start"]), int(word["end"])) for word in message["words"]]
        if order not in self._settled:
            self._note(order, words, now)
        if not message["end_of_turn"]:
            return None
        self._settle(order, words)
        if self.formatted and not message["turn_is_formatted"]:
            return None
        turn = Turn(order, str(message["transcript"]), tuple(words), dict(message))
        self.turns.append(turn)
        return turn

    def _note(self, order: int, words: Sequence[Word], now: float) -> None:
        """Keep since when each position of the turn shows its present word."""
        before = self._showed.get(order, [])
        self._showed[order] = [
            before[place] if place < len(before) and before[place][0] == _plain(word.text) else (_plain(word.text), now)
            for place, word in enumerate(words)
        ]

    def _settle(self, order: int, words: Sequence[Word]) -> None:
        """The turn's words are final at its first end; a formatted repetition adds nothing."""
        if order in self._settled:
            return
        self._settled.add(order)
        showed = self._showed.pop(order)
        self._lags += [since - self.spoken_at(word.end) for word, (_, since) in zip(words, showed, strict=True)]

    def summary(self, audio_seconds: float) -> Summary:
        """Words are those of the final turns."""
        words = sum(len(turn.words) for turn in self.turns)
        if not self._lags:
            return Summary(words, audio_seconds, None, None)
        ordered = sorted(self._lags)
        p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
        return Summary(words, audio_seconds, statistics.median(ordered), p95)


def _plain(text: str) -> str:
    """A word without case and punctuation: formatting is not another word."""
    return "".join(character for character in text.casefold() if character.isalnum()) or text


def as_text(turns: Sequence[Turn]) -> str:
    """One turn a line."""
    return "".join(f"{turn.text}\n" for turn in turns)


def as_json(turns: Sequence[Turn], summary: Summary, session: Mapping[str, Any]) -> str:
    """The session, its final turns as the server sent them, and the summary."""
    document = {
        "session": dict(session),
        "turns": [dict(turn.raw) for turn in turns],
        "summary": {
            "words": summary.words,
            "audio_seconds": round(summary.audio_seconds, 3),
            "lag_seconds": {"p50": _rounded(summary.lag_p50), "p95": _rounded(summary.lag_p95)},
        },
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def as_srt(turns: Sequence[Turn]) -> str:
    """SubRip: cues of at most two lines and six seconds, none across turns."""
    cues = [cue for turn in turns for cue in _cues(turn.words)]
    blocks = [
        f"{number}\n{_clock(cue[0].start)} --> {_clock(cue[-1].end)}\n{_wrapped([word.text for word in cue])}\n"
        for number, cue in enumerate(cues, 1)
    ]
    return "\n".join(blocks)


def _cues(words: Sequence[Word]) -> list[list[Word]]:
    cues: list[list[Word]] = []
    for word in words:
        cue = cues[-1] if cues else []
        length = sum(len(known.text) + 1 for known in cue) + len(word.text)
        if not cue or length > _CUE_CHARACTERS or word.end - cue[0].start > _CUE_MS:
            cues.append([word])
        else:
            cue.append(word)
    return cues


def _wrapped(words: Sequence[str]) -> str:
    text = " ".join(words)
    if len(text) <= _CUE_CHARACTERS // 2:
        return text
    breaks = [place for place, character in enumerate(text) if character == " "]
    if not breaks:
        return text
    middle = min(breaks, key=lambda place: abs(place - len(text) // 2))
    return f"{text[:middle]}\n{text[middle + 1 :]}"


def _clock(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02},{rest:03}"
