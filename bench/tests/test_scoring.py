"""What sessions met becomes figures: each is exact where everything about the audio is known."""

from dataclasses import replace
from pathlib import Path

import pytest
from streamingstack_bench.clips import Clip, Programme
from streamingstack_bench.records import Played, Received, Session
from streamingstack_bench.scoring import Knowledge, clip_score, figures, score_session
from streamingstack_bench.word_times import Heard, TimedWord
from streamingstack_bench.wording import WordErrors


def heard(*words: tuple[str, float, float]) -> Heard:
    return Heard(" ".join(word[0] for word in words), tuple(TimedWord(*word) for word in words))


def turn(at_s: float, *words: tuple[str, int, int], order: int = 0, final: bool = False) -> Received:
    entries = [{"text": t, "start": s, "end": e, "confidence": 1.0, "word_is_final": final} for t, s, e in words]
    return Received(at_s, {"type": "Turn", "turn_order": order, "end_of_turn": final, "words": entries})


@pytest.fixture
def programme(silent_clip):
    """Two clips of 2 s, 1 s of silence between them."""
    return Programme((silent_clip("one.wav", 2.0, "good day"), silent_clip("two.wav", 2.0, "well done")), gap_s=1.0)


KNOWN = Knowledge(
    timed={
        "one.wav": heard(("good", 0.5, 0.8), ("day", 0.8, 1.2)),
        "two.wav": heard(("well", 0.2, 0.6), ("done", 0.6, 1.0)),
    },
    offline={"one.wav": heard(("Good", 0, 0), ("day.", 0, 0)), "two.wav": heard(("Well", 0, 0), ("one.", 0, 0))},
)

MET = Session(
    fate="completed",
    begin_s=0.02,
    received=[
        turn(1.3, ("good", 500, 800)),
        turn(1.7, ("good", 500, 800), ("day", 800, 1200)),
        turn(2.4, ("good", 500, 800), ("day", 800, 1200), final=True),
        turn(4.2, ("well", 3200, 3600), order=1),
        turn(5.4, ("well", 3200, 3600), ("gone", 3600, 4000), order=1, final=True),
        Received(5.5, {"type": "Termination"}),
    ],
    late_s=[0.001] * 9 + [0.08],
    sent_s=5.0,
    finished_s=5.5,
)


def test_lags_are_from_the_words_end_in_the_session_to_the_message(programme):
    score = score_session(programme, MET, KNOWN)
    assert score.word_lag == pytest.approx([1.3 - 0.8, 1.7 - 1.2, 4.2 - 3.6])
    assert score.final_lag == pytest.approx([2.4 - 0.8, 2.4 - 1.2, 5.4 - 3.6])
    assert (score.words_timed, score.words_never_shown) == (4, 1)


def test_the_first_partial_counts_from_the_first_words_start(programme):
    assert score_session(programme, MET, KNOWN).first_word == pytest.approx(1.3 - 0.5)


def test_a_measured_start_of_speech_goes_before_the_first_words(silent_clip):
    clip = replace(silent_clip("one.wav", 2.0, "good day"), speech_start_s=0.7)
    assert score_session(Programme((clip,)), MET, KNOWN).first_word == pytest.approx(1.3 - 0.7)


def test_the_end_counts_from_the_last_audio(programme):
    score = score_session(programme, MET, KNOWN)
    assert score.end_to_final == pytest.approx(0.4)
    assert score.end_to_termination == pytest.approx(0.5)


def test_a_turn_that_ended_before_the_audio_did_says_nothing_of_the_end(programme):
    early = Session(**{**vars(MET), "received": MET.received[:3] + MET.received[-1:]})
    assert score_session(programme, early, KNOWN).end_to_final is None


def test_final_words_are_scored_with_the_clip_they_were_said_in(programme):
    one, two = score_session(programme, MET, KNOWN).clips
    assert (one.clip, one.text, one.reference, one.offline) == ("one.wav", "good day", WordErrors(2), WordErrors(2))
    assert (two.clip, two.text) == ("two.wav", "well gone")
    assert (two.reference, two.offline_reference, two.offline) == (WordErrors(2, 1),) * 3


def test_a_clip_without_a_text_is_compared_with_offline_only():
    clip = Clip("x.wav", Path("x.wav"), "en", None)
    score = clip_score(clip, "good day", Heard("good bay"))
    assert (score.reference, score.offline_reference, score.offline) == (None, None, WordErrors(2, 1))


def test_a_row_counts_what_became_of_every_session(programme):
    score = score_session(programme, MET, KNOWN)
    refused = Session("refused", "3009 Too many concurrent sessions")
    broken = Session("broken", "connection lost", late_s=[0.0] * 10, sent_s=1.0, violations=["a rule"])
    played = [Played(programme, session) for session in (MET, refused, refused, broken)]
    row = figures(4, played, [score], tool_cpu_s=0.5)
    assert (row.sessions, row.completed) == (4, 1)
    assert row.refused == {"3009 Too many concurrent sessions": 2}
    assert (row.broken, row.violations) == ({"connection lost": 1}, {"a rule": 1})
    assert row.audio_s == 6.0
    assert row.never_shown == 0.25
    assert row.late_sends == pytest.approx(0.05)
    assert row.latest_send_s == 0.08
    assert row.wer is not None
    assert row.wer.value == 0.25
    assert row.wer_gap is not None
    assert row.wer_gap.value == 0
    assert row.begin is not None
    assert row.begin.count == 1


def test_a_load_that_nobody_answered_has_no_figures():
    row = figures(1, [], [])
    assert (row.completed, row.word_lag, row.wer, row.never_shown, row.cost) == (0, None, None, None, None)
