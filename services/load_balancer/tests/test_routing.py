"""Who gets a stream, and what is said to one that nobody gets."""

import asyncio
import random
import signal
import time

import grpc
import pytest
from balancer_clients import client, eventually
from balancer_processes import Recogniser

SERVED = "this balancer serves pair, pair-alias, single, watched, empty"


@pytest.mark.parametrize("route", ["pair", "pair-alias"])
async def test_name_and_alias_lead_to_the_routes_backends(route, shared, recognisers):
    async with client(shared.port) as stream:
        opened = stream(route)
        await opened.open()
        assert await opened.pod() in recognisers[:2]


@pytest.mark.parametrize("route", ["pair", "pair-alias"])
async def test_a_recogniser_is_told_the_route_beside_the_header_as_it_came(route, shared):
    async with client(shared.port) as stream:
        opened = stream(route, x_route="what-a-client-says")
        await opened.open()
        assert await opened.finish() is grpc.StatusCode.OK
        told = dict(await opened.call.trailing_metadata())
        assert (told["seen-x-model-version"], told["seen-x-route"]) == (route, "pair")


async def test_each_route_has_its_own_backends(shared, recognisers):
    async with client(shared.port) as stream:
        for _ in range(4):
            opened = stream("single")
            await opened.open()
            assert await opened.pod() == recognisers[2]


@pytest.mark.parametrize(
    ("route", "code", "message"),
    [
        (None, grpc.StatusCode.INVALID_ARGUMENT, f"missing header X-Model-Version; {SERVED}"),
        ("pair2", grpc.StatusCode.NOT_FOUND, f"unknown X-Model-Version; {SERVED}"),
        ("route_pair", grpc.StatusCode.NOT_FOUND, f"unknown X-Model-Version; {SERVED}"),
        ("single 127.0.0.1:1", grpc.StatusCode.NOT_FOUND, f"unknown X-Model-Version; {SERVED}"),
        ("empty", grpc.StatusCode.UNAVAILABLE, "no recogniser of route empty can be reached; try again"),
    ],
)
async def test_a_route_that_is_missing_or_unknown_is_refused_in_grpcs_words(route, code, message, shared):
    async with client(shared.port) as stream:
        refused = stream(route)
        assert await refused.status() == (code, message)


async def test_a_full_recognisers_refusal_reaches_the_gateway_with_the_pods_address(shared, recognisers):
    async with client(shared.port) as stream:
        refused = stream("single", x_refuse="1")
        assert await refused.status() == (grpc.StatusCode.RESOURCE_EXHAUSTED, "no free slot")
        assert dict(await refused.call.trailing_metadata())["x-upstream-pod"] == recognisers[2]


async def test_health_answers(shared):
    assert shared.health() == 200


async def test_new_streams_go_where_the_fewest_are(shared, recognisers):
    async with client(shared.port) as stream:
        opened = [stream("pair") for _ in range(10)]
        for one in opened:
            await one.open()
        pods = [await one.pod() for one in opened]
        assert sorted(pods.count(pod) for pod in recognisers[:2]) == [5, 5]
        emptied, kept = recognisers[:2]
        for one, pod in zip(opened, pods, strict=True):
            if pod == emptied:
                assert await one.finish() is grpc.StatusCode.OK
        refill = [stream("pair") for _ in range(5)]
        for one in refill:
            await one.open()
        assert [await one.pod() for one in refill] == [emptied] * 5
        assert kept in pods


async def test_two_hundred_streams_share_one_channel_without_a_stall(shared):
    async with client(shared.port) as stream:
        opened = [stream("pair") for _ in range(200)]
        for one in opened:
            await one.open()
        await asyncio.gather(*(one.echo() for one in opened))
        assert {await one.finish() for one in opened} == {grpc.StatusCode.OK}


async def test_ten_minutes_of_audio_arrive_intact_and_faster_than_real_time(shared):
    pieces = [random.Random(second).randbytes(32000) for second in range(20)]
    async with client(shared.port) as stream:
        long = stream("single")
        await long.open()
        began = time.monotonic()

        async def speak():
            for second in range(600):
                await long.send(pieces[second % 20])

        await asyncio.gather(speak(), long.arrived(600 * 16000))
        assert time.monotonic() - began < 120
        assert await long.finish() is grpc.StatusCode.OK


