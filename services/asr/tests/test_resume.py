"""A stream that takes over from a lost one says only what was not said (rule 10)."""

from typing import Any

import numpy as np
import pytest
from streaming_asr.engine import SAMPLE_RATE
from streamingstack.asr.v1 import recognizer_pb2 as pb
from streamingstack_bench.peer import Played, opening, play, silence_policy
from streamingstack_bench.scripted import Script, serve_scripted

MS = SAMPLE_RATE // 1000
LEFT_CONTEXT = 3 * SAMPLE_RATE
SCRIPT = Script.of(
    "please book a table for two at seven | | and bring some flowers for the lady of the house", gap_ms=60
)
AUDIO = np.zeros(11 * SAMPLE_RATE, dtype=np.int16)
END_AT_MS = 640


async def hear(opened: pb.Open) -> Played:
    async with serve_scripted(SCRIPT) as server:
        return await play(f"127.0.0.1:{server.port}", AUDIO, opened=opened, policy=silence_policy(END_AT_MS))


class Shown:
    """What a gateway knows when its stream is lost right after a message: enough to resume."""

    def __init__(self) -> None:
        self.final: list[pb.Word] = []
        self.next_index = 0
        self.segment = 0
        self.floor = 0
        self.last = 0
        self.start: int | None = None

    def take(self, response: pb.RecognizeResponse) -> None:
        kind = response.WhichOneof("message")
        message = getattr(response, kind)
        if kind == "speech_started":
            self.last = message.at_sample
            if self.start is None:
                self.start = max(message.at_sample - 500 * MS, self.floor)
        elif kind == "speech_stopped":
            self.last = message.at_sample
        elif kind == "words":
            self.last = message.through_sample
            self._add(message.final)
        elif kind == "checkpoint":
            self.last = message.at_sample
            self._add(message.words)
            if message.silence_ms >= END_AT_MS:
                self.final, self.segment, self.floor, self.start = [], self.segment + 1, message.at_sample, None

    def _add(self, words: object) -> None:
        self.final += list(words)  # type: ignore[call-overload]
        self.next_index = self.final[-1].index + 1 if self.final else self.next_index

    def resume(self) -> pb.Open:
        anchor = self.final[-1].end_sample if self.final else (self.start if self.start is not None else self.last)
        return opening(
            reason=pb.REASON_RESUME,
            epoch=1,
            first_sample=max(0, anchor - LEFT_CONTEXT),
            emit_after_sample=self.last,
            next_word_index=self.next_index,
            final_words=self.final,
            segment_open=self.start is not None,
            segment_start=self.start or 0,
            segment=self.segment,
            segment_floor=self.floor,
        )


def said(words: list[pb.Word]) -> list[tuple[int, str, int, int]]:
    return [(word.index, word.text, word.start_sample, word.end_sample) for word in words]


def flat(played: Played) -> list[pb.Word]:
    return [word for segment in played.segments() for word in segment]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
async def test_cut_after_any_message_the_two_halves_are_the_whole(share: float) -> None:
    whole = await hear(opening())
    cut = int(len(whole.responses) * share)
    shown, before = Shown(), Played(whole.responses[:cut])
    for response in before.responses:
        shown.take(response)
    rest = await hear(shown.resume())
    assert said([*flat(before), *flat(rest)]) == said(flat(whole))
    for response in rest.responses:
        kind = response.WhichOneof("message")
        if kind == "speech_started":
            assert response.speech_started.at_sample >= shown.last, "perhaps once more, for a gateway that knows"
        elif kind in ("speech_stopped", "checkpoint"):
            assert getattr(response, kind).at_sample > shown.last
        elif kind == "words":
            assert response.words.through_sample > shown.last


async def test_the_segment_number_goes_on() -> None:
    whole = await hear(opening())
    shown = Shown()
    for response in whole.responses:
        if shown.segment == 1:
            break
        shown.take(response)
    rest = await hear(shown.resume())
    assert {checkpoint.segment for checkpoint in rest.of("checkpoint")} == {1}


async def test_a_last_checkpoint_or_cap_that_falls_into_the_context_is_asked_right_after_it() -> None:
    seven_ends = SCRIPT.words[7].end_ms
    silent = shown_through((seven_ends + 700) * MS, checkpoints_ms=[160, END_AT_MS])
    capped = shown_through(2000 * MS, segment_cap_samples=SAMPLE_RATE)
    for opened, reason in ((silent, pb.CHECKPOINT_REASON_SILENCE), (capped, pb.CHECKPOINT_REASON_CAP)):
        first = (await hear(opened)).of("checkpoint")[0]
        assert first.reason == reason
        assert 0 < first.at_sample - opened.emit_after_sample <= 512


def shown_through(position: int, **overrides: Any) -> pb.Open:
    """A RESUME inside the first segment whose gateway has heard nothing of it but that it began."""
    return opening(
        reason=pb.REASON_RESUME,
        epoch=1,
        emit_after_sample=position,
        segment_open=True,
        **overrides,
    )
