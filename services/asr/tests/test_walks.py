"""Walks of the contract that need a gateway with timing of its own, played against the real recogniser.

The others: test_stream.py (normal turn, forced end in mid-word, burst, cap), test_resume.py, and the link's tests.
"""

from collections.abc import Sequence

import numpy as np
from streaming_asr.engine import SAMPLE_RATE, Hypothesis, Pcm, Window
from streaming_asr.server import Serving, serve_recogniser
from streamingstack.asr.v1 import recognizer_pb2 as pb
from streamingstack_bench.peer import Order, opening, play, silence_policy
from streamingstack_bench.scripted import ROUTES, Script, ScriptedEngine, serve_scripted

MS = SAMPLE_RATE // 1000
SCRIPT = Script.of("good morning to you | and good night")


def silence(seconds: float) -> np.ndarray:
    return np.zeros(int(seconds * SAMPLE_RATE), dtype=np.int16)


async def test_speculative_check_then_forced_end() -> None:
    def force_at_the_first(checkpoint: pb.Checkpoint) -> Sequence[Order]:
        return [pb.Finalize()] if checkpoint.id == 1 else []

    async with serve_scripted(SCRIPT) as server:
        result = await play(f"127.0.0.1:{server.port}", silence(6), interject=force_at_the_first)
    forced = result.of("finalized")[0]
    assert (forced.id, forced.segment) == (1, 0)
    first_checkpoint = result.of("checkpoint")[0]
    assert first_checkpoint.segment == 0
    assert forced.at_sample >= first_checkpoint.at_sample
    assert result.text() == "good morning to you and good night"


async def test_update_of_a_threshold_during_an_open_checkpoint() -> None:
    def lower_at_the_first(checkpoint: pb.Checkpoint) -> Sequence[Order]:
        lower = pb.Update(checkpoints=pb.Checkpoints(ms=[200]))
        return [lower] if checkpoint.id == 1 else []

    async with serve_scripted(SCRIPT) as server:
        policy = silence_policy(200)
        result = await play(f"127.0.0.1:{server.port}", silence(6), interject=lower_at_the_first, policy=policy)
    # 160 ms was asked under the old configuration. The update lies at the end of the audio sent, up to 2 s ahead of
    # the checkpoint: until there the old checkpoints hold, from there only 200 ms.
    asked = [checkpoint.silence_ms for checkpoint in result.of("checkpoint")]
    assert asked[0] == 160
    assert asked[-1] == 200
    assert [" ".join(w.text for w in segment) for segment in result.segments()] == [
        "good morning to you",
        "and good night",
    ]


async def test_resume_of_a_replacing_model_hears_the_whole_segment_again() -> None:
    start = 500 * MS - 500 * MS
    opened = opening(
        "u3-pro",
        reason=pb.REASON_RESUME,
        epoch=1,
        checkpoints_ms=[128, 1536],
        first_sample=start,
        emit_after_sample=1200 * MS,
        segment_open=True,
        segment_start=start,
    )
    async with serve_scripted(SCRIPT, replacing=True) as server:
        result = await play(f"127.0.0.1:{server.port}", silence(6), opened=opened, policy=silence_policy(1536))
    assert all(words.through_sample > 1200 * MS for words in result.of("words"))
    first = result.of("checkpoint")[0]
    assert " ".join(word.text for word in first.words) == "good morning to you"


class AlwaysVoice:
    """Music that never stops."""

    def open(self, first_sample: int) -> "AlwaysVoice":
        return self

    async def probabilities(self, pcm: Pcm) -> list[float]:
        return [0.9] * (len(pcm) // 512)


class NoWords(ScriptedEngine):
    """Hears no word in it, and counts its work."""

    decodes = 0

    async def decode(self, window: Window) -> Hypothesis:
        self.decodes += 1
        return Hypothesis()


async def test_music_that_never_stops_ends_at_the_cap_without_words() -> None:
    engine = NoWords(Script([]))
    serving = Serving(ROUTES, 4, host="127.0.0.1")
    async with serve_recogniser(serving, engine, AlwaysVoice()) as server:
        result = await play(f"127.0.0.1:{server.port}", silence(150))
    caps = [(c.reason, c.at_sample // SAMPLE_RATE, len(c.words)) for c in result.of("checkpoint")]
    assert caps == [(pb.CHECKPOINT_REASON_CAP, 60, 0), (pb.CHECKPOINT_REASON_CAP, 120, 0)]
    assert [started.at_sample // SAMPLE_RATE for started in result.of("speech_started")] == [0, 60, 120, 150]
    assert result.segments() == []


async def test_silence_costs_no_decode() -> None:
    class Quiet(AlwaysVoice):
        async def probabilities(self, pcm: Pcm) -> list[float]:
            return [0.01] * (len(pcm) // 512)

    engine = NoWords(Script([]))
    async with serve_recogniser(Serving(ROUTES, 4, host="127.0.0.1"), engine, Quiet()) as server:
        await play(f"127.0.0.1:{server.port}", silence(60))
    assert engine.decodes == 0
