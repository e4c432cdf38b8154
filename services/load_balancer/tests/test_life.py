"""Start, drain, death: the process around nginx."""

import asyncio
import os
import signal
import socket
from pathlib import Path

import grpc
import psutil
import pytest
from balancer_clients import client, eventually
from balancer_processes import Balancer, free_port, system_nginx
from load_balancer.service import StartError, prepared
from load_balancer.settings import BalancerSettings


@pytest.fixture
def own(start, tmp_path, recognisers):
    """A balancer of the test's own with one route, `single`."""
    routes = [{"name": "single", "backends": recognisers[:1]}]
    return lambda **environment: start(Balancer, tmp_path, routes, system_nginx(), **environment)


def refuses_connections(port):
    """Bare TCP: nginx never tells a gRPC channel to go that it took in the moment of SIGQUIT, and would wait for it."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        pass
    return False


async def test_terminate_refuses_new_streams_and_lets_open_ones_finish(own):
    balancer = own(DRAIN_SECONDS=60)
    async with client(balancer.port) as stream:
        opened = stream("single")
        await opened.open()
        balancer.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(balancer.wait_for, "draining")

        await eventually(lambda: refuses_connections(balancer.port), "new streams are refused")
        await opened.echo()
        assert balancer.process.poll() is None
        assert await opened.finish() is grpc.StatusCode.OK
    assert await asyncio.to_thread(balancer.process.wait, 15) == 0


async def test_a_drain_ends_at_its_limit(own):
    balancer = own(DRAIN_SECONDS=0.5)
    async with client(balancer.port) as stream:
        await stream("single").open()
        balancer.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(balancer.process.wait, 15) == 0


async def test_a_second_terminate_ends_a_drain(own):
    balancer = own(DRAIN_SECONDS=600)
    async with client(balancer.port) as stream:
        await stream("single").open()
        balancer.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(balancer.wait_for, "draining")
        balancer.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(balancer.process.wait, 15) == 0


async def test_the_path_in_NGINX_is_for_us_and_nginx_does_not_take_it_for_sockets_to_inherit(own):
    balancer = own()
    assert balancer.health() == 200
    assert balancer.events("nginx") == []


async def test_nginxs_death_ends_the_balancer(own):
    balancer = own()
    (master,) = balancer.nginx_processes()
    workers = psutil.Process(master).children()
    os.kill(master, signal.SIGKILL)
    assert await asyncio.to_thread(balancer.process.wait, 15) == 1
    assert balancer.events("nginx ended, and so do we")
    assert not psutil.wait_procs(workers, timeout=5)[1]


@pytest.mark.skipif("sys.platform != 'linux'", reason="only Linux ends a child with its parent")
async def test_a_killed_balancer_leaves_no_nginx(own):
    balancer = own()
    processes = psutil.Process(balancer.process.pid).children(recursive=True)
    balancer.process.kill()
    balancer.process.wait()
    assert not await asyncio.to_thread(lambda: psutil.wait_procs(processes, timeout=10)[1])


async def test_nothing_of_a_request_but_its_route_is_logged(shared, recognisers):
    spoken = "zanzibar umbrella quicksilver"
    before = len(shared.events("stream ended"))
    async with client(shared.port) as stream:
        opened = stream("single", x_note=spoken, authorization=spoken)
        await opened.open()
        await opened.echo(spoken.encode() * 100)
        await opened.finish()
        await stream(spoken).status()
    await asyncio.to_thread(shared.wait_for, "stream ended", before + 2)
    ended = [(entry["route"], entry["pod"], entry["grpc_status"]) for entry in shared.events("stream ended")]
    assert ("single", recognisers[2], "0") in ended
    assert ("", "", "5") in ended
    assert not any(word in shared.log_file.read_text() for word in spoken.split())


def settings(tmp_path, **changes):
    values = {
        "routes_file": tmp_path / "routes.yaml",
        "nginx": system_nginx(),
        "listen_host": "127.0.0.1",
        "grpc_port": free_port(),
        "health_port": free_port(),
    }
    return BalancerSettings(**{**values, **changes})


@pytest.mark.parametrize(
    ("changes", "routes", "reason"),
    [
        (
            {"nginx": "no-such-nginx"},
            "routes: []",
            "no-such-nginx is not installed; install it (Debian, Ubuntu: apt-get",
        ),
        ({"nginx": "true"}, "routes: []", "no nginx version in"),
        ({"routes_file": Path("/nowhere/routes.yaml")}, "", "ROUTES_FILE /nowhere/routes.yaml: No such file"),
        ({}, "routes: 7", "routes: Input should be a valid"),
        ({"listen_host": "localhost"}, "routes: []", "LISTEN_HOST or RESOLVERS"),
        ({"nginx_dialect": "static"}, 'routes: [{name: a, backends: ["asr.example:1"]}]', "asr.example:1: names need"),
    ],
)
async def test_a_start_that_cannot_work_ends_with_one_clear_line(changes, routes, reason, tmp_path):
    (tmp_path / "routes.yaml").write_text(routes)
    with pytest.raises(StartError) as refused:
        async with prepared(settings(tmp_path, **changes)) as balancer:
            await balancer.start()
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


async def test_a_taken_port_is_named(shared, tmp_path):
    with pytest.raises(StartError, match=rf"GRPC_PORT 127\.0\.0\.1:{shared.port}: Address already in use"):
        async with prepared(settings(tmp_path, grpc_port=shared.port)):
            pass


def test_a_missing_nginx_ends_the_process_with_status_1(own):
    balancer = own(wait=False, NGINX="no-such-nginx")
    assert balancer.process.wait(20) == 1
    assert "no-such-nginx is not installed" in balancer.events("cannot start")[0]["reason"]


def test_a_wrong_variable_is_named(own):
    balancer = own(wait=False, WORKERS="many")
    assert balancer.process.wait(20) == 2
    assert "workers" in balancer.log_file.read_text().lower()
