"""Texts are compared word by word after Whisper's normaliser."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamingstack_bench.wording import Edit, WordErrors, align, edits, tokens, word_errors

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "ä"]), max_size=12)


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Mr. Smith's colour", "en", ("mister", "smith", "is", "color")),
        ("twenty one", "en", ("21",)),
        ("Die Höhle, nördlich.", "de", ("die", "höhle", "nördlich")),
        ("", "en", ()),
    ],
)
def test_a_text_becomes_its_words_by_the_normaliser_of_its_language(text, language, expected):
    assert tokens(text, language) == expected


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("a b c", "a b c", WordErrors(3, 0, 0, 0)),
        ("a b c", "a x c", WordErrors(3, 1, 0, 0)),
        ("a b c", "a c", WordErrors(3, 0, 1, 0)),
        ("a b c", "a b b c", WordErrors(3, 0, 0, 1)),
        ("a b", "", WordErrors(2, 0, 2, 0)),
        ("", "a b", WordErrors(0, 0, 0, 2)),
        ("", "", WordErrors(0, 0, 0, 0)),
    ],
)
def test_edits_are_counted_by_kind(reference, hypothesis, expected):
    assert word_errors(reference.split(), hypothesis.split()) == expected


@given(WORDS, WORDS)
def test_pairs_are_in_order_and_tell_equal_from_substituted(reference, hypothesis):
    pairs = align(reference, hypothesis)
    assert all(
        (one.reference, one.hypothesis) < (two.reference, two.hypothesis)
        and one.reference < two.reference
        and one.hypothesis < two.hypothesis
        for one, two in pairwise(pairs)
    )
    assert all((reference[pair.reference] == hypothesis[pair.hypothesis]) == pair.equal for pair in pairs)


@given(WORDS, WORDS)
def test_edits_and_pairs_say_the_same(reference, hypothesis):
    errors, pairs = word_errors(reference, hypothesis), align(reference, hypothesis)
    assert errors.substitutions == sum(not pair.equal for pair in pairs)
    assert errors.deletions == len(reference) - len(pairs)
    assert errors.insertions == len(hypothesis) - len(pairs)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("a b c", "a b c", []),
        ("a b c", "a c", [Edit("deletion", 1, "b", "")]),
        ("a b c", "a b x y c", [Edit("insertion", 2, "", "x"), Edit("insertion", 2, "", "y")]),
        ("a b c", "a x c d", [Edit("substitution", 1, "b", "x"), Edit("insertion", 3, "", "d")]),
        ("", "a", [Edit("insertion", 0, "", "a")]),
        ("a b", "", [Edit("deletion", 0, "a", ""), Edit("deletion", 1, "b", "")]),
    ],
)
def test_edits_are_listed_one_by_one(reference, hypothesis, expected):
    assert edits(reference.split(), hypothesis.split()) == expected


@given(WORDS, WORDS)
def test_the_edits_listed_make_one_text_of_the_other(reference, hypothesis):
    made, at = [], 0
    for edit in edits(reference, hypothesis):
        made += reference[at : edit.at]
        at = edit.at + (edit.kind != "insertion")
        made += [edit.hypothesis] if edit.hypothesis else []
    assert made + reference[at:] == hypothesis
