"""Recognisers beside those of a local stack, each with a Triton of its own, to be struck and brought back.

Their commands and environments are those of the running stack's first recogniser, on other ports.
"""

import asyncio
import contextlib
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families
from stack_model.nginx_routes import BalancerRoutes, dump_routes, parse_routes

from streamingstack_bench.cut_plan import Blow
from streamingstack_bench.local_stack import LocalStackError

START_SECONDS = 120.0
FROZEN_SECONDS = 8.0  # longer than the 3 s after which a stream counts as lost
_DRAIN_SECONDS = "5"
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Template:
    """A running process to make twins of."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    directory: str


def part(root: psutil.Process, mark: str) -> Template:
    """The first process below `root` whose command line has `mark`. Raises LocalStackError."""
    for process in root.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            argv = process.cmdline()
            if mark in " ".join(argv) and process.status() != psutil.STATUS_ZOMBIE:
                return Template(tuple(argv), process.environ(), process.cwd())
    raise LocalStackError(f"--up: no process of the stack has {mark!r} in its command line")


def triton_argv(argv: Sequence[str], ports: Mapping[str, int]) -> list[str]:
    """`argv` with other ports; `ports` by protocol: http, grpc, metrics."""
    changed = (re.match(r"--(http|grpc|metrics)-port=", word) for word in argv)
    return [f"--{at[1]}-port={ports[at[1]]}" if at else word for word, at in zip(argv, changed, strict=True)]


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    with contextlib.ExitStack() as sockets:
        held = [sockets.enter_context(socket.socket()) for _ in range(count)]
        for one in held:
            one.bind((_LOOPBACK, 0))
        return [one.getsockname()[1] for one in held]


class TwinPod:
    """A recogniser with its Triton; `mending` is under way while it comes back after a blow."""

    def __init__(self, recogniser: Template, triton: Template, logs: Path) -> None:
        self.port, self._metrics, http, grpc_port, metrics = free_ports(5)
        self._triton_argv = triton_argv(triton.argv, {"http": http, "grpc": grpc_port, "metrics": metrics})
        self._recogniser, self._triton = recogniser, triton
        self._environment = {
            **recogniser.environment,
            "ASR_PORT": str(self.port),
            "METRICS_PORT": str(self._metrics),
            "TRITON_URL": f"{_LOOPBACK}:{grpc_port}",
            "DRAIN_SECONDS": _DRAIN_SECONDS,
        }
        self._log = logs / f"twin-{self.port}.log"
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.mending: asyncio.Task[None] | None = None

    @property
    def endpoint(self) -> str:
        """host:port of its gRPC."""
        return f"{_LOOPBACK}:{self.port}"

    def start(self) -> None:
        """Start both processes."""
        self._start_triton()
        self._start_recogniser()

    def _start_triton(self) -> None:
        self._spawn("triton", self._triton_argv, self._triton.environment, self._triton.directory)

    def _start_recogniser(self) -> None:
        self._spawn("recogniser", self._recogniser.argv, self._environment, self._recogniser.directory)

    def _spawn(self, name: str, argv: Sequence[str], environment: Mapping[str, str], directory: str) -> None:
        with self._log.open("ab") as log:
            self._running[name] = subprocess.Popen(
                argv, env=dict(environment), cwd=directory, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    async def healthy(self) -> bool:
        """Whether it would take a stream now."""
        with contextlib.suppress(grpc.aio.AioRpcError):
            async with grpc.aio.insecure_channel(self.endpoint) as channel:
                asked = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=1)
                return bool((await asked).status == health_pb2.HealthCheckResponse.SERVING)
        return False

    async def is_back(self) -> None:
        """Wait until it takes streams. Raises LocalStackError."""
        deadline = time.monotonic() + START_SECONDS
        while not await self.healthy():
            if time.monotonic() > deadline:
                raise LocalStackError(f"a recogniser was not ready after {START_SECONDS:.0f} s; see {self._log}")
            await asyncio.sleep(0.2)

    async def streams(self) -> float:
        """How many streams it carries."""
        return (await read_metrics(self._metrics)).get("streaming_asr_streams_active", 0.0)

    def strike(self, blow: Blow) -> None:
        """Do it, and begin to bring the pod back, as its cluster would."""
        recogniser, triton = self._running["recogniser"], self._running["triton"]
        number = {Blow.FREEZE: signal.SIGSTOP, Blow.DRAIN: signal.SIGTERM}.get(blow, signal.SIGKILL)
        (triton if blow is Blow.ENGINE else recogniser).send_signal(number)
        self.mending = asyncio.create_task(self._mend(blow))

    async def _mend(self, blow: Blow) -> None:
        if blow is Blow.FREEZE:
            await asyncio.sleep(FROZEN_SECONDS)
            self._running["recogniser"].send_signal(signal.SIGCONT)
        elif blow is Blow.ENGINE:
            await asyncio.to_thread(self._running["triton"].wait)
            self._start_triton()
            await asyncio.sleep(1.0)  # the recogniser has noticed by then that it was away
        else:
            await asyncio.to_thread(self._running["recogniser"].wait)
            self._start_recogniser()
        await self.is_back()

    def stop(self) -> None:
        """End what runs of it, and wait for that."""
        if self.mending is not None:
            self.mending.cancel()
        for process in self._running.values():
            process.kill()  # frozen ones too
        for process in self._running.values():
            process.wait()


async def read_metrics(port: int) -> dict[str, float]:
    """Every metric of a part, summed over its labels."""

    def page() -> str:
        with urllib.request.urlopen(f"http://{_LOOPBACK}:{port}/metrics", timeout=2) as answer:
            return str(answer.read().decode())

    found: dict[str, float] = {}
    for family in text_string_to_metric_families(await asyncio.to_thread(page)):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


@contextlib.asynccontextmanager
async def twin_pods(root: psutil.Process, count: int) -> AsyncIterator[list[TwinPod]]:
    """`count` pods behind the stack's load balancer in place of its own recogniser. Raises LocalStackError."""
    recogniser, triton = part(root, "-m streaming_asr"), part(root, "tritonserver")
    balancer = part(root, "-m load_balancer")
    routes = Path(balancer.environment["ROUTES_FILE"])
    pods: list[TwinPod] = []
    try:
        for _ in range(count):
            pods.append(TwinPod(recogniser, triton, routes.parent))
            pods[-1].start()
        await asyncio.gather(*(pod.is_back() for pod in pods))
        await asyncio.to_thread(_route, routes, pods, int(balancer.environment["HEALTH_PORT"]))
        yield pods
    finally:
        for pod in pods:
            pod.stop()


def _route(file: Path, pods: Sequence[TwinPod], health_port: int) -> None:
    """Lead the first route to the pods, and wait until the load balancer does."""
    first, *others = parse_routes(file.read_text(), str(file)).routes
    changed = first.model_copy(update={"backends": tuple(pod.endpoint for pod in pods)})
    before = _generation(health_port)
    file.write_text(dump_routes(BalancerRoutes(routes=(changed, *others))))
    deadline = time.monotonic() + 30
    while _generation(health_port) == before:
        if time.monotonic() > deadline:
            raise LocalStackError(f"the load balancer did not read {file} again within 30 s")
        time.sleep(0.2)


def _generation(port: int) -> str | None:
    """Which configuration new connections meet."""
    with urllib.request.urlopen(f"http://{_LOOPBACK}:{port}/nginx_health", timeout=5) as answer:
        return answer.headers.get("x-config-generation")  # type: ignore[no-any-return]
