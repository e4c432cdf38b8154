"""RESOLVE: backends by name, followed through DNS without a reload."""

import asyncio
import contextlib
import signal

import grpc
import pytest
from balancer_clients import client, eventually
from balancer_processes import Balancer, Recogniser, Zone, newest_nginx

HOSTS = ("127.0.0.2", "127.0.0.3", "127.0.0.4")


@pytest.fixture(scope="module")
def pods():
    """Addresses of the recognisers of one headless name: the same port on several hosts."""
    first = Recogniser(HOSTS[0])
    port = first.address.rpartition(":")[2]
    started = [first, *(Recogniser(host, port) for host in HOSTS[1:])]
    yield started
    for pod in started:
        pod.stop()


@pytest.fixture(scope="module")
def balancer_and_zone(pods, tmp_path_factory):
    zone = Zone()
    port = pods[0].address.rpartition(":")[2]
    routes = [{"name": "single", "backends": [f"asr.example:{port}"]}]
    zone.addresses = list(HOSTS[:2])
    folder = tmp_path_factory.mktemp("names")
    balancer = Balancer(folder, routes, newest_nginx(), RESOLVERS=zone.resolver)
    yield balancer, zone
    balancer.stop()
    zone.stop()


@pytest.fixture
async def named(balancer_and_zone, pods):
    """A balancer whose one route is a name with two addresses, and the zone that tells them."""
    balancer, zone = balancer_and_zone
    zone.addresses = list(HOSTS[:2])
    async with client(balancer.port) as stream:
        expected = {pod.address for pod in pods[:2]}
        await eventually(lambda: spreads_over(stream, expected), "both addresses are used")
    return balancer, zone


async def spreads_over(stream, expected):
    try:
        return (await spread(stream))[1] == set(expected)
    except grpc.aio.AioRpcError:
        return False


async def spread(stream, count=6, **headers):
    opened = [stream("single", **headers) for _ in range(count)]
    for one in opened:
        await one.open()
    return opened, {await one.pod() for one in opened}


async def test_new_and_gone_addresses_are_followed_without_reload_or_cut(named, pods):
    balancer, zone = named
    addresses = [pod.address for pod in pods]
    async with client(balancer.port) as stream:
        opened, _ = await spread(stream)
        zone.addresses = [HOSTS[2]]
        await eventually(lambda: spreads_over(stream, addresses[2:]), "only the new address is used")
        for one in opened:
            await one.echo()
            assert await one.finish() is grpc.StatusCode.OK
    assert not balancer.events("routes applied")


async def test_a_pod_among_names_is_avoided_exactly(named, pods):
    balancer, _ = named
    first, second = (pod.address for pod in pods[:2])
    async with client(balancer.port) as stream:
        for avoided, other in ((first, second), (second, first)):
            assert (await spread(stream, 12, x_avoid_pod=avoided))[1] == {other}


async def test_every_pod_of_a_list_among_names_is_avoided(named, pods):
    balancer, zone = named
    zone.addresses = list(HOSTS)
    async with client(balancer.port) as stream:
        await eventually(lambda: spreads_over(stream, {pod.address for pod in pods}), "all addresses are used")
        listed = ",".join(pod.address for pod in pods[1:])
        assert (await spread(stream, 12, x_avoid_pod=listed))[1] == {pods[0].address}


async def test_a_frozen_pod_among_names_is_avoided(named, pods):
    balancer, _ = named
    pods[0].send(signal.SIGSTOP)
    try:
        async with client(balancer.port) as stream:
            assert (await spread(stream, 8, x_avoid_pod=pods[0].address))[1] == {pods[1].address}
    finally:
        pods[0].send(signal.SIGCONT)


async def test_a_stream_that_avoids_a_pod_carries_ten_minutes_too(named, pods):
    balancer, _ = named
    async with client(balancer.port) as stream:
        hedged = stream("single", x_avoid_pod=pods[0].address)
        await hedged.open()

        async def speak():
            for _ in range(600):
                await hedged.send(bytes(32000))

        await asyncio.gather(speak(), hedged.arrived(600 * 16000))
        assert await hedged.finish() is grpc.StatusCode.OK


async def test_a_name_without_addresses_is_unavailable(named):
    balancer, zone = named
    zone.addresses = []
    async with client(balancer.port) as stream:

        async def unavailable():
            refused = stream("single")
            with contextlib.suppress(grpc.aio.AioRpcError):
                await refused.open()
                return False
            return await refused.call.code() is grpc.StatusCode.UNAVAILABLE

        await eventually(unavailable, "the route is unavailable")
        message = "no recogniser of route single can be reached; try again"
        assert await stream("single").status() == (grpc.StatusCode.UNAVAILABLE, message)
