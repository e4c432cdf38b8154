"""What nginx's defaults would cut, and that our settings are what prevents it."""

import asyncio

import grpc
import pytest
from balancer_clients import client
from balancer_processes import RawNginx, rendered, system_nginx, without


async def raw_client(start, folder, dropped, backends):
    text, port, health_port = rendered("static", backends)
    start(RawNginx, folder, system_nginx(), without(text, *dropped), health_port)
    return client(port)


async def test_by_default_nginx_would_cut_a_stream_after_a_mebibyte(start, recognisers, tmp_path):
    async with await raw_client(start, tmp_path, ["client_max_body_size"], recognisers[2:3]) as stream:
        cut = stream("single")
        await cut.open()
        await cut.echo(bytes(1 << 19))
        with pytest.raises((grpc.aio.AioRpcError, asyncio.InvalidStateError, AssertionError)):
            await cut.echo(bytes((1 << 19) + 4096))
        assert await cut.call.code() is not grpc.StatusCode.OK


async def test_by_default_nginx_would_stall_the_hundred_and_twenty_ninth_stream(start, recognisers, tmp_path):
    async with await raw_client(start, tmp_path, ["http2_max_concurrent_streams"], recognisers[2:3]) as stream:
        opened = [stream("single") for _ in range(128)]
        for one in opened:
            await one.open()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(stream("single").open(), 1.5)
