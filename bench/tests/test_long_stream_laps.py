"""A stream of hours is told lap by lap."""

from pathlib import Path

import numpy as np
from streamingstack.asr.v1 import recognizer_pb2 as pb
from streamingstack_bench.clips import RATE, load_clips
from streamingstack_bench.long_stream import Lap, Reading, describe, lap_audio, laps, missed

LAP = 10 * RATE
READINGS = [Reading(cpu_s=4.0 * n, pss=10**9 + n, at_s=3.0 * n) for n in range(5)]


def word(text: str, at_s: float) -> pb.Word:
    return pb.Word(text=text, start_sample=round(at_s * RATE), end_sample=round(at_s * RATE) + 100)


def test_each_word_belongs_to_the_lap_it_begins_in() -> None:
    told = laps([word("a", 0.5), word("b", 9.9), word("a", 10.0), word("c", 39.0)], READINGS, LAP)
    assert [lap.words for lap in told] == [("a", "b"), ("a",), (), ("c",)]


def test_a_word_behind_the_last_lap_is_counted_in_it() -> None:
    assert laps([word("late", 40.1)], READINGS, LAP)[-1].words == ("late",)


def test_a_lap_costs_what_was_used_between_its_readings() -> None:
    assert [(lap.cpu_s, lap.wall_s, lap.pss) for lap in laps([], READINGS, LAP)] == [
        (4.0, 3.0, 10**9 + n) for n in (1, 2, 3, 4)
    ]


def test_a_lap_with_other_words_shows() -> None:
    same = [word(text, 10 * n + 1) for n in range(4) for text in ("x" if n != 3 else "y")]
    assert "1/1 | 1/1 | 1/1 | 0/1" in describe(laps(same, READINGS, LAP), 10.0)


def rounds(*, cpu_s: list[float], pss: list[int]) -> list[Lap]:
    return [Lap(("a",), cost, 1.0, memory) for cost, memory in zip(cpu_s, pss, strict=True)]


EVEN = [100] * 8


def test_a_stream_that_stays_as_it_began_passes_and_so_does_one_that_nobody_limits() -> None:
    dear_in_the_middle = rounds(cpu_s=[4, 4, 9, 9, 9, 9, 5, 5], pss=EVEN)
    assert missed(dear_in_the_middle, max_slowdown=1.25, max_growth=1.0) == []
    assert missed(rounds(cpu_s=[1, 9], pss=[1, 9]), max_slowdown=None, max_growth=None) == []


def test_a_last_quarter_that_costs_more_than_allowed_is_told() -> None:
    slower = rounds(cpu_s=[4, 4, 4, 4, 4, 4, 5, 6], pss=EVEN)
    assert missed(slower, max_slowdown=1.25, max_growth=1.25) == [
        "slowdown: the last quarter's processor seconds are 1.38 of the first's, 1.25 allowed"
    ]


def test_a_last_quarter_that_holds_more_memory_than_allowed_is_told() -> None:
    greater = rounds(cpu_s=[4.0] * 8, pss=[100, 90, 100, 100, 100, 100, 100, 130])
    assert missed(greater, max_slowdown=1.25, max_growth=1.25) == [
        "growth: the last quarter's most memory (PSS) is 1.30 of the first's, 1.25 allowed"
    ]


def test_a_stream_of_fewer_than_four_laps_cannot_pass_a_limit() -> None:
    short = rounds(cpu_s=[4, 4, 4], pss=[100] * 3)
    assert missed(short, max_slowdown=1.25, max_growth=1.25) == [
        "slowdown cannot be told: the stream was too short",
        "growth cannot be told: the stream was too short",
    ]


def test_laps_are_whole_voice_frames_and_end_in_silence() -> None:
    clips = [clip for clip in load_clips(Path("examples/audio")) if clip.language == "en"]
    pcm = lap_audio(clips)
    assert len(pcm) % 512 == 0
    assert len(pcm) % RATE == 0
    assert not np.any(pcm[-2 * RATE :])
