"""Routes that change under running streams."""

import asyncio
import json

import grpc
from balancer_clients import client, eventually
from balancer_processes import Balancer
from streamingstack.asr.v1 import recognizer_pb2 as pb
from streamingstack_bench.mounted_file import MountedFile
from streamingstack_bench.peer import opening
from streamingstack_bench.scripted import Script, serve_scripted


def route(*backends, name="single", **more):
    return {"name": name, "backends": list(backends), **more}


async def test_backends_come_and_go_without_cutting_a_stream(changing, recognisers):
    first, second = recognisers[:2]
    await asyncio.to_thread(changing.apply, [route(first)])
    async with client(changing.port) as stream:
        before = [stream("single") for _ in range(20)]
        for one in before:
            await one.open()
        await asyncio.to_thread(changing.apply, [route(first, second)])
        grown = [stream("single") for _ in range(2)]
        for one in grown:
            await one.open()
        assert {await one.pod() for one in grown} == {first, second}
        await asyncio.to_thread(changing.apply, [route(second), route(first, name="fresh")])
        moved, fresh = stream("single"), stream("fresh")
        await moved.open()
        await fresh.open()
        assert (await moved.pod(), await fresh.pod()) == (second, first)
        for one in (*before, *grown, moved, fresh):
            await one.echo()
            assert await one.finish() is grpc.StatusCode.OK


async def test_a_route_that_goes_is_refused_and_never_sent_elsewhere(changing, recognisers):
    await asyncio.to_thread(changing.apply, [route(recognisers[0], name="gone"), route(recognisers[1], name="other")])
    async with client(changing.port) as stream:
        opened = stream("gone")
        await opened.open()
        await asyncio.to_thread(changing.apply, [route(recognisers[1], name="other")])
        await eventually(lambda: is_refused(stream, "gone"), "the route is refused")
        _, message = await stream("gone").status()
        assert message == "unknown X-Model-Version; this balancer serves other"
        await opened.echo()


async def is_refused(stream, value):
    """Whether a stream ends as unknown; a worker that is on its way out may still take one by the old routes."""
    try:
        code, _ = await asyncio.wait_for(stream(value).status(), 2)
    except TimeoutError:
        return False
    return code is grpc.StatusCode.NOT_FOUND


async def is_served(port, value):
    """Whether a recogniser takes a stream that asks for `value`, as the header and in its Open."""
    async with client(port) as stream:
        opened = stream(value)
        try:
            await opened.call.write(pb.RecognizeRequest(open=opening(value)))
            answer = await asyncio.wait_for(opened.call.read(), 30)
        except grpc.aio.AioRpcError:
            return False
        return answer is not grpc.aio.EOF and answer.WhichOneof("message") == "ready"


async def test_an_alias_comes_and_goes_under_a_recogniser_that_was_never_told_of_it(changing):
    async with serve_scripted(Script.of("hello"), routes=frozenset({"single"})) as recogniser:
        backend = f"127.0.0.1:{recogniser.port}"
        await asyncio.to_thread(changing.apply, [route(backend, aliases=["other"])])
        # A worker that is on its way out may still take a connection.
        await eventually(lambda: is_served(changing.port, "other"), "the alias is served")
        await asyncio.to_thread(changing.apply, [route(backend)])
        async with client(changing.port) as stream:
            await eventually(lambda: is_refused(stream, "other"), "the alias is refused")
        assert await is_served(changing.port, "single")


BAD = {
    "routes: [": "while parsing a flow",
    "[]": "expected a mapping with `routes`, found list",
    'routes: [{name: single, backends: ["127.0.0.1"]}]': "'127.0.0.1' is not host:port",
    "routes: [{name: a}, {name: b, aliases: [a]}]": "name or alias a appears twice",
}


async def test_a_bad_routes_file_is_refused_and_the_old_routes_stay(changing, recognisers):
    await asyncio.to_thread(changing.apply, [route(recognisers[0], name="kept")])
    refused = "new routes refused, the old ones stay"
    async with client(changing.port) as stream:
        for text, reason in BAD.items():
            count = len(changing.events(refused))
            changing.write(text)
            await asyncio.to_thread(changing.wait_for, refused, count + 1)
            assert reason in changing.events(refused)[-1]["reason"]
            await stream("kept").open()
        changing.routes_file.unlink()
        await asyncio.to_thread(changing.wait_for, refused, count + 2)
        await asyncio.to_thread(changing.apply, [route(recognisers[0], name="mended")])
        await stream("mended").open()


async def test_every_pool_size_is_taken_by_nginx(changing):
    backends = [f"127.0.0.1:{port}" for port in range(20001, 20013)]
    routes = [route(*backends, name=f"route-{n}", aliases=[f"alias-{n}"]) for n in range(4)]
    await asyncio.to_thread(changing.apply, routes)
    await asyncio.to_thread(
        changing.apply, [route("[::1]:20001", "127.0.0.1:20001", name="x" * 40), route(name="none")]
    )
    await asyncio.to_thread(changing.apply, [])


async def test_a_mounted_config_map_that_changes_by_swapping_links_is_followed(program, recognisers, start, tmp_path):
    mounted = MountedFile(tmp_path / "mounted", "routes.yaml", json.dumps({"routes": [route(recognisers[0])]}))
    balancer = start(Balancer, tmp_path / "balancer", [], program, ROUTES_FILE=mounted.path)
    async with client(balancer.port) as stream:
        before = stream("single")
        await before.open()
        mounted.replace(json.dumps({"routes": [route(recognisers[1])]}))
        await asyncio.to_thread(balancer.wait_for, "routes applied")
        after = stream("single")
        await after.open()
        assert await after.pod() == recognisers[1]
        await before.echo()
        assert await before.finish() is grpc.StatusCode.OK
