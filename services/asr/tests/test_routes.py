"""Whose streams a recogniser takes: its own route's, and those whose alias the load balancer says leads to it."""

import asyncio
import contextlib

import grpc
import pytest
from streamingstack.asr.v1 import recognizer_pb2 as pb
from streamingstack.asr.v1 import recognizer_pb2_grpc as rpc
from streamingstack_bench.peer import opening
from streamingstack_bench.scripted import Script, serve_scripted

OK, NOT_FOUND = grpc.StatusCode.OK, grpc.StatusCode.NOT_FOUND


async def ended_with(asked: str, headers: dict[str, str]) -> grpc.StatusCode:
    """How a stream ends that asks the recogniser of `mine` for a route and says no more."""
    async with (
        serve_scripted(Script([]), routes=frozenset({"mine"})) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        call = rpc.RecognizerServiceStub(channel).Recognize(metadata=list(headers.items()))
        async with asyncio.timeout(10):
            with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):  # refused, whenever it was
                await call.write(pb.RecognizeRequest(open=opening(asked)))
                await call.done_writing()
                while await call.read() is not grpc.aio.EOF:
                    pass
            return await call.code()


@pytest.mark.parametrize(
    ("asked", "headers", "status"),
    [
        ("mine", {}, OK),
        ("mine", {"x-model-version": "mine", "x-route": "mine"}, OK),
        ("mine", {"x-model-version": "mine", "x-route": "another"}, NOT_FOUND),
        ("alias", {"x-model-version": "alias", "x-route": "mine"}, OK),
        ("alias", {"x-model-version": "alias", "x-route": "another"}, NOT_FOUND),
        ("alias", {"x-model-version": "alias"}, NOT_FOUND),
        ("alias", {"x-model-version": "something-else", "x-route": "mine"}, NOT_FOUND),
        ("alias", {"x-route": "mine"}, NOT_FOUND),
        ("another", {}, NOT_FOUND),
    ],
    ids=str,
)
async def test_a_recogniser_takes_its_own_route_and_what_the_load_balancer_says_leads_to_it(
    asked: str, headers: dict[str, str], status: grpc.StatusCode
) -> None:
    assert await ended_with(asked, headers) is status
