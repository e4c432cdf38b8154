"""From sessions to what is said of their turns. Pure.

An *utterance* is a recording, or a part of one that was joined from several. An end of turn is *false* where its
silence lies inside an utterance: speech goes on behind it. The end of an utterance is the first end of turn whose
silence begins at the utterance's end or later, but before the next utterance.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from streamingstack_bench.clips import Programme
from streamingstack_bench.figures import Interval, Percentiles, error_rate, percentiles, pooled
from streamingstack_bench.records import Cost, Received, Session
from streamingstack_bench.scoring import clip_score
from streamingstack_bench.showing import final_words
from streamingstack_bench.turn_ends import TurnEnd
from streamingstack_bench.voices import Utterance
from streamingstack_bench.wording import WordErrors

# The session's threshold and the one of the truth may set the end of a voice some frames apart.
SLACK_S = 0.1


@dataclass(frozen=True)
class TurnSession:
    """A completed session, what is true of its audio, and the ends of its turns."""

    programme: Programme
    session: Session
    utterances: Sequence[Utterance]
    ends: Sequence[TurnEnd | None]


@dataclass(frozen=True)
class TurnFigures:
    """One configuration. Seconds, but for `waited` and counts; shares are of 1.

    `to_final`: from the end of speech to the end of turn, which is the sum of `voice` (until the session's voice
    activity heard silence), `waited` (the silence that ended the turn) and `own_excess`; `excess` is of all ends.
    `first_partial`: from the start of an utterance to the first words of its turn, where the turn before had ended;
    `unshown`: of those, the ones without a word before the next utterance. `joined`: utterances that had no end of
    their own. `unplaced`: ends that no silence explains.
    """

    sessions: int
    failed: dict[str, int]
    utterances: int
    speech_s: float
    audio_s: float
    ends: int
    to_final: Percentiles | None
    voice: Percentiles | None
    waited: Percentiles | None
    own_excess: Percentiles | None
    excess: Percentiles | None
    first_partial: Percentiles | None
    unshown: int
    false_ends: int
    false_per_minute: Interval | None
    semantic: float | None
    joined: int
    unplaced: int
    wer: Interval | None
    cost: Cost | None = None


def turn_figures(scored: Sequence[TurnSession], failed: Mapping[str, int], cost: Cost | None = None) -> TurnFigures:
    """Put the sessions of one configuration together."""
    own = [(utterance, end) for one in scored for utterance, end in own_ends(one.utterances, one.ends)]
    reached = [(utterance, end) for utterance, end in own if end is not None]
    placed = [end for one in scored for end in one.ends if end is not None]
    speech = [(utterance.clip, utterance.end_s - utterance.start_s) for utterance, _ in own]
    false = [utterance.clip for one in scored for utterance in _false_ends(one.utterances, one.ends)]
    shown = [lag for one in scored for lag in first_partials(one)]
    return TurnFigures(
        sessions=len(scored),
        failed=dict(failed),
        utterances=len(own),
        speech_s=sum(seconds for _, seconds in speech),
        audio_s=sum(one.session.sent_s for one in scored),
        ends=sum(len(one.ends) for one in scored),
        to_final=percentiles([end.arrived_s - utterance.end_s for utterance, end in reached]),
        voice=percentiles([end.silence_from_s - utterance.end_s for utterance, end in reached]),
        waited=percentiles([end.waited_ms / 1000 for _, end in reached]),
        own_excess=percentiles([end.excess_s for _, end in reached]),
        excess=percentiles([end.excess_s for end in placed]),
        first_partial=percentiles([lag for lag in shown if lag is not None]),
        unshown=shown.count(None),
        false_ends=len(false),
        false_per_minute=_per_minute(speech, false),
        semantic=sum(end.semantic for end in placed) / len(placed) if placed else None,
        joined=len(own) - len(reached),
        unplaced=sum(end is None for one in scored for end in one.ends),
        wer=error_rate(pooled(error for one in scored for error in _errors(one))),
        cost=cost,
    )


def own_ends(utterances: Sequence[Utterance], ends: Iterable[TurnEnd | None]) -> list[tuple[Utterance, TurnEnd | None]]:
    """Each utterance with the end of turn that is its own, None where it was joined with the next one."""
    placed = [end for end in ends if end is not None]
    nexts = [*(utterance.start_s for utterance in utterances[1:]), float("inf")]
    return [
        (utterance, next((e for e in placed if utterance.end_s - SLACK_S <= e.silence_from_s < following), None))
        for utterance, following in zip(utterances, nexts, strict=True)
    ]


def first_partials(one: TurnSession) -> list[float | None]:
    """Seconds from the start of each utterance to the first message with words of its turn; None: none came before the
    next utterance began.

    Left out: utterances whose turn had begun before, because the one before had no end in time.
    """
    found: list[float | None] = []
    before: float | None = float("-inf")
    nexts = [*(utterance.start_s for utterance in one.utterances[1:]), float("inf")]
    for (utterance, end), following in zip(own_ends(one.utterances, one.ends), nexts, strict=True):
        if before is not None and before <= utterance.start_s:
            shown = _words_after(one.session.received, max(before, 0.0))
            found.append(max(0.0, shown - utterance.start_s) if shown is not None and shown < following else None)
        before = end.arrived_s if end is not None else None
    return found


def _words_after(received: Iterable[Received], at_s: float) -> float | None:
    """The first Turn with words behind `at_s`, of a turn that had not ended by then."""
    ended = -1
    for item in received:
        if item.message.get("type") != "Turn":
            continue
        if item.at_s > at_s and item.message["turn_order"] > ended and item.message["words"]:
            return item.at_s
        if item.at_s <= at_s and item.message["end_of_turn"]:
            ended = item.message["turn_order"]
    return None


def _false_ends(utterances: Sequence[Utterance], ends: Iterable[TurnEnd | None]) -> list[Utterance]:
    return [
        utterance
        for end in ends
        if end is not None
        for utterance in utterances
        if utterance.start_s < end.silence_from_s < utterance.end_s - SLACK_S
    ]


def _per_minute(speech: Iterable[tuple[str, float]], false: Sequence[str]) -> Interval | None:
    """False ends by minutes of speech, with its interval over recordings; as an error rate, of milliseconds."""
    sums: dict[str, WordErrors] = {}
    for clip, seconds in speech:
        sums[clip] = sums.get(clip, WordErrors()) + WordErrors(words=round(seconds * 1000))
    for clip in false:
        sums[clip] += WordErrors(insertions=1)
    rate = error_rate(sums)
    return None if rate is None else Interval(*(60_000 * value for value in (rate.value, rate.low, rate.high)))


def _errors(one: TurnSession) -> list[tuple[str, WordErrors]]:
    """Finals against the reference, recording by recording."""
    programme = one.programme
    texts: list[list[str]] = [[] for _ in programme.clips]
    for word in final_words(one.session.received):
        texts[programme.clip_at((word.start_s + word.end_s) / 2)].append(word.text)
    scores = [clip_score(clip, " ".join(text), None) for clip, text in zip(programme.clips, texts, strict=True)]
    return [(score.clip, score.reference) for score in scores if score.reference is not None]


@dataclass(frozen=True)
class Forced:
    """What became of ForceEndpoints: seconds to the end of turn that each brought, and those that brought none.

    `unanswered`: words of the turn had been shown, and no end came before the next order; `wordless`: there was no turn
    to end. `failed` sessions, by what became of them, are in none of these.
    """

    lags: tuple[float, ...]
    unanswered: int = 0
    wordless: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)

    @property
    def to_final(self) -> Percentiles | None:
        """Of `lags`."""
        return percentiles(self.lags)

    @property
    def ordered(self) -> int:
        """All of them."""
        return len(self.lags) + self.unanswered + self.wordless


def forced(sessions: Sequence[Session], failed: Mapping[str, int]) -> Forced:
    """The ForceEndpoints of completed sessions."""
    lags: list[float] = []
    unanswered = wordless = 0
    for session in sessions:
        for sent, following in zip(session.ordered_s, [*session.ordered_s[1:], float("inf")], strict=True):
            until = [item for item in session.received if item.at_s < following and item.message.get("type") == "Turn"]
            end = next((item.at_s for item in until if item.message["end_of_turn"] and item.at_s > sent), None)
            if end is not None:
                lags.append(end - sent)
            elif until and until[-1].message["words"] and not until[-1].message["end_of_turn"]:
                unanswered += 1
            else:
                wordless += 1
    return Forced(tuple(lags), unanswered, wordless, dict(failed))