async def test_messages_flow_at_once_both_ways(shared):
    async with client(shared.port) as stream:
        chat = stream("single")
        await chat.open()
        waits = []
        for _ in range(60):
            began = time.monotonic()
            await chat.echo(bytes(320))
            waits.append(time.monotonic() - began)
        # Nagle's algorithm against delayed acknowledgements would make it 40 ms.
        assert sorted(waits)[30] < 0.03


async def test_a_cancelled_stream_ends_at_the_recogniser(shared):
    async with client(shared.port) as stream:
        watcher, leaver = stream("watched"), stream("watched")
        await watcher.open()
        await leaver.open()
        assert await watcher.open_streams() == 2
        leaver.call.cancel()

        async def gone():
            return await watcher.open_streams() == 1

        await eventually(gone, "the recogniser sees the stream end", 10)


async def test_a_stream_avoids_the_pod_it_names(shared, recognisers):
    async with client(shared.port) as stream:
        for avoided, other in (recognisers[:2], recognisers[1::-1]):
            opened = [stream("pair", x_avoid_pod=avoided) for _ in range(8)]
            for one in opened:
                await one.open()
            assert {await one.pod() for one in opened} == {other}


async def test_a_stream_avoids_every_pod_of_its_list(changing, recognisers):
    await asyncio.to_thread(changing.apply, [{"name": "four", "backends": recognisers}])
    async with client(changing.port) as stream:
        for listed in (recognisers[:2], [recognisers[3], "127.0.0.1:1", recognisers[0]], recognisers[:3]):
            opened = [stream("four", x_avoid_pod=",".join(listed)) for _ in range(8)]
            for one in opened:
                await one.open()
            assert {await one.pod() for one in opened} == set(recognisers) - set(listed)


async def test_a_stream_that_would_avoid_every_pod_gets_one(shared, recognisers):
    async with client(shared.port) as stream:
        opened = stream("pair", x_avoid_pod=",".join(recognisers[:2]))
        await opened.open()
        assert await opened.pod() in recognisers[:2]


async def test_the_only_backend_is_not_avoided(shared, recognisers):
    async with client(shared.port) as stream:
        opened = stream("single", x_avoid_pod=recognisers[2])
        await opened.open()
        assert await opened.pod() == recognisers[2]


async def test_avoiding_a_stranger_changes_nothing(shared, recognisers):
    async with client(shared.port) as stream:
        opened = stream("pair", x_avoid_pod="127.0.0.1:1")
        await opened.open()
        assert await opened.pod() in recognisers[:2]


async def test_a_killed_recogniser_ends_its_streams_and_gets_no_new_ones(changing, start, recognisers):
    dying, living = start(Recogniser), recognisers[0]
    lone = {"name": "lone", "backends": [dying.address]}
    pair = {"name": "pair", "backends": [dying.address, living]}
    await asyncio.to_thread(changing.apply, [lone, pair])
    async with client(changing.port) as stream:
        lost = stream("lone")
        await lost.open()
        dying.send(signal.SIGKILL)
        began = time.monotonic()
        code, _ = await lost.status()
        assert code not in (grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT)
        assert await stream("lone").status() == (
            grpc.StatusCode.UNAVAILABLE,
            "no recogniser of route lone can be reached; try again",
        )
        for _ in range(6):
            opened = stream("pair")
            await opened.open()
            assert await opened.pod() == living
        assert time.monotonic() - began < 10


async def test_a_frozen_recogniser_is_avoided(changing, start, recognisers):
    frozen, living = start(Recogniser), recognisers[0]
    await asyncio.to_thread(changing.apply, [{"name": "pair", "backends": [frozen.address, living]}])
    frozen.send(signal.SIGSTOP)
    async with client(changing.port) as stream:
        for _ in range(8):
            opened = stream("pair", x_avoid_pod=frozen.address)
            await opened.open()
            assert await opened.pod() == living
