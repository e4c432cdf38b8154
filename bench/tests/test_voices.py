"""Where voices are, by the frames of voice activity, and which of them make an utterance."""

from collections.abc import Callable

import numpy as np
import pytest
from streamingstack_bench.clips import RATE, Clip, Programme, load_clips
from streamingstack_bench.voice_model import speech_probabilities
from streamingstack_bench.voices import FRAME_S, Span, silences, utterances, voices


def frames(text: str) -> list[float]:
    """`#` is a loud frame, `+` one in between, `.` silence."""
    return [{"#": 0.9, "+": 0.45, ".": 0.1}[mark] for mark in text]


def spans(found: list[Span]) -> list[tuple[int, int]]:
    return [(round(span.start_s / FRAME_S), round(span.end_s / FRAME_S)) for span in found]


@pytest.mark.parametrize(
    ("heard", "threshold", "shortest", "found"),
    [
        ("..###..##", 0.5, 0, [(2, 5), (7, 9)]),
        ("..#+#..", 0.5, 0, [(2, 3), (4, 5)]),
        ("..#+#..", 0.4, 0, [(2, 5)]),
        ("#..###.", 0.5, 3, [(3, 6)]),
        ("", 0.5, 0, []),
    ],
)
def test_voices_are_runs_of_frames(heard: str, threshold: float, shortest: int, found: list[tuple[int, int]]) -> None:
    assert spans(voices(frames(heard), threshold, shortest * FRAME_S)) == found


def test_a_silence_lasts_until_the_next_voice_or_the_end() -> None:
    heard = voices(frames("..##...#.."), 0.5)
    assert spans(silences(heard, 10 * FRAME_S)) == [(4, 7), (8, 10)]


def test_an_utterance_is_a_recording_or_a_part_that_its_manifest_tells(silent_clip: Callable[..., Clip]) -> None:
    one = silent_clip("one.wav", 2.0, "one")
    joined = silent_clip("two.wav", 4.0, "two three")
    two = Clip(joined.name, joined.path, "en", joined.reference, utterances=((0.0, 1.5), (2.0, 4.0)))
    speech = [Span(0.5, 0.9), Span(1.2, 1.8), Span(3.4, 4.0), Span(5.5, 6.0)]
    found = list(utterances(Programme((one, two), gap_s=1.0), speech))
    assert [(one.clip, one.start_s, one.end_s) for one in found] == [
        ("one.wav", 0.5, 1.8),
        ("two.wav", 3.4, 4.0),
        ("two.wav", 5.5, 6.0),
    ]


def test_the_repositorys_recording_with_pauses_tells_its_utterances(repository_audio) -> None:
    (clip,) = (clip for clip in load_clips(repository_audio) if "pauses" in clip.name)
    assert len(clip.utterances) == 4
    assert all(begin < end for begin, end in clip.utterances)
    assert clip.utterances[-1][1] == pytest.approx(clip.duration_s, abs=0.05)


def test_voice_activity_hears_a_recording_and_not_the_silence_around_it(repository_audio, hearing_models) -> None:
    (clip,) = (clip for clip in load_clips(repository_audio) if clip.name == "en_libri_1688-142285-0002.wav")
    pause = np.zeros(2 * RATE, np.int16)
    heard = speech_probabilities(hearing_models / "silero_vad.onnx", np.concatenate([pause, clip.pcm, pause]))
    found = voices(heard, 0.5)
    assert 2.2 < found[0].start_s < 2.4
    assert 4.0 < found[-1].end_s < 4.6
