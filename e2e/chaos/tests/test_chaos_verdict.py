"""Words that were lost, doubled or changed are counted, and nothing else is."""

from dataclasses import replace

import pytest
from e2e_chaos.records import Heard, Word
from e2e_chaos.verdict import Verdict, compare, judge, judge_all, said_before, word_error_rate
from hypothesis import given
from hypothesis import strategies as st
from streamingstack_bench.long_script import long_script

SAID = [Word(word.text, word.start_ms, word.end_ms) for word in long_script(60).words]


def heard(words: list[Word], **more: object) -> Heard:
    whole = Heard("one", words=words, terminated=True, code=1000, sent_s=60)
    return replace(whole, **more)  # type: ignore[arg-type]


def test_what_was_said_and_heard_is_clean() -> None:
    found = judge(heard(SAID), SAID)
    assert found == Verdict(sessions=1, words=len(SAID))
    assert found.is_clean


@given(st.integers(0, len(SAID) - 1))
def test_one_word_less_is_one_lost_and_one_more_is_one_doubled(at: int) -> None:
    assert judge(heard(SAID[:at] + SAID[at + 1 :]), SAID).lost == 1
    found = judge(heard([*SAID[: at + 1], SAID[at], *SAID[at + 1 :]]), SAID)
    assert (found.doubled, found.lost, found.changed) == (1, 0, 0)


def test_another_word_is_changed_and_its_place_is_told_without_the_word() -> None:
    found = judge(heard([*SAID[:5], Word("other", 0, 0), *SAID[6:]]), SAID)
    assert (found.changed, found.lost, found.doubled) == (1, 0, 0)
    assert not found.is_clean
    assert "at word 5" in found.examples[0]
    assert "other" not in found.examples[0]


def test_a_word_that_moved_is_measured() -> None:
    moved = [*SAID[:3], replace(SAID[3], start_ms=SAID[3].start_ms - 70), *SAID[4:]]
    assert judge(heard(moved), SAID).moved_ms == 70


@pytest.mark.parametrize("end", [{"terminated": False}, {"code": 3005, "reason": "why"}])
def test_a_session_that_did_not_end_as_asked_was_cut(end: dict[str, object]) -> None:
    found = judge(heard(SAID, **end), SAID)
    assert (found.cut, found.lost) == (1, 0)
    assert not found.is_clean


def test_of_a_cut_session_everything_after_the_cut_is_lost() -> None:
    assert judge(heard(SAID[:10], terminated=False), SAID).lost == len(SAID) - 10
    assert judge(heard([], terminated=False), SAID).lost == len(SAID)


def test_a_shorter_session_hears_the_beginning_of_the_script() -> None:
    found = judge_all([heard(said_before(SAID, 20)), heard(said_before(SAID, 20))], SAID, 20)
    assert found == Verdict(sessions=2, words=2 * len(said_before(SAID, 20)))


def test_real_speech_is_compared_with_a_calm_run_without_case_and_punctuation() -> None:
    calm = heard([Word("Well,", 0, 1), Word("it's", 1, 2), Word("fine.", 2, 3)])
    assert compare(heard([Word("well", 0, 1), Word("it's", 1, 2), Word("fine", 2, 3)]), calm).is_clean
    found = compare(heard([Word("well", 0, 1), Word("it's", 1, 2), Word("find", 2, 3), Word("now", 3, 4)]), calm)
    assert (found.changed, found.doubled, found.lost) == (1, 1, 0)


def test_a_word_error_rate_is_of_normalised_words() -> None:
    assert word_error_rate(heard([Word("Red", 0, 1), Word("blue.", 1, 2)]), "red green blue grey") == 0.5
    assert word_error_rate(heard([]), "red green") == 1.0
