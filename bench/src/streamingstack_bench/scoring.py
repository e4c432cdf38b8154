"""From what the sessions met to what is reported."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from streamingstack_bench.clips import Clip, Programme
from streamingstack_bench.figures import Interval, Percentiles, error_rate, percentiles, pooled, rate_difference
from streamingstack_bench.records import Cost, Played, Session
from streamingstack_bench.showing import final_words, first_shown, lags, never_shown, screens
from streamingstack_bench.word_times import Heard, SpokenWord, spoken_words
from streamingstack_bench.wording import WordErrors, tokens, word_errors

LATE_S = 0.05


@dataclass(frozen=True)
class Knowledge:
    """What is known of the clips, by clip name: when words are heard, and what the same weights hear offline."""

    timed: Mapping[str, Heard]
    offline: Mapping[str, Heard]


@dataclass(frozen=True)
class ClipScore:
    """One clip in one session; error counts against its reference and against the offline text."""

    clip: str
    text: str
    reference: WordErrors | None
    offline_reference: WordErrors | None
    offline: WordErrors | None


@dataclass(frozen=True)
class SessionScore:
    """One completed session; lists of seconds, see `Figures`."""

    word_lag: list[float]
    final_lag: list[float]
    first_word: float | None
    end_to_final: float | None
    end_to_termination: float
    words_timed: int
    words_never_shown: int
    clips: list[ClipScore]


@dataclass(frozen=True)
class Figures:
    """One row of the report: what `sessions` clients at once met.

    Seconds throughout. `word_lag`: from the end of a reference word in the audio to the first message that shows it;
    `final_lag`: to the first that shows it as final; `first_word`: from the start of speech to the first message
    with words; `end_to_final`: from the last audio to the last end of turn, where that came later.
    """

    sessions: int
    completed: int
    refused: dict[str, int]
    broken: dict[str, int]
    violations: dict[str, int]
    audio_s: float
    begin: Percentiles | None
    word_lag: Percentiles | None
    final_lag: Percentiles | None
    first_word: Percentiles | None
    end_to_final: Percentiles | None
    end_to_termination: Percentiles | None
    never_shown: float | None
    wer: Interval | None
    wer_offline: Interval | None
    wer_gap: Interval | None
    wer_to_offline: Interval | None
    late_sends: float
    latest_send_s: float
    cost: Cost | None
    tool_cpu_s: float


def score_session(programme: Programme, session: Session, knowledge: Knowledge) -> SessionScore:
    """Score a completed session against what is known of its clips."""
    language = programme.clips[0].language
    shown = list(screens(session.received, language))
    spoken = list(_spoken(programme, knowledge))
    first = first_shown(spoken, ((screen.at_s, screen.words) for screen in shown))
    first_final = first_shown(spoken, ((screen.at_s, screen.final) for screen in shown))
    worded = next((screen.at_s for screen in shown if screen.words), None)
    onset = _onset(programme, spoken)
    ends = [item.at_s for item in session.received if item.message.get("end_of_turn")]
    assert session.finished_s is not None
    return SessionScore(
        word_lag=lags(spoken, first),
        final_lag=lags(spoken, first_final),
        first_word=worded - onset if worded is not None and onset is not None else None,
        end_to_final=ends[-1] - session.sent_s if ends and ends[-1] > session.sent_s else None,
        end_to_termination=session.finished_s - session.sent_s,
        words_timed=sum(word.timed for word in spoken),
        words_never_shown=never_shown(spoken, first),
        clips=list(_clip_scores(programme, session, knowledge)),
    )


def _onset(programme: Programme, spoken: Sequence[SpokenWord]) -> float | None:
    """When speech begins: as measured in the first clip, else the first word's start, which may reach into silence."""
    if programme.clips[0].speech_start_s is not None:
        return programme.clips[0].speech_start_s
    return next((word.start_s for word in spoken if word.timed), None)


def _spoken(programme: Programme, knowledge: Knowledge) -> Iterator[SpokenWord]:
    """The words of the programme's clips that have a reference, on the session's clock."""
    for clip, start in zip(programme.clips, programme.starts_s, strict=True):
        heard = knowledge.timed.get(clip.name)
        if clip.reference is None or heard is None:
            continue
        for word in spoken_words(clip.reference, heard.words, clip.language, clip.duration_s):
            yield word.shifted(start)


def _clip_scores(programme: Programme, session: Session, knowledge: Knowledge) -> Iterator[ClipScore]:
    texts: list[list[str]] = [[] for _ in programme.clips]
    for word in final_words(session.received):
        texts[programme.clip_at((word.start_s + word.end_s) / 2)].append(word.text)
    for clip, words in zip(programme.clips, texts, strict=True):
        yield clip_score(clip, " ".join(words), knowledge.offline.get(clip.name))


def clip_score(clip: Clip, text: str, offline: Heard | None) -> ClipScore:
    """Compare what was heard in a clip with its reference, and with what was heard offline."""
    heard = tokens(text, clip.language)
    reference = tokens(clip.reference, clip.language) if clip.reference is not None else None
    alone = tokens(offline.text, clip.language) if offline is not None else None
    return ClipScore(
        clip.name,
        text,
        word_errors(reference, heard) if reference is not None else None,
        word_errors(reference, alone) if reference is not None and alone is not None else None,
        word_errors(alone, heard) if alone is not None else None,
    )


def figures(
    sessions: int,
    played: Sequence[Played],
    scores: Sequence[SessionScore],
    cost: Cost | None = None,
    tool_cpu_s: float = 0.0,
) -> Figures:
    """Put the sessions of one load together; `scores` are those of the completed ones."""
    late = [value for item in played for value in item.session.late_s]
    clips = [clip for score in scores for clip in score.clips]
    errors = pooled((c.clip, c.reference) for c in clips if c.reference is not None)
    alone = pooled((c.clip, c.offline_reference) for c in clips if c.offline_reference is not None)
    timed = sum(score.words_timed for score in scores)
    return Figures(
        sessions=sessions,
        completed=sum(item.session.fate == "completed" for item in played),
        refused=_reasons(played, "refused"),
        broken=_reasons(played, "broken"),
        violations=dict(Counter(rule for item in played for rule in item.session.violations)),
        audio_s=sum(item.session.sent_s for item in played),
        begin=percentiles([item.session.begin_s for item in played if item.session.begin_s]),
        word_lag=percentiles([lag for score in scores for lag in score.word_lag]),
        final_lag=percentiles([lag for score in scores for lag in score.final_lag]),
        first_word=percentiles(_known(score.first_word for score in scores)),
        end_to_final=percentiles(_known(score.end_to_final for score in scores)),
        end_to_termination=percentiles([score.end_to_termination for score in scores]),
        never_shown=sum(score.words_never_shown for score in scores) / timed if timed else None,
        wer=error_rate(errors),
        wer_offline=error_rate(alone),
        wer_gap=rate_difference(errors, alone),
        wer_to_offline=error_rate(pooled((c.clip, c.offline) for c in clips if c.offline is not None)),
        late_sends=sum(value > LATE_S for value in late) / len(late) if late else 0.0,
        latest_send_s=max(late, default=0.0),
        cost=cost,
        tool_cpu_s=tool_cpu_s,
    )


def _reasons(played: Iterable[Played], fate: str) -> dict[str, int]:
    return dict(Counter(item.session.reason for item in played if item.session.fate == fate))


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]
