"""A word shows in the first message in which it can be read."""

import pytest
from streamingstack_bench.records import Received
from streamingstack_bench.showing import FinalWord, final_words, first_shown, lags, never_shown, screens
from streamingstack_bench.word_times import SpokenWord


def word(text: str, *, final: bool = True, start: int = 0, end: int = 0) -> dict[str, object]:
    return {"text": text, "start": start, "end": end, "confidence": 0.9, "word_is_final": final}


def turn(at_s: float, words: list[dict[str, object]], *, order: int = 0, ended: bool = False) -> Received:
    return Received(at_s, {"type": "Turn", "turn_order": order, "end_of_turn": ended, "words": words})


def spoken(*ends: tuple[str, float]) -> list[SpokenWord]:
    return [SpokenWord(text, end - 0.3, end, timed=True) for text, end in ends]


def test_the_screen_holds_the_last_message_of_each_turn():
    messages = [
        turn(1.0, [word("Hello", final=False)]),
        turn(2.0, [word("hallo"), word("you", final=False)], ended=True),
        turn(3.0, [word("next", final=False)], order=1),
        Received(4.0, {"type": "Termination"}),
    ]
    shown = list(screens(messages, "en"))
    assert [screen.words for screen in shown] == [("hello",), ("hallo", "you"), ("hallo", "you", "next")]
    assert [screen.final for screen in shown] == [(), ("hallo",), ("hallo",)]


def test_a_word_counts_from_when_it_first_showed_even_if_it_was_taken_back():
    said = spoken(("good", 1.0), ("day", 1.5))
    first = first_shown(said, [(1.2, ("good",)), (1.8, ("wood",)), (2.0, ("good", "day"))])
    assert first == [1.2, 2.0]


def test_a_word_said_twice_is_not_found_before_it_is_spoken():
    said = spoken(("no", 1.0), ("no", 5.0))
    assert first_shown(said, [(1.5, ("no", "no")), (5.5, ("no", "no"))]) == [1.5, 5.5]


def test_a_word_that_shows_unchanged_counts_once_its_sound_has_begun():
    said = spoken(("no", 1.0), ("no", 5.0))
    assert first_shown(said, [(1.5, ("no", "no")), (4.8, ("no", "no"))]) == [1.5, 4.8]


def test_a_word_that_never_shows_has_no_lag_and_is_counted():
    said = spoken(("good", 1.0), ("day", 1.5))
    first = first_shown(said, [(2.0, ("good", "bay"))])
    assert lags(said, first) == [pytest.approx(1.0)]
    assert never_shown(said, first) == 1


def test_words_without_a_time_are_neither_measured_nor_missed():
    said = [SpokenWord("good", 0.7, 1.0, timed=True), SpokenWord("day", 1.0, 2.0, timed=False)]
    assert lags(said, [1.5, 2.0]) == [0.5]
    assert never_shown(said, [1.5, None]) == 0


def test_of_an_unformatted_and_a_formatted_end_the_formatted_words_count():
    messages = [
        turn(1.0, [word("at", start=500, end=700), word("seven", start=700, end=900)], ended=True),
        turn(1.1, [word("At", start=500, end=700), word("7.", start=700, end=900)], ended=True),
        turn(2.0, [word("open", start=2000, end=2200)], order=1),
    ]
    assert final_words(messages) == [FinalWord("At", 0.5, 0.7), FinalWord("7.", 0.7, 0.9)]
