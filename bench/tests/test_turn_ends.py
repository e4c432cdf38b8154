"""Which silence ended a turn: by the rules of the session, the moment of the message, and the score in it."""

from typing import Any

import pytest
from streamingstack_bench.clips import RATE
from streamingstack_bench.records import Received
from streamingstack_bench.turn_ends import Rules, look_at, turn_ends
from streamingstack_bench.voices import FRAME_S, Span

BALANCED = Rules(False, 400, 1280, 0.4, 0.4)
U3 = Rules(True, 128, 1536, 0.4, 0.3)
# A word, a pause of 1 s, and a word behind which nothing comes; on the frames of voice activity.
HEARD = [Span(10 * FRAME_S, 40 * FRAME_S), Span(72 * FRAME_S, 100 * FRAME_S)]
FIRST, SECOND = HEARD[0].end_s, HEARD[1].end_s
AUDIO_S = 10.0


def ended(at_s: float, confidence: float, order: int = 0, **more: Any) -> Received:
    return Received(
        at_s, {"type": "Turn", "end_of_turn": True, "turn_order": order, "end_of_turn_confidence": confidence, **more}
    )


def never(begin: int, at: int) -> float:
    raise AssertionError("only one place is possible: nothing is to be scored")


@pytest.mark.parametrize(
    ("rules", "confidence", "silences"),
    [
        (BALANCED, 0.4, [400, 640, 880, 1120, 1280]),
        (BALANCED, 0.39, [1280]),
        (Rules(False, 160, 400, 0.4, 0.4), 0.9, [160, 400]),
        (Rules(False, 400, 1280, 1.0, 0.4), 1.0, [1280]),
        (Rules(False, 1280, 400, 0.4, 0.4), 0.9, [400]),
        (U3, 1.0, [128, 1536]),
        (Rules(True, 100, 100, 0.4, 0.3), 1.0, [100]),
    ],
)
def test_the_rules_say_at_which_silences_a_turn_may_end(rules: Rules, confidence: float, silences: list[int]) -> None:
    assert rules.silences(confidence) == silences


def test_begin_tells_the_rules() -> None:
    told = {"model": "universal-streaming-english", "min_turn_silence": 400, "max_turn_silence": 1280,
            "vad_threshold": 0.4, "end_of_turn_confidence_threshold": 0.4}  # fmt: skip
    assert Rules.told(told) == BALANCED
    with pytest.raises(KeyError):
        Rules.told({"model": "u3-rt-pro"})


def test_a_sure_end_in_a_short_silence_is_semantic_and_waited_for_the_short_one() -> None:
    (end,) = turn_ends([ended(FIRST + 0.55, 0.9)], HEARD, AUDIO_S, BALANCED, never)
    assert end is not None
    assert (end.silence_from_s, end.waited_ms, end.semantic) == (FIRST, 400, True)
    assert end.excess_s == pytest.approx(0.15)


def test_an_unsure_end_waited_for_the_long_silence() -> None:
    (end,) = turn_ends([ended(SECOND + 1.5, 0.1)], HEARD, AUDIO_S, BALANCED, never)
    assert end is not None
    assert (end.silence_from_s, end.waited_ms, end.semantic) == (SECOND, 1280, False)


@pytest.mark.parametrize(("score_at_ms", "waited"), [(400, 400), (640, 640), (880, 880)])
def test_of_several_looks_at_one_silence_the_score_in_the_message_tells_which(score_at_ms: int, waited: int) -> None:
    silence = Span(SECOND, AUDIO_S)

    def score_at(begin: int, at: int) -> float:
        assert begin == round(HEARD[0].start_s * RATE) - RATE // 2 or begin == 0
        return 0.77 if at == look_at(silence, score_at_ms) else 0.2

    (end,) = turn_ends([ended(SECOND + 1.0, 0.77)], HEARD, AUDIO_S, BALANCED, score_at)
    assert end is not None
    assert end.waited_ms == waited


def test_where_no_score_fits_it_was_the_last_look() -> None:
    (end,) = turn_ends([ended(SECOND + 1.0, 0.77)], HEARD, AUDIO_S, BALANCED, lambda begin, at: 0.2)
    assert end is not None
    assert end.waited_ms == 880


def test_an_end_is_decided_behind_the_one_before_it() -> None:
    first, second = turn_ends(
        [ended(FIRST + 0.5, 0.9), ended(SECOND + 0.5, 0.9, order=1)], HEARD, AUDIO_S, BALANCED, never
    )
    assert (first is not None, second is not None) == (True, True)
    assert [end.silence_from_s for end in (first, second) if end] == [FIRST, SECOND]


def test_a_second_message_of_a_turn_is_not_another_end() -> None:
    pair = [ended(FIRST + 0.5, 0.9), ended(FIRST + 0.6, 0.9, turn_is_formatted=True)]
    (end,) = turn_ends(pair, HEARD, AUDIO_S, BALANCED, never)
    assert end is not None
    assert end.arrived_s == FIRST + 0.5


def test_an_end_before_any_silence_has_none() -> None:
    assert turn_ends([ended(FIRST + 0.2, 0.9)], HEARD, AUDIO_S, BALANCED, never) == [None]


@pytest.mark.parametrize(("after_s", "waited", "semantic"), [(0.3, 128, True), (1.7, 1536, False)])
def test_the_end_of_universal_3_is_told_by_its_moment(after_s: float, waited: int, semantic: bool) -> None:
    (end,) = turn_ends([ended(SECOND + after_s, 1.0)], HEARD, AUDIO_S, U3, never)
    assert end is not None
    assert (end.waited_ms, end.semantic) == (waited, semantic)
