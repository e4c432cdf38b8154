"""A stream of hours is told lap by lap."""

from pathlib import Path

import numpy as np
from streamingstack.asr.v1 import recognizer_pb2 as pb
from streamingstack_bench.clips import RATE, load_clips
from streamingstack_bench.long_stream import Reading, describe, lap_audio, laps

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


def test_laps_are_whole_voice_frames_and_end_in_silence() -> None:
    clips = [clip for clip in load_clips(Path("examples/audio")) if clip.language == "en"]
    pcm = lap_audio(clips)
    assert len(pcm) % 512 == 0
    assert len(pcm) % RATE == 0
    assert not np.any(pcm[-2 * RATE :])
