"""Rates are over all clips together, and say how sure they are."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streamingstack_bench.figures import error_rate, percentiles, pooled, rate_difference
from streamingstack_bench.wording import WordErrors

COUNTS = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=2),
    st.builds(WordErrors, st.integers(1, 50), st.integers(0, 20), st.integers(0, 20), st.integers(0, 20)),
    min_size=1,
    max_size=12,
)


def test_percentiles_lie_between_ranks():
    found = percentiles([float(value) for value in range(101)])
    assert found is not None
    assert (found.p50, found.p95, found.p99, found.count) == (50.0, 95.0, 99.0, 101)


def test_no_values_have_no_percentiles():
    assert percentiles([]) is None


def test_the_rate_counts_words_not_clips():
    rate = error_rate({"short": WordErrors(1, 1), "long": WordErrors(99)})
    assert rate is not None
    assert rate.value == pytest.approx(0.01)


def test_a_rate_needs_reference_words():
    assert error_rate({}) is None
    assert error_rate({"silence": WordErrors(0, 0, 0, 3)}) is None


def test_clips_that_are_all_alike_leave_no_doubt():
    rate = error_rate({str(number): WordErrors(20, 1) for number in range(10)})
    assert rate is not None
    assert rate.low == rate.value == rate.high == pytest.approx(0.05)


def test_the_interval_is_about_as_wide_as_the_binomial_one():
    """400 clips of one word, a tenth wrong: the textbook interval is 0.1 +- 0.029."""
    rate = error_rate({str(number): WordErrors(1, int(number < 40)) for number in range(400)})
    assert rate is not None
    assert rate.low == pytest.approx(0.071, abs=0.006)
    assert rate.high == pytest.approx(0.129, abs=0.006)


@settings(deadline=None)  # a bootstrap takes as long as the machine is busy
@given(COUNTS)
def test_the_rate_lies_in_its_interval_and_is_the_same_every_time(errors):
    rate = error_rate(errors)
    assert rate is not None
    assert 0 <= rate.low <= rate.high
    worst = max(one.edits / one.words for one in errors.values())
    best = min(one.edits / one.words for one in errors.values())
    assert best - 1e-9 <= rate.low
    assert rate.high <= worst + 1e-9
    assert error_rate(dict(reversed(errors.items()))) == rate


@settings(deadline=None)  # a bootstrap takes as long as the machine is busy
@given(COUNTS)
def test_nothing_differs_from_itself(errors):
    gap = rate_difference(errors, errors)
    assert gap is not None
    assert (gap.value, gap.low, gap.high) == (0, 0, 0)


def test_a_difference_is_drawn_in_pairs_over_the_clips_both_have():
    """Clips are of very different difficulty, but every one has exactly one more error: no doubt about the gap."""
    baseline = {str(number): WordErrors(20, number) for number in range(10)}
    more = {clip: one + WordErrors(0, 1) for clip, one in baseline.items()}
    gap = rate_difference({**more, "only here": WordErrors(10, 10)}, baseline)
    assert gap is not None
    assert gap.low == pytest.approx(gap.high) == pytest.approx(0.05)


def test_a_clip_played_in_several_sessions_is_one_draw():
    found = pooled([("a", WordErrors(10, 1)), ("b", WordErrors(5)), ("a", WordErrors(10, 0, 2))])
    assert found == {"a": WordErrors(20, 1, 2), "b": WordErrors(5)}
