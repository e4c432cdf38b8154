"""The stream core behind a real gRPC socket, hearing a script."""

import asyncio
from typing import Any

import grpc
import numpy as np
import pytest
from streaming_asr.engine import SAMPLE_RATE
from streamingstack.asr.v1 import recognizer_pb2 as pb
from streamingstack_bench.peer import Delivery, Played, opening, play, silence_policy
from streamingstack_bench.scripted import Script, serve_scripted

MS = SAMPLE_RATE // 1000
TWO_TURNS = Script.of("please book a table for two at seven | | and bring some flowers for the lady of the house")


def silence(seconds: float) -> np.ndarray:
    return np.zeros(int(seconds * SAMPLE_RATE), dtype=np.int16)


async def played(script: Script, seconds: float = 12.0, *, replacing: bool = False, **options: object) -> Played:
    async with serve_scripted(script, replacing=replacing) as server:
        return await play(f"127.0.0.1:{server.port}", silence(seconds), **options)  # type: ignore[arg-type]


async def test_every_word_is_final_once_in_its_segment_and_counted_through_the_session() -> None:
    result = await played(TWO_TURNS)
    assert [" ".join(word.text for word in segment) for segment in result.segments()] == [
        "please book a table for two at seven",
        "and bring some flowers for the lady of the house",
    ]
    words = [word for segment in result.segments() for word in segment]
    assert [word.index for word in words] == list(range(len(words)))
    assert [(w.start_sample // MS, w.end_sample // MS) for w in words] == [
        (w.start_ms, w.end_ms) for w in TWO_TURNS.words
    ]


async def test_a_checkpoint_stops_the_stream_at_its_sample_until_it_is_answered() -> None:
    result = await played(TWO_TURNS)
    checkpoints = result.of("checkpoint")
    assert [c.silence_ms for c in checkpoints[:6]] == [160, 400, 640, 880, 1120, 1280]
    assert [c.id for c in checkpoints] == list(range(1, len(checkpoints) + 1))
    end_of_speech = TWO_TURNS.words[7].end_ms
    for checkpoint in checkpoints[:6]:
        assert -16 <= checkpoint.at_sample / MS - end_of_speech - checkpoint.silence_ms < 64


async def test_chunks_speed_and_company_change_no_final_word() -> None:
    async with serve_scripted(TWO_TURNS) as server:
        target = f"127.0.0.1:{server.port}"
        hows = [Delivery(20), Delivery(100, 4.0), Delivery(1000), Delivery(333, 8.0)]
        hows += [Delivery(chunk) for chunk in (50, 60, 70, 80)]
        results = await asyncio.gather(*(play(target, silence(10.0), how=how) for how in hows))
    finals = [[(w.text, w.start_sample, w.end_sample, w.index) for s in r.segments() for w in s] for r in results]
    assert all(final == finals[0] for final in finals)
    checkpoints = [[(c.at_sample, c.silence_ms, c.segment) for c in r.of("checkpoint")] for r in results]
    assert all(those == checkpoints[0] for those in checkpoints)


async def test_a_finalize_in_mid_speech_ends_the_segment_and_the_next_begins_there() -> None:
    at = 2000 * MS
    result = await played(TWO_TURNS, orders={at: [pb.Finalize()]})
    first = result.of("finalized")[0]
    assert (first.id, first.at_sample, first.segment) == (1, at, 0)
    started = result.of("speech_started")
    assert started[1].at_sample == at
    assert all(word.start_sample >= at for word in result.segments()[1])
    cut = result.segments()[0][-1]
    assert cut.start_sample < cut.end_sample == at
    assert result.text() == " ".join(word.text for word in TWO_TURNS.words)


async def test_a_finalize_in_silence_has_no_words() -> None:
    result = await played(Script([]), 2.0)
    assert [len(final.words) for final in result.of("finalized")] == [0]
    assert result.of("checkpoint") == []


async def test_a_replacing_model_carries_the_whole_segment_and_no_final_words() -> None:
    result = await played(TWO_TURNS, replacing=True, opened=opening(checkpoints_ms=[128, 1536]))
    assert all(not message.final for message in result.of("words"))
    last = next(c for c in result.of("checkpoint") if c.silence_ms == 1536)
    assert " ".join(word.text for word in last.words) == "please book a table for two at seven"
    assert {word.index for c in result.of("checkpoint") for word in c.words} == {0}


async def test_the_cap_ends_a_segment_that_never_pauses() -> None:
    endless = Script.of("music " * 90, word_ms=380, gap_ms=20)
    opened = opening(segment_cap_samples=10 * SAMPLE_RATE)
    result = await played(endless, 38.0, opened=opened)
    caps = [c for c in result.of("checkpoint") if c.reason == pb.CHECKPOINT_REASON_CAP]
    assert [c.at_sample // SAMPLE_RATE for c in caps] == [10, 20, 30]
    assert len(result.text().split()) == 90


BULK: dict[str, Any] = {"traffic_class": pb.TRAFFIC_CLASS_BULK, "checkpoints_ms": []}


@pytest.mark.parametrize("replacing", [False, True])
async def test_bulk_is_never_asked_and_never_capped(replacing: bool) -> None:
    long = Script.of("music " * 150 + "| | " + "music " * 50, word_ms=380, gap_ms=20)
    cap = 10 * SAMPLE_RATE
    result = await played(long, 86.0, replacing=replacing, opened=opening(segment_cap_samples=cap, **BULK))
    assert result.of("checkpoint") == []
    (only,) = result.of("finalized")
    assert (only.segment, only.at_sample) == (0, 86 * SAMPLE_RATE)
    words = only.words if replacing else [word for segment in result.segments() for word in segment]
    assert len(words) == 200


async def test_bulk_is_resumed_in_a_segment_that_is_longer_than_any_cap() -> None:
    endless = Script.of("music " * 150, word_ms=380, gap_ms=20)
    first, emit_after = 45 * SAMPLE_RATE, 46 * SAMPLE_RATE
    opened = opening(
        reason=pb.REASON_RESUME,
        epoch=1,
        segment_cap_samples=10 * SAMPLE_RATE,
        first_sample=first,
        emit_after_sample=emit_after,
        segment_open=True,
        final_words=[pb.Word(index=0, text="music", start_sample=first, end_sample=emit_after)],
        next_word_index=1,
        **BULK,
    )
    result = await played(endless, 60.0, opened=opened)
    assert result.of("checkpoint") == []
    assert [final.segment for final in result.of("finalized")] == [0]
    assert result.text()


async def test_an_update_takes_effect_at_its_sample() -> None:
    three = Script.of("one two three | four five six | | seven")
    at = round(2.2 * SAMPLE_RATE)
    update = pb.Update(checkpoints=pb.Checkpoints(ms=[300, 500]))
    result = await played(three, 8.0, orders={at: [update]}, policy=silence_policy(500))
    asked = [c.silence_ms for c in result.of("checkpoint")]
    assert asked == [160, 400, 640, 300, 500, 300, 500]


async def test_progress_renews_the_credit_which_is_never_more_than_two_seconds() -> None:
    result = await played(TWO_TURNS)
    progress = result.of("progress")
    assert all(p.send_through_sample - p.processed_through_sample <= 2 * SAMPLE_RATE for p in progress)
    credits = [p.send_through_sample for p in progress]
    assert credits == sorted(credits)


async def test_progress_is_told_about_every_second_while_nobody_speaks() -> None:
    async with serve_scripted(Script([])) as server:
        result = await play(f"127.0.0.1:{server.port}", silence(5.0), how=Delivery(100, 1.0))
    # Those that renew credit come half as often.
    assert len(result.of("progress")) >= 4


async def test_beyond_the_capacity_a_stream_is_refused_with_a_clear_message_and_a_freed_slot_is_used_again() -> None:
    async with serve_scripted(Script([]), capacity=2) as server:
        target = f"127.0.0.1:{server.port}"
        slow = [asyncio.create_task(play(target, silence(3.0), how=Delivery(100, 2.0))) for _ in range(2)]
        while server.slots.active < 2:
            await asyncio.sleep(0.01)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await play(target, silence(0.5))
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "all 2 streams" in refused.value.details()
        await asyncio.gather(*slow)
        await play(target, silence(0.5))
        assert server.slots.active == 0


async def test_a_gateway_that_vanishes_frees_its_slot() -> None:
    async with serve_scripted(TWO_TURNS, capacity=4) as server:
        target = f"127.0.0.1:{server.port}"
        tasks = [asyncio.create_task(play(target, silence(20.0), how=Delivery(100, 1.0))) for _ in range(4)]
        while server.slots.active < 4:
            await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with asyncio.timeout(5):
            while server.slots.active:
                await asyncio.sleep(0.01)


async def test_draining_announces_itself_and_then_ends_what_is_left_unavailable() -> None:
    async with serve_scripted(TWO_TURNS) as server:
        seen: list[str] = []

        def observe(direction: str, message: object) -> None:
            if direction == "down":
                seen.append(message.WhichOneof("message"))  # type: ignore[attr-defined]

        # A second between two writes: gRPC calls an end INTERNAL that a write meets.
        slow = play(f"127.0.0.1:{server.port}", silence(60.0), how=Delivery(1000, 1.0), observe=observe)
        task = asyncio.create_task(slow)
        while "progress" not in seen:
            await asyncio.sleep(0.01)
        await server.drain(0.5)
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await task
        assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "draining" in seen


async def test_an_end_at_a_short_silence_makes_more_segments_of_the_same_words() -> None:
    script = Script.of("one two | three four | five six")
    short = await played(script, 8.0, policy=silence_policy(400))
    assert [len(segment) for segment in short.segments()] == [2, 2, 2]
    assert short.text() == "one two three four five six"


async def test_a_lowered_silence_that_was_asked_about_already_ends_the_segment_at_once() -> None:
    script = Script.of("one two three | | | four")
    at = (script.words[2].end_ms + 550) * MS

    def decide(checkpoint: pb.Checkpoint) -> pb.Decision:
        ends = checkpoint.silence_ms >= (1280 if checkpoint.at_sample < at else 400)
        return pb.DECISION_END_SEGMENT if ends else pb.DECISION_CONTINUE

    lowered = pb.Update(checkpoints=pb.Checkpoints(ms=[160, 400]))
    result = await played(script, 7.0, orders={at: [lowered]}, policy=decide)
    asked = [(c.silence_ms, c.at_sample >= at) for c in result.of("checkpoint")][:3]
    assert asked == [(160, False), (400, False), (400, True)]
    assert [len(segment) for segment in result.segments()] == [3, 1]
