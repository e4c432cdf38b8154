"""The model repository for one kind of device."""

import shutil
from pathlib import Path
from typing import Literal

CONFIG = "config.pbtxt"
_ON_CPU, _ON_GPU = "kind: KIND_CPU", "kind: KIND_GPU"
# Everything else is quick on a processor and leaves the card to the words.
_MOVES_TO_GPU = ("whisper",)


def repository_for(device: Literal["cpu", "gpu"], source: Path, target: Path) -> Path:
    """The folder to give to Triton: `source` itself, or a copy in `target` whose large models run on a GPU.

    Raises FileNotFoundError where a model that moves is not in `source`, ValueError where it names no device.
    """
    if device == "cpu":
        return source
    shutil.copytree(source, target, dirs_exist_ok=True)
    for model in _MOVES_TO_GPU:
        config = target / model / CONFIG
        text = config.read_text()
        if _ON_CPU not in text:
            raise ValueError(f"{config}: no instance group with `{_ON_CPU}`")
        config.write_text(text.replace(_ON_CPU, _ON_GPU))
    return target
