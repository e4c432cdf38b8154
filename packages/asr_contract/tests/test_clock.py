"""Samples and milliseconds."""

import pytest
from asr_contract.clock import SAMPLE_RATE, ms_to_samples, pcm_samples, samples_to_ms
from hypothesis import given, settings
from hypothesis import strategies as st


def test_a_second_has_sixteen_thousand_samples() -> None:
    assert ms_to_samples(1000) == SAMPLE_RATE == 16_000


@settings(deadline=None)
@given(st.integers(0, 2**63))
def test_milliseconds_come_back_exactly(ms: int) -> None:
    assert samples_to_ms(ms_to_samples(ms)) == ms


@settings(deadline=None)
@given(st.integers(0, 2**63))
def test_samples_are_rounded_down_by_less_than_a_millisecond(samples: int) -> None:
    assert 0 <= samples - ms_to_samples(samples_to_ms(samples)) < 16


def test_two_bytes_are_one_sample() -> None:
    assert pcm_samples(b"\0" * 640) == 320


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="pcm has 3 bytes"):
        pcm_samples(b"abc")
