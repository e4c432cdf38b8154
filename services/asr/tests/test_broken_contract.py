"""A gateway that breaks the contract is told how, and harms nobody else."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import grpc
import pytest
from prometheus_client import CollectorRegistry
from streaming_asr import service
from streaming_asr.engine import SAMPLE_RATE, Hypothesis, Window
from streaming_asr.server import Serving, serve_recogniser
from streamingstack.asr.v1 import recognizer_pb2 as pb
from streamingstack.asr.v1 import recognizer_pb2_grpc as rpc
from streamingstack_bench.peer import opening
from streamingstack_bench.scripted import ROUTES, Script, ScriptedEngine, ScriptedVoice, serve_scripted

SECOND = bytes(2 * SAMPLE_RATE)


def request(**message: object) -> pb.RecognizeRequest:
    return pb.RecognizeRequest(**message)  # type: ignore[arg-type]


def audio(first: int, pcm: bytes = SECOND) -> pb.RecognizeRequest:
    return request(audio=pb.Audio(first_sample=first, pcm=pcm))


async def status_after(port: int, requests: Sequence[pb.RecognizeRequest]) -> tuple[grpc.StatusCode, str]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = rpc.RecognizerServiceStub(channel).Recognize()
        writing = asyncio.create_task(_write(call, requests))
        try:
            async with asyncio.timeout(10):
                async for _ in call:
                    pass
        except grpc.aio.AioRpcError as ended:
            return ended.code(), ended.details() or ""
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
        return await call.code(), await call.details()


async def _write(call: Any, requests: Sequence[pb.RecognizeRequest]) -> None:
    for one in requests:
        await call.write(one)
        await asyncio.sleep(0)


FIRST = request(open=opening())
RESUME = {"reason": pb.REASON_RESUME, "first_sample": 99_999, "emit_after_sample": 99_999, "segment_open": True}


@pytest.mark.parametrize(
    ("requests", "text"),
    [
        ([request(ping=pb.Ping())], "first message must be Open"),
        ([FIRST, FIRST], "unexpected message open"),
        ([FIRST, pb.RecognizeRequest()], "unexpected message without content"),
        ([FIRST, audio(5)], "audio begins at 5, expected 0"),
        ([FIRST, audio(0), audio(0)], "audio begins at 0, expected 16000"),
        ([FIRST, audio(0, b"")], "audio of 0 bytes"),
        ([FIRST, audio(0, b"abc")], "audio of 3 bytes"),
        ([FIRST, audio(0, SECOND + b"ab")], "audio of 32002 bytes"),
        # The checkpoint after the word is never answered, so the credit stays at 2.5 s.
        ([FIRST, *(audio(i * SAMPLE_RATE) for i in range(3))], "beyond the credit"),
        ([FIRST, request(answer=pb.Answer(checkpoint_id=7, decision=pb.DECISION_CONTINUE))], "checkpoint 7"),
        (
            [FIRST, *(request(finalize=pb.Finalize(id=i, at_sample=10 - i)) for i in (1, 2))],
            "an order at 8 after one at 9",
        ),
        (
            [FIRST, *(request(update=pb.Update(at_sample=SAMPLE_RATE * 9)) for _ in range(1001))],
            "more than 1000 orders",
        ),
    ],
)
async def test_what_is_wrong_is_named_and_the_slot_freed(requests: list[pb.RecognizeRequest], text: str) -> None:
    async with serve_scripted(Script.of("hello", start_ms=50), capacity=1) as server:
        code, details = await status_after(server.port, requests)
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert text in details
        async with asyncio.timeout(5):
            while server.slots.active:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("wrong", "code", "text"),
    [
        ({"route": "other"}, grpc.StatusCode.NOT_FOUND, "route"),
        ({"session_id": ""}, grpc.StatusCode.INVALID_ARGUMENT, "session_id"),
        ({"reason": pb.REASON_UNSPECIFIED}, grpc.StatusCode.INVALID_ARGUMENT, "reason"),
        ({"traffic_class": 0}, grpc.StatusCode.INVALID_ARGUMENT, "traffic_class"),
        ({"vad_threshold": 1.5}, grpc.StatusCode.INVALID_ARGUMENT, "vad_threshold"),
        ({"checkpoints_ms": [400, 160]}, grpc.StatusCode.INVALID_ARGUMENT, "checkpoints_ms"),
        (
            {"traffic_class": pb.TRAFFIC_CLASS_BULK, "checkpoints_ms": [400]},
            grpc.StatusCode.INVALID_ARGUMENT,
            "empty for BULK",
        ),
        ({"checkpoints_ms": []}, grpc.StatusCode.INVALID_ARGUMENT, "checkpoints_ms"),
        ({"segment_cap_samples": 0}, grpc.StatusCode.INVALID_ARGUMENT, "segment_cap_samples"),
        ({"prompt": "x" * 1751}, grpc.StatusCode.INVALID_ARGUMENT, "prompt"),
        ({"first_sample": 5}, grpc.StatusCode.INVALID_ARGUMENT, "first_sample"),
        ({"segment_open": True}, grpc.StatusCode.INVALID_ARGUMENT, "segment_open"),
        ({**RESUME, "emit_after_sample": 5}, grpc.StatusCode.INVALID_ARGUMENT, "emit_after_sample"),
        ({**RESUME, "segment_floor": 7}, grpc.StatusCode.INVALID_ARGUMENT, "segment_start"),
        ({**RESUME, "segment_cap_samples": 16_000}, grpc.StatusCode.INVALID_ARGUMENT, "segment_start"),
    ],
)
async def test_a_wrong_open_is_refused_with_its_field(wrong: dict[str, Any], code: grpc.StatusCode, text: str) -> None:
    async with serve_scripted(Script([])) as server:
        got, details = await status_after(server.port, [request(open=opening(**wrong))])
    assert got is code
    assert text in details


class Broken(ScriptedEngine):
    """Fails in a way nobody expects, with a text that quotes what was said."""

    async def decode(self, window: Window) -> Hypothesis:
        raise ValueError("my secret sentence")


async def test_an_unexpected_failure_is_logged_and_counted_and_its_text_stays_inside(
    capfd: pytest.CaptureFixture[str],
) -> None:
    script = Script.of("my secret sentence")
    registry = CollectorRegistry()
    serving = Serving(ROUTES, 1, host="127.0.0.1", registry=registry)
    async with serve_recogniser(serving, Broken(script), ScriptedVoice(script)) as server:
        code, details = await status_after(server.port, [FIRST, audio(0), audio(SAMPLE_RATE)])
    assert code is grpc.StatusCode.INTERNAL
    assert "secret" not in details
    logged = "".join(capfd.readouterr())
    assert "stream failed" in logged
    assert "ValueError" in logged
    assert "secret" not in logged
    assert registry.get_sample_value("streaming_asr_streams_ended_total", {"status": "INTERNAL"}) == 1


async def test_a_gateway_that_leaves_before_a_checkpoint_frees_its_slot_at_once() -> None:
    async with serve_scripted(Script.of("hello", start_ms=50), capacity=1) as server:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            call = rpc.RecognizerServiceStub(channel).Recognize()
            for one in (FIRST, audio(0), audio(SAMPLE_RATE)):
                await call.write(one)
            await call.done_writing()
            async with asyncio.timeout(5):
                assert [r.WhichOneof("message") async for r in call][-1] == "checkpoint"
        assert server.slots.active == 0


async def test_a_resumed_stream_without_audio_holds_up_no_other() -> None:
    quiet = opening(reason=pb.REASON_RESUME, epoch=1)
    async with serve_scripted(Script([]), capacity=20) as server, contextlib.AsyncExitStack() as stack:
        calls = []
        for _ in range(8):  # more than may catch up at the same time
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{server.port}"))
            call = rpc.RecognizerServiceStub(channel).Recognize()
            calls.append(call)
            await call.write(request(open=quiet))
            assert (await call.read()).WhichOneof("message") == "ready"
            async with asyncio.timeout(5):
                while server.slots.replaying:
                    await asyncio.sleep(0.02)
        assert server.slots.active == 8


async def test_a_silent_gateway_loses_its_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "IDLE_SECONDS", 0.5)
    async with serve_scripted(Script([]), capacity=1) as server:
        code, details = await status_after(server.port, [FIRST])
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "Ping" in details
        async with asyncio.timeout(5):
            while server.slots.active:
                await asyncio.sleep(0.01)
