"""Real nginx, real gRPC: every balancer, recogniser and client here is a process or a channel of its own."""

import contextlib
import subprocess
import sys

import pytest
from balancer_processes import HERE, PROGRAMS, Balancer, RawNginx, Recogniser, rendered, system_nginx, without


@pytest.fixture(scope="session", params=["static", "resolve"])
def dialect(request):
    return request.param


@pytest.fixture(scope="session")
def program(dialect):
    return PROGRAMS[dialect]()


@pytest.fixture(scope="session")
def recognisers():
    started = [Recogniser() for _ in range(4)]
    yield [recogniser.address for recogniser in started]
    for recogniser in started:
        recogniser.stop()


@pytest.fixture(scope="session")
def shared(dialect, program, recognisers, tmp_path_factory):
    """A balancer that no test changes: `pair` has two recognisers, `single` and `watched` one, `empty` none."""
    routes = [
        {"name": "pair", "aliases": ["pair-alias"], "backends": recognisers[:2]},
        {"name": "single", "backends": recognisers[2:3]},
        {"name": "watched", "backends": recognisers[3:]},
        {"name": "empty"},
    ]
    balancer = Balancer(tmp_path_factory.mktemp(dialect), routes, program, ACCESS_LOG="true")
    yield balancer
    balancer.stop()


@pytest.fixture(scope="session")
def changing(program, dialect, tmp_path_factory):
    """A balancer whose routes each test sets for itself, by `apply`."""
    balancer = Balancer(tmp_path_factory.mktemp(f"changing-{dialect}"), [], program)
    yield balancer
    balancer.stop()


@pytest.fixture
def start():
    """Start something with `stop`, stopped after the test: `start(Recogniser)`."""
    with contextlib.ExitStack() as stack:

        def begin(kind, *arguments, **keywords):
            started = kind(*arguments, **keywords)
            stack.callback(started.stop)
            return started

        yield begin


@pytest.fixture(scope="session", autouse=True)
def silences(recognisers, tmp_path_factory):
    """Clients that are silent for 90 s while the other tests run: by dialect, and with nginx's `default` timeouts."""
    folder = tmp_path_factory.mktemp("silences")
    texts = {dialect: rendered(dialect, recognisers[2:3]) for dialect in PROGRAMS}
    text, *ports = rendered("static", recognisers[2:3])
    timeouts = ("client_body_timeout", "send_timeout", "grpc_read_timeout", "grpc_send_timeout")
    texts["default"] = (without(text, *timeouts), *ports)
    programs = {**PROGRAMS, "default": system_nginx}
    clients = {}
    with contextlib.ExitStack() as stack:
        for name, (text, port, health_port) in texts.items():
            stack.callback(RawNginx(folder / name, programs[name](), text, health_port).stop)
            command = [sys.executable, str(HERE / "silent_client.py"), str(port), "90"]
            clients[name] = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            stack.callback(clients[name].kill)
        yield clients
