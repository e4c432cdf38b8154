"""The splice by examples: what is new in a hypothesis that overlaps words already final."""

from dataclasses import dataclass

import pytest
from asr_contract.splice import normalised, same_word, splice

MS = 16


@dataclass(frozen=True)
class Spoken:
    text: str
    start: int
    end: int


def said(text: str, shift: int = 0) -> list[Spoken]:
    """'no@0-200 way@250-400' in milliseconds, every word moved by `shift`."""
    words = []
    for item in text.split():
        word, _, times = item.rpartition("@")
        start, end = (int(part) + shift for part in times.split("-"))
        words.append(Spoken(word, start * MS, end * MS))
    return words


def texts(words: list[Spoken]) -> str:
    return " ".join(word.text for word in words)


EXAMPLES = {
    "nothing final: all is new": ("", "so@0-200 it@250-400", "so it"),
    "nothing heard: nothing is new": ("so@0-200", "", ""),
    "the same words again": ("so@0-200 it@250-400", "so@0-200 it@250-400", ""),
    "one more word": ("so@0-200 it@250-400", "so@0-200 it@250-400 goes@450-700", "goes"),
    "everything heard 200 ms late": ("so@0-200 it@250-400", "so@200-400 it@450-600 goes@650-900", "goes"),
    "everything heard 200 ms early": ("so@400-600 it@650-800", "so@200-400 it@450-600 goes@650-900", "goes"),
    "cased and punctuated otherwise": ("so@0-200 it@250-400", "So,@0-200 it...@250-400 GOES!@450-700", "GOES!"),
    "apostrophes and accents": ("dont@0-200 cafe\u0301@250-500", "Don't@0-200 caf\u00e9@250-500 now@550-700", "now"),
    "the window holds only the last final": (
        "we@0-150 see@200-400 a@450-500 cat@550-800",
        "cat@560-800 run@850-1100",
        "run",
    ),
    "the window starts after all finals": ("we@0-150 see@200-400", "a@450-500 cat@550-800", "a cat"),
    "very very, both final": (
        "very@0-300 very@350-650",
        "very@0-300 very@350-650 good@700-900",
        "good",
    ),
    "very, then very: the second is new": ("very@0-300", "very@0-300 very@350-650 good@700-900", "very good"),
    "very, late by 150 ms, then very": ("very@0-300", "very@150-450 very@500-800", "very"),
    "no no no, one final": ("no@0-200", "no@0-200 no@250-450 no@500-700", "no no"),
    "no no no, two final": ("no@0-200 no@250-450", "no@0-200 no@250-450 no@500-700", "no"),
    "no no no, all final": ("no@0-200 no@250-450 no@500-700", "no@10-210 no@260-450 no@510-710", ""),
    "no no no, the window holds the last two": ("no@0-200 no@250-450", "no@240-440 no@490-690", "no"),
    "no no no, all late by 100 ms": ("no@0-200 no@250-450", "no@100-300 no@350-550 no@600-800", "no"),
    "a word said again much later": ("go@0-200", "go@900-1100", "go"),
    "the last final missed, the next is new": (
        "turn@0-300 it@350-450",
        "turn@0-300 off@500-700",
        "off",
    ),
    "all finals missed": ("turn@0-300 it@350-450", "off@500-700 now@750-900", "off now"),
    "the finals heard otherwise": (
        "recognise@0-500 speech@550-900",
        "wreck@0-200 a@210-260 nice@270-500 beach@550-880 today@950-1300",
        "today",
    ),
    "the last final heard otherwise": ("I@0-50 scream@100-500", "I@0-50 stream@120-520 now@600-800", "now"),
    "a fragment of the last final": (
        "the@0-100 recognition@150-800",
        "nition@450-800 works@850-1200",
        "works",
    ),
    "a fragment heard as something else": ("recognition@150-800", "mission@450-800 works@850-1200", "works"),
    "a fragment of an older final": (
        "recognition@150-800 works@850-1200",
        "nation@450-800 works@850-1200 well@1250-1500",
        "well",
    ),
    "a fragment that is still the whole word": ("no@0-600", "no@350-600 way@650-900", "way"),
    "two words final as one": ("everyone@0-600", "every@0-280 one@300-600 came@650-900", "came"),
    "one word final as two": ("every@0-280 one@300-600", "Everyone@0-610 came@650-900", "came"),
    "three words final as one": ("alotof@0-600", "a@0-100 lot@120-400 of@420-600 us@650-900", "us"),
    "two short finals as one, heard so late that time would call it new": (
        "ice@0-150 cream@160-300",
        "icecream@190-490 now@500-700",
        "now",
    ),
    "one final as two, the second so late that time would call it new": (
        "icecream@0-300",
        "ice@150-280 cream@290-490 now@500-700",
        "now",
    ),
    "one final as two, heard late": ("every@0-280 one@300-600", "everyone@180-780 came@800-1000", "came"),
    "a stretched final hides no word": ("go@0-900", "go@0-300 home@910-1200", "home"),
    "the next word reaches into a stretched final": ("go@0-600", "go@0-400 on@420-600 now@650-800", "on now"),
    "a bare symbol is a word of its own": ("a@0-100 -@100-150", "a@0-100 -@100-150 b@200-300", "b"),
    "other scripts": ("你好@0-300", "你好。@0-300 世界@350-700", "世界"),
}


