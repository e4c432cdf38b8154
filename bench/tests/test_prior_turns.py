"""What is decoded to learn what turns before do to the next one, and how it is told."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from streaming_asr.whisper.model import Heard, Request
from streaming_asr.whisper.words import TimedWord
from streamingstack_bench.clips import RATE, Clip
from streamingstack_bench.prior_turns import Hearing, describe, hear, turns_of
from streamingstack_bench.wording import WordErrors


def clip(folder: Path, name: str, said: str | None = "one two", seconds: float = 1, **more: Any) -> Clip:
    path = folder / f"{name}.wav"
    soundfile.write(path, np.zeros(int(seconds * RATE), np.int16), RATE)
    return Clip(name, path, more.pop("language", "en"), said, **more)


class Echo:
    """A model that notes what it is asked, and hears `turn` and the number of the question."""

    def __init__(self) -> None:
        self.prompts: list[str] = []

    def shape(self, request: Request) -> tuple[int, int, bool]:
        words = len(request.prompt.split())
        return len(request.pcm), words and words + 1, False

    def decode(self, requests: Sequence[Request]) -> list[Heard]:
        self.prompts += [request.prompt for request in requests]
        return [Heard([TimedWord("turn", 0, 1, 1.0), TimedWord(str(len(self.prompts)), 1, 2, 1.0)])]


def test_a_turn_is_an_english_recording_with_a_text_that_fits_a_window(tmp_path: Path) -> None:
    clips = [
        clip(tmp_path, "a"),
        clip(tmp_path, "unknown", None),
        clip(tmp_path, "long", seconds=16.1),
        clip(tmp_path, "german", language="de"),
        clip(tmp_path, "copy", derived=True),
        clip(tmp_path, "b", seconds=16),
    ]
    assert [each.name for each in turns_of(clips)] == ["a", "b"]


def test_each_turn_is_decoded_after_what_was_heard_of_the_last_ones(tmp_path: Path) -> None:
    clips = [clip(tmp_path, name, "turn 1") for name in "abcd"]
    for turns, prompts in ((0, ["", "", "", ""]), (2, ["", "turn 1", "turn 1 turn 2", "turn 2 turn 3"])):
        model: Any = Echo()
        heard = hear(model, clips, turns)
        assert model.prompts == prompts
        assert heard.context_tokens == sum(len(prompt.split()) for prompt in prompts) / 4
        assert [heard.errors[name].edits for name in "abcd"] == [0, 1, 1, 1]


def test_figures_are_told_against_no_turn_before() -> None:
    clean, worse = ({name: WordErrors(10, insertions=wrong) for name in "abc"} for wrong in (0, 1))
    assert describe([Hearing(0, clean, 0, 1.0), Hearing(5, worse, 99, 1.5)]).splitlines() == [
        "| turns before | 0 | 5 |",
        "| --- | --- | --- |",
        "| tokens of context | 0 | 99 |",
        "| words wrong | 0.0 % (0.0 to 0.0) | 10.0 % (10.0 to 10.0) |",
        "| against none |  | +10.0 % (+10.0 to +10.0) |",
        "| of them words that nobody said | 0 | 3 |",
        "| processor seconds of a decode | 1.00 | 1.50 (+50%) |",
    ]
