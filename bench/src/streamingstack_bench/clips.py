"""Recordings with what is said in them, and how sessions are made of them."""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

RATE = 16_000
_SPANS = re.compile(r"utterance spans (\[\[[-\d., \[\]]+\]\])")
Pcm = NDArray[np.int16]


class ClipError(ValueError):
    """A recording or a manifest that cannot be used; the text names the file and the reason."""


@dataclass(frozen=True)
class Clip:
    """A recording.

    `reference` is None where nobody wrote down what is said; `derived` marks copies of other clips; `speech_start_s`
    is where speech begins, in seconds, where somebody measured it. `utterances` are the spans of a recording that was
    joined from several, in seconds; empty: it is one.
    """

    name: str
    path: Path
    language: str
    reference: str | None
    derived: bool = False
    speech_start_s: float | None = None
    utterances: tuple[tuple[float, float], ...] = ()

    @cached_property
    def pcm(self) -> Pcm:
        """Mono s16 at 16 kHz, shape [samples]; other rates and more channels are converted. Raises ClipError."""
        try:
            samples, rate = soundfile.read(self.path, dtype="float32", always_2d=True)
        except (OSError, soundfile.SoundFileError) as failure:
            raise ClipError(f"{self.path}: not readable as audio: {failure}") from None
        if not len(samples):
            raise ClipError(f"{self.path}: holds no audio")
        mono = samples.mean(axis=1)
        if rate != RATE:
            mono = soxr.resample(mono, rate, RATE)
        pcm: Pcm = np.clip(np.rint(mono * 32768), -32768, 32767).astype(np.int16)
        return pcm

    @property
    def duration_s(self) -> float:
        """Seconds of audio."""
        return len(self.pcm) / RATE

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the samples, in hex."""
        return hashlib.sha256(self.pcm.tobytes()).hexdigest()


def load_clips(source: Path) -> list[Clip]:
    """Clips of a folder with a manifest.jsonl, of a folder of WAV files, or one WAV file. Raises ClipError.

    A WAV file alone may have its text beside it, in a file of the same name that ends in `.txt`.
    """
    manifest = source / "manifest.jsonl"
    if manifest.is_file():
        return list(_manifest(manifest))
    paths = sorted(source.glob("*.wav")) if source.is_dir() else [source]
    if not paths or not all(path.is_file() for path in paths):
        raise ClipError(f"{source}: no manifest.jsonl and no WAV file; set --audio or STREAMINGSTACK_AUDIO")
    return [_lone(path) for path in paths]


def _manifest(manifest: Path) -> Iterator[Clip]:
    for number, line in enumerate(manifest.read_text().splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry: dict[str, Any] = json.loads(line)
            path, language = manifest.parent / entry["file"], entry["language"]
        except (json.JSONDecodeError, KeyError, TypeError) as failure:
            raise ClipError(f"{manifest}:{number}: expected JSON with `file` and `language`: {failure!r}") from None
        if not path.is_file():
            raise ClipError(f"{manifest}:{number}: {path} is missing")
        derived, onset = bool(entry.get("derived")), entry.get("speech_start_s")
        yield Clip(path.name, path, language, entry.get("reference"), derived, onset, _utterances(entry))


def _utterances(entry: dict[str, Any]) -> tuple[tuple[float, float], ...]:
    """Spans by the manifest: its `utterances`, or what `derived` says of them in words."""
    told = _SPANS.search(str(entry.get("derived")))
    spans = entry.get("utterances") or (json.loads(told[1]) if told else [])
    return tuple((float(begin), float(end)) for begin, end in spans)


def _lone(path: Path) -> Clip:
    beside = path.with_suffix(".txt")
    language = path.name[:2] if path.name[2:3] == "_" else "en"
    return Clip(path.name, path, language, beside.read_text().strip() if beside.is_file() else None)


@dataclass(frozen=True)
class Programme:
    """What one session plays: clips one after the other with silence between."""

    clips: tuple[Clip, ...]
    gap_s: float = 2.5

    @cached_property
    def starts_s(self) -> tuple[float, ...]:
        """Where each clip begins, in seconds since the session's start."""
        starts, at = [], 0.0
        for clip in self.clips:
            starts.append(at)
            at += clip.duration_s + self.gap_s
        return tuple(starts)

    @cached_property
    def pcm(self) -> Pcm:
        """The whole audio, shape [samples]; no silence after the last clip."""
        gap = np.zeros(round(self.gap_s * RATE), dtype=np.int16)
        parts: list[Pcm] = []
        for clip in self.clips:
            parts += [gap, clip.pcm] if parts else [clip.pcm]
        return np.concatenate(parts)

    @property
    def duration_s(self) -> float:
        """Seconds of audio, silence between clips counted."""
        return len(self.pcm) / RATE

    def clip_at(self, second: float) -> int:
        """Index of the clip that a moment belongs to; a gap is shared by its neighbours."""
        return max(index for index, start in enumerate(self.starts_s) if not index or start - self.gap_s / 2 <= second)


def programmes(clips: Sequence[Clip], *, clips_per_session: int, seed: int) -> list[Programme]:
    """Every clip once, cut into sessions of one language, in an order that depends on `seed` alone."""
    order, count = np.random.default_rng(seed), max(1, clips_per_session)
    made: list[Programme] = []
    for language in sorted({clip.language for clip in clips}):
        same = [clip for clip in clips if clip.language == language]
        mixed = [same[index] for index in order.permutation(len(same))]
        made += [Programme(tuple(mixed[at : at + count])) for at in range(0, len(mixed), count)]
    return [made[index] for index in order.permutation(len(made))]


def endless(every: Sequence[Programme]) -> Iterator[Programme]:
    """The programmes over and over."""
    return islice(cycle(every), None)
