"""Opus, Ogg Opus and AAC: the same speech, wherever it is cut; what cannot be decoded is refused."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from encoded import encoded, spoken
from hypothesis import given, settings
from hypothesis import strategies as st
from streaming_gateway.audio import AudioIntake
from streaming_gateway.problems import Problem

SECOND = 32_000
FORMS = {
    "opus": ("opus", encoded("libopus", "ogg", 48_000)[1]),
    "ogg": ("ogg_opus", [encoded("libopus", "ogg", 48_000)[0]]),
    "ogg in stereo": ("ogg_opus", [encoded("libopus", "ogg", 48_000, "stereo")[0]]),
    "ogg of six channels": ("ogg_opus", [encoded("libopus", "ogg", 48_000, "5.1")[0]]),
    "aac": ("aac", [encoded("aac", "adts", 44_100)[0]]),
    "aac at 16 kHz": ("aac", [encoded("aac", "adts", 16_000)[0]]),
    "aac in stereo": ("aac", [encoded("aac", "adts", 48_000, "stereo")[0]]),
}


def heard(encoding: str, messages: Sequence[bytes]) -> tuple[bytes, AudioIntake]:
    intake = AudioIntake(encoding, 16_000)
    pieces = [pcm for message in messages for pcm in intake.feed(message, 0)]
    return b"".join([*pieces, *intake.finish()]), intake


def likeness(pcm: bytes) -> tuple[float, int]:
    """The best correlation with the recording's loudness over shifts of up to 200 ms, and that shift in ms."""
    levels = [
        np.sqrt(np.square(np.frombuffer(each, dtype="<i2").astype(float)[:158_400].reshape(-1, 160)).mean(axis=1))
        for each in (spoken(), pcm)
    ]
    shifts = range(-20, 21)
    found = [float(np.corrcoef(levels[0][40:-40], np.roll(levels[1], -shift)[40:-40])[0, 1]) for shift in shifts]
    best = int(np.argmax(found))
    return found[best], 10 * shifts[best]


@pytest.mark.parametrize("form", FORMS)
def test_the_same_speech_at_the_same_time(form: str) -> None:
    encoding, messages = FORMS[form]
    pcm, intake = heard(encoding, messages)
    alike, late_ms = likeness(pcm)
    assert alike > 0.95
    # AAC encoders have a run-up that ADTS does not tell of.
    assert abs(late_ms) <= (70 if encoding == "aac" else 10)
    assert intake.received_seconds == pytest.approx(10, abs=0.15)
    assert intake.received_samples == pytest.approx(len(pcm) // 2, abs=200)


@pytest.mark.parametrize("form", ["ogg", "aac"])
@given(cuts=st.lists(st.integers(0, 100_000), max_size=30))
@settings(max_examples=25, deadline=None)
def test_slices_of_any_size_are_the_same_audio(form: str, cuts: list[int]) -> None:
    encoding, (whole,) = FORMS[form]
    bounds = [0, *sorted(cut for cut in cuts if cut < len(whole)), len(whole)]
    assert heard(encoding, [whole[start:end] for start, end in pairwise(bounds)])[0] == heard(encoding, [whole])[0]


@pytest.mark.parametrize("form", FORMS)
def test_no_piece_is_longer_than_a_second_and_one_packet(form: str) -> None:
    encoding, messages = FORMS[form]
    intake = AudioIntake(encoding, 16_000)
    assert max(len(pcm) for message in messages for pcm in intake.feed(message, 0)) <= SECOND * 1.12


def test_streams_in_one_ogg_follow_one_another() -> None:
    one = FORMS["ogg"][1][0]
    assert len(heard("ogg_opus", [one, one])[0]) == pytest.approx(2 * len(heard("ogg_opus", [one])[0]), abs=400)


def test_short_packets_are_the_habit_of_opus() -> None:
    intake = AudioIntake("opus", 16_000)
    for number, packet in enumerate(FORMS["opus"][1]):
        assert list(intake.feed(packet, 0.02 * number)) is not None


@pytest.mark.parametrize(
    ("encoding", "messages", "named"),
    [
        ("opus", [b"\xff" + b"\x00" * 3], "Failed to decode Opus packet"),
        ("opus", [b"\x00" * 61_299], "one packet has at most"),
        ("ogg_opus", [b"RIFF" + b"\x00" * 100], "Failed to decode Ogg stream: no Ogg page"),
        ("ogg_opus", [FORMS["ogg"][1][0][200:]], "Failed to decode Ogg stream"),
        ("aac", [b"\x00" * 70_000], "no ADTS frame in"),
        ("aac", [b"\x00" * 40_000, b"\x00" * 40_000], "no ADTS frame in"),
    ],
)
def test_what_is_no_such_audio_is_refused_by_name(encoding: str, messages: list[bytes], named: str) -> None:
    with pytest.raises(Problem) as refused:
        heard(encoding, messages)
    assert refused.value.code == 3006
    assert named in refused.value.text


@pytest.mark.parametrize("encoding", ["opus", "ogg_opus", "aac"])
@given(st.lists(st.binary(max_size=2000), max_size=20))
@settings(max_examples=50, deadline=None)
def test_any_bytes_are_audio_or_a_refusal(encoding: str, messages: list[bytes]) -> None:
    try:
        heard(encoding, messages)
    except Problem as refused:
        assert refused.code == 3006  # noqa: PT017


@pytest.mark.parametrize("form", ["opus", "ogg", "aac"])
@given(at=st.integers(0, 60_000), value=st.integers(0, 255))
@settings(max_examples=50, deadline=None)
def test_a_damaged_byte_is_audio_or_a_refusal(form: str, at: int, value: int) -> None:
    encoding, messages = FORMS[form]
    damaged = bytearray(b"".join(messages[:1]))
    damaged[at % len(damaged)] = value
    try:
        heard(encoding, [bytes(damaged), *messages[1:20]])
    except Problem as refused:
        assert refused.code == 3006  # noqa: PT017
