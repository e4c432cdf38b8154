"""Frames of audio: their lengths, their halves, their encodings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streaming_gateway.arrivals import Arrivals
from streaming_gateway.audio import AudioIntake, ChunkRule
from streaming_gateway.problems import Problem


@pytest.mark.parametrize("duration_ms", [50, 100, 1000])
def test_50_to_1000_ms_is_a_frame(duration_ms: float) -> None:
    rule = ChunkRule()
    for number in range(100):
        rule.check(duration_ms, number * duration_ms / 1000)


def test_more_than_a_second_is_refused_with_its_length() -> None:
    with pytest.raises(Problem) as refused:
        ChunkRule().check(1200, 0)
    assert refused.value.code == 3007
    assert "Input Duration Violation: 1200.0 ms" in refused.value.text


def test_short_frames_are_refused_once_they_are_twenty_over_a_second() -> None:
    rule = ChunkRule()
    for number in range(50):
        rule.check(20, number * 0.02)
    with pytest.raises(Problem):
        rule.check(20, 1.0)


def test_a_burst_of_short_frames_or_a_few_slow_ones_pass() -> None:
    burst, slow = ChunkRule(), ChunkRule()
    for number in range(200):
        burst.check(20, number * 0.001)
    for number in range(19):
        slow.check(20, number * 1.0)


def test_a_legal_frame_starts_the_count_anew() -> None:
    rule = ChunkRule()
    for number in range(300):
        rule.check(100 if number % 15 == 0 else 20, number * 0.1)


@given(st.binary(max_size=400), st.lists(st.integers(1, 90), max_size=20))
def test_audio_cut_anywhere_is_the_same_audio(data: bytes, cuts: list[int]) -> None:
    intake = AudioIntake("pcm_s16le", 16_000)
    heard, rest = b"", data
    for cut in [*cuts, len(data)]:
        heard += b"".join(intake.feed(rest[:cut], 0))
        rest = rest[cut:]
    assert heard == data[: len(data) & ~1]
    assert intake.received_samples == len(data) // 2


def resampled(encoding: str, rate: int, data: bytes, cuts: list[int]) -> bytes:
    """`data` in frames of so many bytes, the rest in frames of 8000: no more than a second of any encoding."""
    intake, heard = AudioIntake(encoding, rate), b""
    for cut in [*cuts, *[8000] * (len(data) // 8000 + 1)]:
        heard += b"".join(intake.feed(data[:cut], 0))
        data = data[cut:]
    return heard + b"".join(intake.finish())


@pytest.mark.parametrize(
    ("encoding", "rate"), [("pcm_mulaw", 8000), ("pcm_s16le", 11_025), ("pcm_s16le", 44_100), ("pcm_s16le", 48_000)]
)
@given(seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.integers(0, 8000), max_size=30))
def test_audio_of_another_rate_cut_anywhere_is_the_same_to_the_bit(
    encoding: str, rate: int, seed: int, cuts: list[int]
) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, 24_000, dtype=np.uint8).tobytes()
    assert resampled(encoding, rate, noise, cuts) == resampled(encoding, rate, noise, [])


def test_what_overshoots_when_resampled_is_clipped_and_does_not_wrap() -> None:
    """A square wave at full scale rings beyond it at every edge."""
    up = np.arange(48_000) // 480 % 2 == 0
    heard = resampled("pcm_s16le", 48_000, np.where(up, 32_767, -32_768).astype("<i2").tobytes(), [])
    halves = np.frombuffer(heard, dtype="<i2")[:16_000].reshape(-1, 160)[:, 8:-8].astype(int)
    assert halves[::2].min() > 29_000
    assert halves[1::2].max() < -29_000
    assert (halves.max(), halves.min()) == (32_767, -32_768)


def test_mulaw_has_its_known_values() -> None:
    decoded = AudioIntake("pcm_mulaw", 16_000).feed(bytes([0xFF, 0x7F, 0x00, 0x80, 0xCE]), 0)
    assert np.frombuffer(b"".join(decoded), dtype="<i2").tolist() == [0, 0, -32124, 32124, 988]


@pytest.mark.parametrize("rate", [8000, 11_025, 44_100, 48_000, 96_000])
def test_another_rate_is_resampled_on_the_same_clock(rate: int) -> None:
    intake = AudioIntake("pcm_s16le", rate)
    tone = (8000 * np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate)).astype("<i2").tobytes()
    heard = b"".join(pcm for at in range(0, len(tone), rate // 5) for pcm in intake.feed(tone[at : at + rate // 5], 0))
    heard += b"".join(intake.finish())
    samples = np.frombuffer(heard, dtype="<i2").astype(float)
    assert abs(len(samples) - 32_000) <= 2
    expected = 8000 * np.sin(2 * np.pi * 440 * np.arange(len(samples)) / 16_000)
    assert np.corrcoef(samples[800:-800], expected[800:-800])[0, 1] > 0.999
    assert intake.received_seconds == 2


def test_arrivals_tell_how_long_ago_a_sample_came() -> None:
    arrivals = Arrivals()
    for number in range(1, 6000):
        arrivals.arrived(1600 * number, 0.1 * number)
    assert arrivals.waited(1600 * 5000, 510.0) == pytest.approx(10.0)
    assert arrivals.waited(1600 * 4999 + 1, 510.0) == pytest.approx(10.0)
    assert arrivals.waited(1600, 510.0) is None
    assert arrivals.waited(1600 * 6001, 510.0) is None
