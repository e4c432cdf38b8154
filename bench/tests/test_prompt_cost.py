"""What is decoded to learn what a prompt costs, and how it is told."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from streaming_asr.whisper.model import Heard, Request
from streamingstack_bench.clips import RATE, Clip
from streamingstack_bench.prompt_cost import TOGETHER, WINDOW_S, Cost, describe, measure, windows


def clip(folder: Path, seconds: float) -> Clip:
    path = folder / f"{seconds}.wav"
    soundfile.write(path, np.zeros(int(seconds * RATE), np.int16), RATE)
    return Clip(path.name, path, "en", None)


def test_windows_are_whole_and_one_a_recording(tmp_path: Path) -> None:
    found = windows([clip(tmp_path, seconds) for seconds in (WINDOW_S - 0.1, WINDOW_S, 20, 21)], 2)
    assert [len(pcm) for pcm in found] == [WINDOW_S * RATE] * 2


def test_costs_are_told_against_no_context() -> None:
    table = describe([Cost(0, 1.0, 0.5), Cost(64, 1.25, 0.45)])
    assert table.splitlines() == [
        "| tokens of context | 0 | 64 |",
        "| --- | --- | --- |",
        "| processor seconds of a decode, alone | 1.00 | 1.25 (+25%) |",
        "| the same in batches of 4 | 0.50 | 0.45 (-10%) |",
    ]


class Noting:
    """A model that notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[list[Request]] = []

    def shape(self, request: Request) -> tuple[int, int, bool]:
        words = len(request.prompt.split())
        return len(request.pcm), words and words + 1, False

    def decode(self, requests: Sequence[Request]) -> list[Heard]:
        self.asked.append(list(requests))
        return [Heard() for _ in requests]


def test_every_window_is_decoded_alone_and_in_batches_after_the_same_context() -> None:
    pcm = [np.zeros(WINDOW_S * RATE, np.int16)] * (TOGETHER + 1)
    for words in (0, 16):
        model: Any = Noting()
        assert measure(model, pcm, words).tokens == words
        assert [len(batch) for batch in model.asked] == [1] * len(pcm) + [TOGETHER, 1]
        assert {len(request.prompt.split()) for batch in model.asked for request in batch} == {words}
