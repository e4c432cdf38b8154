"""Every word of a reference gets the time of the word that was heard beside it."""

from hypothesis import given
from hypothesis import strategies as st
from streamingstack_bench.word_times import SpokenWord, TimedWord, spoken_words


def heard(*words: tuple[str, float, float]) -> list[TimedWord]:
    return [TimedWord(*word) for word in words]


def test_a_word_that_was_heard_has_its_time():
    words = spoken_words("Please book", heard(("Please", 0.5, 0.9), ("book.", 1.0, 1.3)), "en", 2.0)
    assert words == [SpokenWord("please", 0.5, 0.9, True), SpokenWord("book", 1.0, 1.3, True)]


def test_a_word_heard_as_another_has_the_other_ones_time():
    words = spoken_words("the cat sat", heard(("the", 0, 1), ("hat", 1, 2), ("sat", 2, 3)), "en", 3.0)
    assert words[1] == SpokenWord("cat", 1, 2, True)


def test_a_word_that_was_not_heard_lies_between_its_neighbours_and_is_not_measured():
    words = spoken_words("one small step", heard(("one", 0.2, 0.5), ("step", 1.5, 1.9)), "de", 3.0)
    assert words[1] == SpokenWord("small", 0.5, 1.5, timed=False)


def test_words_before_the_first_and_after_the_last_heard_reach_to_the_clips_ends():
    words = spoken_words("well yes indeed", heard(("yes", 1.0, 1.4)), "en", 3.0)
    assert (words[0].start_s, words[0].end_s) == (0.0, 1.0)
    assert (words[2].start_s, words[2].end_s) == (1.4, 3.0)


def test_a_word_that_the_normaliser_splits_shares_its_time():
    words = spoken_words("it is not", heard(("it", 0.0, 0.2), ("isn't", 0.2, 0.6)), "en", 1.0)
    assert [(word.text, round(word.start_s, 2), round(word.end_s, 2)) for word in words] == [
        ("it", 0.0, 0.2),
        ("is", 0.2, 0.4),
        ("not", 0.4, 0.6),
    ]


def test_shifting_moves_both_ends():
    assert SpokenWord("a", 1, 2, True).shifted(10) == SpokenWord("a", 11, 12, True)


@given(st.lists(st.sampled_from("abcd"), max_size=8), st.lists(st.sampled_from("abcd"), max_size=8))
def test_times_of_all_words_are_in_order(reference, said):
    timed = [TimedWord(word, float(index), index + 0.5) for index, word in enumerate(said)]
    words = spoken_words(" ".join(reference), timed, "de", float(len(said)))
    assert [word.text for word in words] == reference
    starts = [word.start_s for word in words]
    assert starts == sorted(starts)
    assert all(word.start_s <= word.end_s for word in words)
