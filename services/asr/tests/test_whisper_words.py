"""From alignments to words, guards against what nobody said, prompts, groups and windows: the pure parts."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streaming_asr.engine import SAMPLE_RATE, Pcm
from streaming_asr.whisper.groups import each, split_evenly, together
from streaming_asr.whisper.guards import is_silence, token_budget, words_kept
from streaming_asr.whisper.prompts import MOST_CONTEXT_TOKENS, MOST_KEYTERM_TOKENS, context_tokens
from streaming_asr.whisper.words import FRAME, TimedWord, goes_on, lost_sound, timed_words
from streaming_asr.windows import FLOOR, LENGTHS, LONGEST, declared_length, padded

SECOND = SAMPLE_RATE


def sounding_pcm(seconds: float, *, silent: tuple[float, float] = (0.0, 0.0)) -> Pcm:
    pcm = (3000 * np.sin(np.arange(int(seconds * SECOND)) / 5)).astype(np.int16)
    pcm[int(silent[0] * SECOND) : int(silent[1] * SECOND)] = 0
    return pcm


def heard(texts: list[str], starts: list[float], seconds: float, **options: tuple[float, float]) -> list[TimedWord]:
    """Words of one token each that the alignment reaches at `starts`, in seconds."""
    path = [(token, int(start * 50)) for token, start in enumerate([*starts, seconds])]
    pcm = sounding_pcm(seconds, **options)
    return timed_words(texts, [1] * len(texts), path, [0.9] * len(texts), pcm)


def spans(words: list[TimedWord]) -> list[tuple[str, float, float]]:
    return [(word.text, word.start / SECOND, word.end / SECOND) for word in words]


def test_a_word_ends_where_the_next_begins() -> None:
    assert spans(heard([" good", " day"], [0.5, 0.9], 1.3)) == [("good", 0.5, 0.9), ("day", 0.9, 1.3)]


def test_punctuation_joins_its_word_and_takes_no_time_from_it() -> None:
    words = heard([" Hello", ",", ' "', "you", '"', " there", "."], [0.2, 0.5, 0.9, 1.0, 1.2, 1.3, 1.6], 2.0)
    assert [word.text for word in words] == ["Hello,", '"you"', "there."]
    assert words[0].end == int(0.5 * SECOND)


def test_what_follows_without_a_space_is_the_same_word() -> None:
    words = heard([" cold", "-", "hearted", " man"], [0.2, 0.5, 0.55, 0.9], 1.2)
    assert [word.text for word in words] == ["cold-hearted", "man"]
    assert words[0].end == words[1].start


def test_languages_without_spaces_keep_their_words_apart() -> None:
    assert [word.text for word in heard(["今日", "は"], [0.2, 0.6], 1.0)] == ["今日", "は"]


def test_a_word_without_length_reaches_back_to_the_one_before() -> None:
    words = heard([" Mr.", " Hale", " said"], [0.2, 0.8, 0.8], 1.2)
    assert all(word.end > word.start for word in words[:2])


def test_a_word_spread_over_a_pause_is_where_its_sound_is() -> None:
    words = heard([" here", " Tell", " me"], [0.1, 0.5, 3.0], 3.3, silent=(0.5, 2.6))
    assert words[1].start >= int(2.5 * SECOND)
    assert words[0].end <= int(0.6 * SECOND)


def test_a_loop_behind_the_speech_is_dropped() -> None:
    said = ["Good", "morning,", "Katie."]
    words = heard([f" {text}" for text in said * 3], [0.1, 0.4, 0.8, *[1.2] * 6], 1.3)
    assert [word.text for word in words] == said


@pytest.mark.parametrize(
    ("texts", "kept"),
    [
        (["no", "no", "no", "no"], 4),
        (["five", "five", "five", "five"], 4),
        (["thank", "you", "thank", "you"], 4),
        (["the", *("more we are together" * 1).split()], 5),
        (["so", *["going", "round"] * 5], 3),
        (["ha"] * 20, 1),
        ([], 0),
    ],
)
def test_repeating_oneself_is_speech_but_going_round_and_round_is_a_loop(texts: list[str], kept: int) -> None:
    assert words_kept(texts, [(n * 4000, n * 4000 + 4000) for n in range(len(texts))]) == kept


def test_two_short_words_at_the_end_are_no_crammed_tail() -> None:
    assert words_kept(["it", "is", "I"], [(0, 4000), (4000, 4320), (4320, 5000)]) == 3


@pytest.mark.parametrize(
    ("ends", "silent", "lost"),
    [
        ([0.5, 7.9], (0.0, 0.0), False),
        ([0.5, 5.9], (0.0, 0.0), True),
        ([0.5, 6.1], (0.0, 0.0), False),  # a word or two may be missing
        ([0.5, 2.0], (2.0, 7.0), False),  # a pause is no sound
        ([], (0.0, 0.0), True),
        ([], (1.0, 8.0), False),
    ],
)
def test_two_seconds_of_sound_behind_the_last_word_are_lost(
    ends: list[float], silent: tuple[float, float], lost: bool
) -> None:
    words = [TimedWord("word", int(end * SECOND) - 4000, int(end * SECOND), 0.9) for end in ends]
    assert lost_sound(words, sounding_pcm(8.0, silent=silent)) is lost


@pytest.mark.parametrize(
    ("ends", "others", "on"),
    [([7.0], [2.0], True), ([2.5], [2.0], False), ([2.0], [7.0], False), ([], [], False), ([3.0], [], True)],
)
def test_words_go_on_where_others_have_stopped_a_second_before(
    ends: list[float], others: list[float], on: bool
) -> None:
    one, other = ([TimedWord("word", 0, int(end * SECOND), 0.9) for end in each] for each in (ends, others))
    assert goes_on(one, other) is on


def test_silence_is_what_the_model_holds_for_silence_and_cannot_read() -> None:
    assert is_silence(0.9, -1.4)
    assert not is_silence(0.9, -0.3)
    assert not is_silence(0.2, -2.0)


def test_the_token_budget_grows_with_the_audio() -> None:
    assert token_budget(0, SAMPLE_RATE) < 20
    assert token_budget(10 * SECOND, SAMPLE_RATE) > 100


@given(
    st.lists(st.tuples(st.text(" ab.,'-é", max_size=6), st.integers(0, 100)), max_size=30),
    st.integers(FRAME, 3 * SECOND),
)
def test_words_are_always_inside_the_audio_in_order(parts: list[tuple[str, int]], samples: int) -> None:
    path, frame = [], 0
    for token, (_, step) in enumerate([*parts, ("", 0)]):
        path.append((token, frame))
        frame += step
    words = timed_words(
        [text for text, _ in parts], [1] * len(parts), path, [0.5] * len(parts), np.zeros(samples, np.int16)
    )
    assert all(0 <= word.start <= word.end <= samples and word.text.strip() for word in words)


class LetterTokens:
    """Every letter is a token; 1 stands for <|startofprev|>."""

    sot_prev = 1

    def encode(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]


def test_without_prompt_and_keyterms_there_is_no_context() -> None:
    assert context_tokens("", [], LetterTokens()) == []
    assert context_tokens("  ", [" "], LetterTokens()) == []


def test_the_context_is_bounded_and_keeps_the_first_keyterms_and_the_end_of_the_prompt() -> None:
    tokens = context_tokens("p" * 1750 + " END", [f"term{n}" for n in range(100)], LetterTokens())
    text = "".join(map(chr, tokens[1:]))
    assert tokens[0] == 1
    assert len(tokens) - 1 == MOST_CONTEXT_TOKENS
    assert text.startswith(" term0, term1")
    assert text.endswith("END")
    assert text.index("p") == MOST_KEYTERM_TOKENS


@given(st.lists(st.sampled_from("aabbc"), max_size=40), st.integers(1, 4), st.integers(1, 8))
def test_groups_hold_one_shape_each_and_lose_nothing(shapes: list[str], workers: int, most: int) -> None:
    requests = list(enumerate(shapes))
    pieces = split_evenly(together(requests, lambda request: request[1]), workers, most)
    assert sorted(request for piece in pieces for request in piece) == requests
    assert all(len({shape for _, shape in piece}) == 1 and 0 < len(piece) <= most for piece in pieces)


def test_a_lone_group_is_spread_over_idle_workers() -> None:
    assert [len(piece) for piece in split_evenly([list(range(5))], 2, 8)] == [3, 2]
    assert [len(piece) for piece in split_evenly([[1], [2, 3]], 2, 8)] == [1, 2]


@given(st.integers(0, LONGEST))
def test_a_window_is_padded_by_its_own_length_alone(samples: int) -> None:
    length = declared_length(samples)
    assert length in LENGTHS
    assert samples <= length
    assert all(samples > shorter for shorter in LENGTHS if shorter < length)


def test_padding_is_silence_behind_the_window() -> None:
    whole = padded(np.ones(3 * SECOND, np.int16))
    assert len(whole) == LENGTHS[0] + FLOOR
    assert whole[: 3 * SECOND].all()
    assert not whole[3 * SECOND :].any()


def test_a_window_beyond_the_longest_is_an_error_that_says_so() -> None:
    with pytest.raises(ValueError, match="longer than the longest declared length"):
        declared_length(LONGEST + 1)


def test_a_request_that_breaks_its_group_fails_alone() -> None:
    def halves(numbers: Sequence[int]) -> list[float]:
        return [1 / number for number in numbers]

    given = list(each(halves, [1, 2, 0, 4]))
    assert [(one, result) for one, result in given if one] == [(1, 1.0), (2, 0.5), (4, 0.25)]
    assert isinstance(dict(given)[0], ZeroDivisionError)
    assert list(each(halves, [2, 4])) == [(2, 0.5), (4, 0.25)]
