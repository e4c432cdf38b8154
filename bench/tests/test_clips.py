"""Recordings come from a manifest, a folder or a file; sessions are made of them in a repeatable order."""

import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import soundfile
from streamingstack_bench.clips import RATE, Clip, ClipError, Programme, endless, load_clips, programmes


def write(path: Path, seconds: float = 1.0, rate: int = RATE, channels: int = 1) -> Path:
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)
    soundfile.write(path, np.tile(tone[:, None], (1, channels)), rate, subtype="PCM_16")
    return path


def clip(folder: Path, name: str, seconds: float = 1.0, language: str = "en") -> Clip:
    return Clip(name, write(folder / f"{name}.wav", seconds), language, "word")


def test_a_manifest_tells_language_reference_and_what_is_derived(tmp_path):
    write(tmp_path / "a.wav")
    lines = [{"file": "a.wav", "language": "de", "reference": "eins", "derived": "b.wav"}]
    (tmp_path / "manifest.jsonl").write_text("\n".join(json.dumps(line) for line in lines) + "\n\n")
    [found] = load_clips(tmp_path)
    assert (found.name, found.language, found.reference, found.derived) == ("a.wav", "de", "eins", True)


def test_files_without_a_manifest_take_their_text_from_beside_them(tmp_path):
    write(tmp_path / "de_x.wav")
    write(tmp_path / "plain.wav")
    (tmp_path / "de_x.txt").write_text("ein Satz\n")
    assert [(c.name, c.language, c.reference) for c in load_clips(tmp_path)] == [
        ("de_x.wav", "de", "ein Satz"),
        ("plain.wav", "en", None),
    ]
    assert [c.name for c in load_clips(tmp_path / "plain.wav")] == ["plain.wav"]


@pytest.mark.parametrize(
    ("manifest", "told"),
    [
        ("{", r"manifest.jsonl:1: expected JSON"),
        ('{"file": "a.wav"}', r"manifest.jsonl:1: expected JSON.*language"),
        ('{"file": "gone.wav", "language": "en"}', r"manifest.jsonl:1: .*gone.wav is missing"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_named_by_line(tmp_path, manifest, told):
    (tmp_path / "manifest.jsonl").write_text(manifest)
    with pytest.raises(ClipError, match=told):
        load_clips(tmp_path)


def test_a_folder_without_recordings_names_the_remedy(tmp_path):
    with pytest.raises(ClipError, match="STREAMINGSTACK_AUDIO"):
        load_clips(tmp_path)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"no audio at all"])
def test_a_file_that_is_no_audio_is_named(tmp_path, content):
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    with pytest.raises(ClipError, match=r"bad\.wav"):
        _ = Clip("bad", path, "en", None).pcm


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (8_000, 1), (44_100, 2), (48_000, 6)])
def test_any_rate_and_channel_count_becomes_mono_at_16_khz(tmp_path, rate, channels):
    pcm = Clip("x", write(tmp_path / "x.wav", 1.0, rate, channels), "en", None).pcm
    assert pcm.dtype == np.int16
    assert len(pcm) == pytest.approx(RATE, abs=2)
    assert int(np.abs(pcm[2000:-2000]).max()) == pytest.approx(0.3 * 32768, rel=0.02)


def test_16_khz_mono_is_taken_sample_by_sample(tmp_path):
    path = write(tmp_path / "x.wav")
    assert np.array_equal(Clip("x", path, "en", None).pcm, soundfile.read(path, dtype="int16")[0])


def test_a_programme_plays_its_clips_with_silence_between(tmp_path):
    programme = Programme((clip(tmp_path, "a", 1.0), clip(tmp_path, "b", 2.0)), gap_s=0.5)
    assert programme.starts_s == (0.0, 1.5)
    assert programme.duration_s == 3.5
    assert not programme.pcm[RATE : RATE + RATE // 2].any()


@pytest.mark.parametrize(("second", "index"), [(-1.0, 0), (0.5, 0), (1.2, 0), (1.3, 1), (3.0, 1), (9.0, 1)])
def test_a_moment_belongs_to_the_nearer_clip(tmp_path, second, index):
    programme = Programme((clip(tmp_path, "a", 1.0), clip(tmp_path, "b", 2.0)), gap_s=0.5)
    assert programme.clip_at(second) == index


def test_every_clip_is_played_once_and_a_session_has_one_language(tmp_path):
    clips = [clip(tmp_path, f"{language}{number}", 0.1, language) for language in ("en", "de") for number in range(5)]
    made = programmes(clips, clips_per_session=2, seed=1)
    assert sorted(c.name for programme in made for c in programme.clips) == sorted(c.name for c in clips)
    assert all(len({c.language for c in programme.clips}) == 1 for programme in made)
    assert max(len(programme.clips) for programme in made) == 2


def test_the_order_depends_on_the_seed_alone(tmp_path):
    clips = [clip(tmp_path, str(number), 0.1) for number in range(8)]
    orders = [[p.clips[0].name for p in programmes(clips, clips_per_session=1, seed=seed)] for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


def test_endless_programmes_begin_again():
    assert list(islice(endless([1, 2]), 5)) == [1, 2, 1, 2, 1]  # type: ignore[list-item]
