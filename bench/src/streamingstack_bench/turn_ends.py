"""Which silence ended a turn, and how much of it was waited for. Pure.

The wire tells when an end of turn came and how finished the speaker sounded, not at which silence it was decided. The
silences are known: the session's own voice activity, heard again, has them to the frame. Of the silences that a rule
may end at, the last one before the message is the one; where the score was looked at several times in one silence, the
score that the message carries tells which.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from streamingstack_bench.clips import RATE
from streamingstack_bench.records import Received
from streamingstack_bench.voices import FRAME_S, Span, silences

STEP_MS = 240  # between two looks at the score
SAME_SCORE = 0.01
_GLIMPSE = RATE * 4 // 10  # the recogniser looks here too, not only at the end of a frame
_FRAME = round(FRAME_S * RATE)

ScoreAt = Callable[[int, int], float]  # (first sample of the turn's audio, sample after its last): 0 to 1


@dataclass(frozen=True, slots=True)
class Rules:
    """What ends a turn in a session; silences in milliseconds."""

    universal3: bool
    min_turn_silence: int
    max_turn_silence: int
    threshold: float
    vad_threshold: float

    @classmethod
    def told(cls, configuration: Mapping[str, Any]) -> "Rules":
        """As Begin tells it. Raises KeyError where the server does not say so much."""
        return cls(
            configuration["model"].startswith(("universal-3-", "u3-")),
            configuration["min_turn_silence"],
            configuration["max_turn_silence"],
            configuration["end_of_turn_confidence_threshold"],
            configuration["vad_threshold"],
        )

    def silences(self, confidence: float) -> list[int]:
        """The silences at which an end with this confidence may have been decided."""
        if self.min_turn_silence >= self.max_turn_silence:
            return [self.max_turn_silence]
        if self.universal3:
            return [self.min_turn_silence, self.max_turn_silence]
        if self.threshold < 1 and confidence >= self.threshold:
            return [*range(self.min_turn_silence, self.max_turn_silence, STEP_MS), self.max_turn_silence]
        return [self.max_turn_silence]


@dataclass(frozen=True, slots=True)
class TurnEnd:
    """An end of turn and the silence that ended it; `semantic`: before `max_turn_silence`."""

    arrived_s: float
    silence_from_s: float
    waited_ms: int
    semantic: bool

    @property
    def excess_s(self) -> float:
        """What came on top of the silence."""
        return self.arrived_s - self.silence_from_s - self.waited_ms / 1000


def turn_ends(
    received: Sequence[Received], heard: Sequence[Span], audio_s: float, rules: Rules, score_at: ScoreAt
) -> list[TurnEnd | None]:
    """Each end of turn, its unformatted message where there are two; None: no silence explains it.

    `heard` are the session's voices by its own threshold.
    """
    quiet = silences(heard, audio_s)
    closed = [look_at(silence, rules.max_turn_silence) for silence in quiet if _lasts(silence, rules.max_turn_silence)]
    ends: list[TurnEnd | None] = []
    decided = 0
    for message in _first_ends(received):
        looks = [
            Look(at, silence, waited)
            for silence in quiet
            for waited in rules.silences(message.message["end_of_turn_confidence"])
            if decided <= silence.start_s * RATE
            and _lasts(silence, waited)
            and (at := look_at(silence, waited)) <= message.at_s * RATE
        ]
        if not looks:
            ends.append(None)
            continue
        floors = [decided, *(at for at in closed if at > decided)]
        look = _chosen(looks, message, rules, partial(_score, score_at, heard, floors))
        ends.append(
            TurnEnd(message.at_s, look.silence.start_s, look.waited_ms, look.waited_ms < rules.max_turn_silence)
        )
        decided = look.at
    return ends


@dataclass(frozen=True, slots=True)
class Look:
    """A place where the rules may have ended a turn: the sample, its silence, and how much of it had passed."""

    at: int
    silence: Span
    waited_ms: int


def look_at(silence: Span, waited_ms: int) -> int:
    """The sample at which a recogniser asks about `waited_ms` of this silence."""
    reached = round(silence.start_s * RATE) + waited_ms * RATE // 1000
    return min(-(-reached // _FRAME) * _FRAME, -(-reached // _GLIMPSE) * _GLIMPSE)


def _lasts(silence: Span, waited_ms: int) -> bool:
    return look_at(silence, waited_ms) <= round(silence.end_s * RATE)


def _first_ends(received: Sequence[Received]) -> list[Received]:
    ends: dict[int, Received] = {}
    for item in received:
        if item.message.get("type") == "Turn" and item.message["end_of_turn"]:
            ends.setdefault(item.message["turn_order"], item)
    return [ends[order] for order in sorted(ends)]


def _begin(heard: Sequence[Span], floors: Sequence[int], at: int) -> int:
    """First sample of the audio that was scored at `at`: half a second before the segment's first voice, never before
    the last of `floors`, where segments ended."""
    floor = max(end for end in floors if end < at)
    voice = next((round(span.start_s * RATE) for span in heard if round(span.end_s * RATE) > floor), floor)
    return max(floor, voice - RATE // 2)


def _score(score_at: ScoreAt, heard: Sequence[Span], floors: Sequence[int], at: int) -> float:
    return score_at(_begin(heard, floors, at), at)


def _chosen(looks: Sequence[Look], message: Received, rules: Rules, score_at: Callable[[int], float]) -> Look:
    latest = looks[::-1]
    if rules.universal3 or len(latest) == 1:
        return latest[0]
    told = message.message["end_of_turn_confidence"]
    return next((look for look in latest if abs(score_at(look.at) - told) <= SAME_SCORE), latest[0])
