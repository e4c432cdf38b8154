"""What is said of turns: delays in their parts, ends that are false, first partials, the words of finals."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from streamingstack_bench.clips import Clip, Programme
from streamingstack_bench.machine import this_machine
from streamingstack_bench.records import Received, Session
from streamingstack_bench.turn_ends import TurnEnd
from streamingstack_bench.turn_report import Limits, TurnReport, markdown
from streamingstack_bench.turn_scoring import Forced, TurnSession, first_partials, forced, own_ends, turn_figures
from streamingstack_bench.voices import Utterance

SAID = [Utterance("a.wav", 1.0, 3.0), Utterance("b.wav", 6.0, 9.0)]


def turn(at_s: float, order: int, text: str, *, end: bool = False, start_s: float = 0.0) -> Received:
    words = [
        {"text": word, "start": int(1000 * start_s), "end": int(1000 * start_s) + 50, "word_is_final": True}
        for word in text.split()
    ]
    message = {"type": "Turn", "turn_order": order, "end_of_turn": end, "words": words, "transcript": text}
    return Received(at_s, message)


@pytest.fixture
def scored(silent_clip: Callable[..., Clip]) -> Callable[..., TurnSession]:
    """Two recordings of 4 s with 1 s between, in which SAID is said."""
    clips = (silent_clip("a.wav", 4.0, "red apples"), silent_clip("b.wav", 4.0, "green pears"))

    def make(received: Sequence[Received] = (), ends: Sequence[TurnEnd | None] = (), **more: Any) -> TurnSession:
        session = Session(fate="completed", received=list(received), sent_s=10.0, **more)
        return TurnSession(Programme(clips, gap_s=1.0), session, SAID, ends)

    return make


def test_the_delay_is_voice_activity_and_the_silence_and_the_excess(scored: Callable[..., TurnSession]) -> None:
    ends = [TurnEnd(3.65, 3.05, 400, True), TurnEnd(10.6, 9.0, 1280, False)]
    figures = turn_figures([scored(ends=ends)], {})
    assert figures.to_final is not None
    assert figures.excess is not None
    assert (figures.to_final.count, figures.to_final.p50) == (2, pytest.approx((0.65 + 1.6) / 2))
    assert figures.excess.p95 == pytest.approx(0.2 + 0.95 * 0.12, abs=0.01)
    for end, utterance in zip(ends, SAID, strict=True):
        parts = end.silence_from_s - utterance.end_s, end.waited_ms / 1000, end.excess_s
        assert sum(parts) == pytest.approx(end.arrived_s - utterance.end_s)
    assert (figures.semantic, figures.joined, figures.false_ends) == (0.5, 0, 0)


@pytest.mark.parametrize(
    ("silence_from_s", "false"),
    [(2.0, True), (2.95, False), (3.0, False), (4.0, False), (7.5, True), (9.2, False)],
)
def test_an_end_is_false_where_speech_goes_on_in_the_same_utterance(
    scored: Callable[..., TurnSession], silence_from_s: float, false: bool
) -> None:
    figures = turn_figures([scored(ends=[TurnEnd(silence_from_s + 0.5, silence_from_s, 400, True)])], {})
    assert figures.false_ends == false
    assert figures.false_per_minute is not None
    assert figures.false_per_minute.value == pytest.approx(12.0 if false else 0.0)  # in 5 s of speech


def test_utterances_without_an_end_between_them_are_joined() -> None:
    late = TurnEnd(9.5, 9.0, 400, True)
    assert own_ends(SAID, [late, None]) == [(SAID[0], None), (SAID[1], late)]


def test_a_first_partial_is_timed_from_the_onset_of_its_utterance(scored: Callable[..., TurnSession]) -> None:
    received = [turn(1.9, 0, "one"), turn(3.5, 0, "one two", end=True), turn(6.4, 1, ""), turn(7.2, 1, "three")]
    assert first_partials(scored(received, [TurnEnd(3.5, 3.0, 400, True)])) == [pytest.approx(0.9), pytest.approx(1.2)]


def test_an_utterance_in_the_turn_of_the_one_before_has_no_first_partial(scored: Callable[..., TurnSession]) -> None:
    received = [turn(1.9, 0, "one"), turn(6.8, 0, "one two three"), turn(9.5, 0, "one two three four", end=True)]
    assert first_partials(scored(received, [TurnEnd(9.5, 9.0, 400, True)])) == [pytest.approx(0.9)]


def test_finals_are_compared_with_the_recording_that_they_lie_in(scored: Callable[..., TurnSession]) -> None:
    received = [turn(3.5, 0, "red apples", end=True, start_s=2.0), turn(9.5, 1, "green bears", end=True, start_s=7.0)]
    wer = turn_figures([scored(received)], {}).wer
    assert wer is not None
    assert wer.value == 0.25


def test_an_utterance_without_words_before_the_next_one_is_unshown(scored: Callable[..., TurnSession]) -> None:
    figures = turn_figures([scored([turn(7.2, 0, "three")])], {})
    assert (figures.unshown, figures.first_partial) == (1, None)


def test_a_forced_end_is_timed_from_the_order_to_its_end_of_turn(scored: Callable[..., TurnSession]) -> None:
    received = [turn(3.4, 0, "one", end=True), turn(9.45, 1, "two", end=True), turn(11.0, 2, "three")]
    session = scored(received, ordered_s=[3.2, 5.0, 9.2, 10.0]).session
    made = forced([session], {"refused: full": 1})
    assert made.lags == (pytest.approx(0.2), pytest.approx(0.25))
    assert (made.ordered, made.wordless, made.unanswered, made.failed) == (4, 1, 1, {"refused: full": 1})


def report(scored: TurnSession, ordered: Forced) -> TurnReport:
    columns = {"balanced": turn_figures([scored], {})}
    return TurnReport("universal-streaming-english", 2, 10.0, 50, this_machine(), columns, ordered)


def test_an_order_without_its_end_is_told_however_quick_the_others_are(scored: Callable[..., TurnSession]) -> None:
    made = report(scored(), Forced((0.1,), unanswered=1, failed={"closed: 1011": 2}))
    assert list(Limits(force_ms=500).missed(made)) == [
        "universal-streaming-english: ForceEndpoint: 2 ordered, 1 answered, 0 without a turn to end, 1 unanswered; "
        "sessions that failed: 2 x closed: 1011"
    ]


def test_a_limit_that_is_passed_is_told_and_so_is_one_that_nothing_was_measured_for(
    scored: Callable[..., TurnSession],
) -> None:
    made = report(scored(ends=[TurnEnd(3.95, 3.0, 400, True)]), Forced((0.3,)))
    assert list(Limits(excess_ms=600, force_ms=300).missed(made)) == []
    assert list(Limits(excess_ms=500, force_ms=200, first_partial_ms=1500).missed(made)) == [
        "universal-streaming-english: ForceEndpoint to final: p95 300 ms, 200 allowed",
        "universal-streaming-english, balanced: excess over the silence: p95 550 ms, 500 allowed",
        "universal-streaming-english, balanced: first partial: nothing was measured",
    ]


def test_the_section_shows_the_parts_of_the_delay(scored: Callable[..., TurnSession]) -> None:
    text = markdown(report(scored(ends=[TurnEnd(3.65, 3.05, 400, True)]), Forced((0.3,))), "Turns")
    assert "| end of speech to final, p50 / p95 ms | 650 / 650 |" in text
    assert "| · silence waited for | 400 / 400 |" in text
    assert "| · excess | 200 / 200 |" in text
    assert "ForceEndpoint to final: 300 / 300 ms (p50 / p95). 1 ordered, 1 answered," in text