@pytest.mark.parametrize(("final", "heard", "new"), EXAMPLES.values(), ids=EXAMPLES.keys())
def test_the_splice_returns_what_is_new(final: str, heard: str, new: str) -> None:
    assert texts(splice(said(final), said(heard))) == new


def test_new_words_keep_their_type_and_their_times() -> None:
    new = splice(said("so@0-200"), said("so@0-200 it@250-400 goes@450-700"))
    assert new == said("it@250-400 goes@450-700")


def test_new_words_that_reach_before_the_last_final_end_are_clipped_to_it() -> None:
    new = splice(said("go@0-600"), said("go@0-350 on@420-580 now@590-800"))
    assert new == said("on@600-600 now@600-800")


def test_the_hypothesis_is_put_in_order_where_its_words_overlap() -> None:
    assert splice([], said("so@0-300 it@250-400")) == said("so@0-300 it@300-400")


def test_a_known_window_tells_a_late_fragment_from_a_word() -> None:
    final, heard = said("recognition@0-600"), said("nition@460-780 works@800-1000")
    assert texts(splice(final, heard)) == "nition works"
    assert texts(splice(final, heard, window_start=300 * MS)) == "works"


def test_a_known_window_keeps_a_short_word_that_ends_like_the_last_final() -> None:
    final, heard = said("recognition@0-600"), said("on@610-700 time@750-900")
    assert texts(splice(final, heard, window_start=600 * MS)) == "on time"


def test_a_known_window_tells_late_repeats_from_new_ones() -> None:
    final, heard = said("no@0-140 no@150-290"), said("no@150-290 no@300-440")
    assert texts(splice(final, heard)) == "no"
    assert texts(splice(final, heard, window_start=0)) == ""


def test_less_tolerance_takes_a_shifted_word_for_a_new_one() -> None:
    final, heard = said("no@0-200"), said("no@150-400")
    assert texts(splice(final, heard)) == ""
    assert texts(splice(final, heard, tolerance=100 * MS)) == "no"


@pytest.mark.parametrize(
    ("one", "other"),
    [("Yes", "yes,"), ("don't", "Don\u2019t"), ("Straße", "STRASSE"), ("e\u0301", "\u00e9"), ("...", "...")],
)
def test_case_punctuation_and_composition_do_not_make_another_word(one: str, other: str) -> None:
    assert same_word(one, other)


@pytest.mark.parametrize(("one", "other"), [("yes", "yet"), ("...", "!"), ("a", "-"), ("1", "one")])
def test_other_words_are_not_the_same(one: str, other: str) -> None:
    assert not same_word(one, other)


def test_a_normalised_word_has_letters_marks_and_digits() -> None:
    assert normalised(" O'Neill-24! ") == "oneill24"
