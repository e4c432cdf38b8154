"""Who gets a place over real gRPC, and what the recogniser's metrics say of those who do not."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from streaming_asr.engine import SAMPLE_RATE
from streaming_asr.server import RecogniserServer
from streamingstack.asr.v1 import recognizer_pb2 as pb
from streamingstack.asr.v1 import recognizer_pb2_grpc as rpc
from streamingstack_bench.peer import opening
from streamingstack_bench.scripted import Script, serve_scripted

SCRIPT = Script.of("one two three")


@contextlib.asynccontextmanager
async def stub(server: RecogniserServer) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(
        f"127.0.0.1:{server.port}", options=[("grpc.use_local_subchannel_pool", 1)]
    ) as channel:
        yield rpc.RecognizerServiceStub(channel)


async def admitted(recognizers: Any, opened: pb.Open) -> Any:
    """The call, Ready. Raises AioRpcError."""
    call = recognizers.Recognize()
    await call.write(pb.RecognizeRequest(open=opened))
    assert (await call.read()).WhichOneof("message") == "ready"
    return call


async def refusal(recognizers: Any, opened: pb.Open) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await admitted(recognizers, opened)
    return refused.value.code()


def resuming(**more: Any) -> pb.Open:
    """It catches up until it has heard 20 s, of which nothing is sent."""
    more = {"epoch": 1, "emit_after_sample": 20 * SAMPLE_RATE, **more}
    return opening(reason=pb.REASON_RESUME, **more)


def counted(server: RecogniserServer, reason: str) -> float | None:
    return server.registry.get_sample_value("streaming_asr_streams_refused_total", {"reason": reason})


async def test_every_reason_is_counted_from_zero() -> None:
    async with serve_scripted(SCRIPT) as server:
        assert [counted(server, reason) for reason in ("full", "replays", "bulk", "unavailable")] == [0.0] * 4
        assert server.registry.get_sample_value("streaming_asr_draining") == 0.0


async def test_a_session_that_is_refused_several_times_counts_once() -> None:
    async with serve_scripted(SCRIPT, capacity=1) as server, stub(server) as recognizers:
        await admitted(recognizers, opening())
        for attempt in range(4):
            assert await refusal(recognizers, opening(attempt=attempt)) is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (counted(server, "full"), counted(server, "replays")) == (1.0, 0.0)


async def test_a_resume_that_waits_for_others_to_catch_up_is_no_want_of_places() -> None:
    async with serve_scripted(SCRIPT) as server, stub(server) as recognizers:
        for _ in range(4):
            await admitted(recognizers, resuming())
        assert await refusal(recognizers, resuming()) is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (counted(server, "full"), counted(server, "replays")) == (0.0, 1.0)


async def test_a_recogniser_that_drains_says_so() -> None:
    async with serve_scripted(SCRIPT) as server, stub(server) as recognizers:
        await admitted(recognizers, opening())
        await server.drain(0.1)
        assert server.registry.get_sample_value("streaming_asr_draining") == 1.0


# -- a session has one stream ----------------------------------------------------------------------------------------


async def test_a_session_that_resumes_takes_the_place_of_its_old_stream_which_ends() -> None:
    async with serve_scripted(SCRIPT, capacity=1) as server, stub(server) as recognizers:
        old = await admitted(recognizers, opening(session_id="one"))
        other = await admitted(recognizers, resuming(session_id="two"))
        assert await refusal(recognizers, resuming(session_id="three")) is grpc.StatusCode.RESOURCE_EXHAUSTED
        new = await admitted(recognizers, resuming(session_id="one"))
        assert await asyncio.wait_for(old.code(), 10) is grpc.StatusCode.ABORTED
        assert server.slots.active == 2
        newer = await admitted(recognizers, resuming(session_id="one", epoch=2))
        assert await asyncio.wait_for(new.code(), 10) is grpc.StatusCode.ABORTED
        assert (server.slots.active, server.slots.replaying) == (2, 2)
        for call in (newer, other):
            call.cancel()
        async with asyncio.timeout(10):
            while server.slots.active:
                await asyncio.sleep(0.01)
        assert server.slots.replaying == 0


@pytest.mark.parametrize("late", [{"epoch": 1}, {"epoch": 2, "session_id": "another"}])
async def test_a_hedge_and_another_session_end_no_stream(late: dict[str, Any]) -> None:
    async with serve_scripted(SCRIPT) as server, stub(server) as recognizers:
        first = await admitted(recognizers, resuming(session_id="one", epoch=1))
        await admitted(recognizers, resuming(**{"session_id": "one", "attempt": 1, **late}))
        assert server.slots.active == 2
        await first.write(pb.RecognizeRequest(ping=pb.Ping()))
        assert (await first.read()).WhichOneof("message") == "progress"


# -- draining ---------------------------------------------------------------------------------------------------------


async def test_a_gateway_that_is_behind_with_reading_still_learns_that_the_recogniser_drains(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streaming_asr.service.OUTGOING", 2)
    endless = Script.of(" ".join(["word" * 4_000] * 40), word_ms=60)
    async with serve_scripted(endless) as server, stub(server) as recognizers:
        call = await admitted(recognizers, opening())
        for first in range(0, 2 * SAMPLE_RATE, SAMPLE_RATE):
            await call.write(pb.RecognizeRequest(audio=pb.Audio(first_sample=first, pcm=bytes(2 * SAMPLE_RATE))))
        (serving,) = server._recognizer._calls
        async with asyncio.timeout(20):
            while not serving._out.full():
                await asyncio.sleep(0.01)
        draining = asyncio.create_task(server.drain(20))
        await asyncio.sleep(0.1)
        kinds = []
        async with asyncio.timeout(15):
            while "draining" not in kinds:
                kinds.append((await call.read()).WhichOneof("message"))
        call.cancel()
        await draining
