"""How Whisper runs, from the environment of its Triton.

WHISPER_MODEL_DIR (a CTranslate2 folder), WHISPER_COMPUTE_TYPE (default int8, float16 on a GPU), WHISPER_WORKERS
(default: the processors, at most 2), WHISPER_BEAM (default 5; 1 is greedy), WHISPER_LANGUAGES (ISO 639-1, comma
separated: what a multilingual model may detect).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """How the model runs; `languages` bounds what a multilingual model may detect, empty: all it knows.

    `beam` is for decodes that become final. Offline, a whole clip helps a greedy decode; in short windows a beam of 5
    makes up for what is missing: tiny.en gets 13.6 % of the words of 48 clips wrong with it, 13.4 % offline
    (docs/benchmarks.md). In the earlier run that it was chosen by, 16.9 % were wrong greedily and 14.0 % with it, then
    for a third more processor time.
    """

    folder: Path
    device: str = "cpu"
    compute_type: str = "int8"
    workers: int = 2
    beam: int = 5
    languages: tuple[str, ...] = ()


def settings_from(environment: Mapping[str, str], device: str) -> Settings:
    """The model's settings; raises ValueError naming the variable that is wrong."""
    folder = Path(environment.get("WHISPER_MODEL_DIR", ""))
    if not (folder / "model.bin").is_file():
        raise ValueError(f"WHISPER_MODEL_DIR={folder} holds no model.bin; set it to a CTranslate2 Whisper folder")
    return Settings(
        folder=folder,
        device=device,
        compute_type=environment.get("WHISPER_COMPUTE_TYPE") or ("int8" if device == "cpu" else "float16"),
        workers=_count(environment, "WHISPER_WORKERS", min(2, os.cpu_count() or 1)),
        beam=_count(environment, "WHISPER_BEAM", 5),
        languages=tuple(filter(None, environment.get("WHISPER_LANGUAGES", "").replace(" ", "").split(","))),
    )


def _count(environment: Mapping[str, str], name: str, default: int) -> int:
    value = environment.get(name) or str(default)
    if not value.isdigit() or int(value) < 1:
        raise ValueError(f"{name}={value}: must be a whole number from 1")
    return int(value)
