"""What clients see of a time without any recogniser."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx2
from streamingstack.asr.v1 import recognizer_pb2 as pb
from streamingstack.asr.v1 import recognizer_pb2_grpc as rpc
from streamingstack_bench.scripted import Script, serve_scripted
from streamingstack_bench.wire_client import wire_client

SECOND = 16_000
SCRIPT = Script.of("Hello there, this is a test. | | Done.")


async def test_who_said_nothing_ends_at_once_whether_a_recogniser_is_there_or_not(stack: Any) -> None:
    async with stack(asr_endpoint="127.0.0.1:9") as running, wire_client(running.url) as client:
        await client.next()
        await client.say("Terminate")
        assert await client.rest(2) == (1000, "Session Ended")
        assert client.messages[-1]["type"] == "Termination"


async def test_a_pool_of_one_that_is_replaced_keeps_its_sessions_for_as_long_as_its_model_is_waited_for(
    stack: Any,
) -> None:
    models = json.dumps([{"speech_model": "universal-streaming-english", "route": "en-default", "buffer_seconds": 60}])
    async with (
        stack(models=models, buffer_seconds=0.2, max_backlog_seconds=1) as running,
        wire_client(running.url) as client,
    ):
        await client.next()
        await client.audio(500)
        await running.recogniser.drain(0)
        await client.audio(5500)
        await asyncio.sleep(1.0)
        async with serve_scripted(SCRIPT, port=running.recogniser.port):
            assert await client.terminate() == (1000, "Session Ended")
        assert client.finals == ["hello there this is a test", "done"]


async def test_the_largest_backlog_ends_3005_where_backlogs_are_more_than_a_gateway_may_hold(stack: Any) -> None:
    async with (
        stack(budget_bytes=8 * 32_000) as running,
        wire_client(running.url) as small,
        wire_client(running.url) as large,
    ):
        for client in (small, large):
            await client.next()
            await client.audio(500)
        await running.recogniser.drain(0)
        await large.audio(6000)
        await small.audio(3000)
        assert await large.rest() == (3005, "See Error message for details")
        assert large.messages[-1]["error"] == "Session Cancelled: An error occurred"
        async with httpx2.AsyncClient() as http:
            told = (await http.get(running.metrics)).text
        assert 'sessions_ended_total{code="3005",model="universal-streaming-english",reason="budget"} 1.0' in told
        async with serve_scripted(SCRIPT, port=running.recogniser.port):
            await small.audio(2500)
            assert await small.terminate() == (1000, "Session Ended")
        assert small.finals == ["hello there this is a test", "done"]


class Senseless(rpc.RecognizerServiceServicer):  # type: ignore[misc]
    """Hears `hello` in every first second, and after it a word without text."""

    async def Recognize(self, requests: Any, context: Any) -> AsyncIterator[pb.RecognizeResponse]:
        async for request in requests:
            match request.WhichOneof("message"):
                case "open":
                    yield pb.RecognizeResponse(ready=pb.Ready(capacity=9, send_through_sample=10 * SECOND))
                case "audio" if request.audio.first_sample >= SECOND:
                    words = pb.Words(through_sample=SECOND, final=[pb.Word(text=" ", end_sample=SECOND)])
                    yield pb.RecognizeResponse(words=words)
                case "finalize":
                    at, hello = request.finalize.at_sample, pb.Word(text="Hello", start_sample=1600, end_sample=8000)
                    finalized = pb.Finalized(id=request.finalize.id, at_sample=at, words=[hello])
                    yield pb.RecognizeResponse(finalized=finalized)


async def test_a_recogniser_that_says_what_no_client_can_be_shown_is_left_and_after_six_the_session_ends_3005(
    stack: Any,
) -> None:
    senseless = grpc.aio.server()
    rpc.add_RecognizerServiceServicer_to_server(Senseless(), senseless)
    port = senseless.add_insecure_port("127.0.0.1:0")
    await senseless.start()
    async with (
        stack(asr_endpoint=f"127.0.0.1:{port}", check_contract=False) as running,
        wire_client(running.url) as neighbour,
        wire_client(running.url) as client,
    ):
        await neighbour.audio(900)
        await client.audio(6000)
        assert await client.rest() == (3005, "See Error message for details")
        assert client.messages[-1]["error"] == "Session Cancelled: An error occurred"
        assert await neighbour.terminate() == (1000, "Session Ended")
        assert neighbour.finals == ["hello"]
        async with httpx2.AsyncClient() as http:
            told = (await http.get(running.metrics)).text
    await senseless.stop(None)
    assert 'gateway_recognizer_failovers_total{reason="contract",route="en-default"} 6.0' in told
