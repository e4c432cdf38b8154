"""A whole local stack as the tests see it: where it listens, what it wrote, which processes it is made of."""

import os
import re
import socket
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import numpy as np
import psutil
import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[2]
STACK = ROOT / "examples" / "all-models.yaml"
AUDIO = ROOT / "examples" / "audio"
RATE = 16_000


def pcm_of(path: Path) -> bytes:
    """A 16 kHz mono recording as s16le."""
    samples, rate = soundfile.read(path, dtype="int16")
    assert rate == RATE
    return np.ascontiguousarray(samples).tobytes()


def free_offset() -> int:
    """A shift of every port under which the usual ones are free."""
    for offset in range(2000 + os.getpid() % 7 * 100, 14_000, 700):
        if all(is_free(port + offset) for port in (8010, 8011, 8080, 8081, 8082, 9090, 9091, 50050, 50051, 50053)):
            return offset
    pytest.fail("no free ports for a local stack; end other stacks first")


def is_free(port: int) -> bool:
    """Whether nobody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@dataclass(frozen=True)
class LocalStack:
    """A running stack; `url` is where sessions go, `logs` the folder of every part's log."""

    up: psutil.Process
    state: Path
    offset: int
    started: dict[str, int] = field(default_factory=dict)  # process ids of the parts, when the stack was ready

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{8080 + self.offset}/v3/ws"

    @property
    def api_key(self) -> str:
        return (self.state / "api-key").read_text().strip()

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    def process(self, *marks: str) -> psutil.Process:
        """The process of this stack whose command line, or environment, has all of `marks`."""
        for process in self.up.children(recursive=True):
            try:
                shown = " ".join([*process.cmdline(), *(f"{k}={v}" for k, v in process.environ().items())])
            except psutil.Error:
                continue
            if all(mark in shown for mark in marks) and process.status() != psutil.STATUS_ZOMBIE:
                return process
        raise AssertionError(f"no process with {marks}")

    def triton(self, position: int = 0) -> psutil.Process:
        """Triton of the model at this position of the stack."""
        port = f"--grpc-port={8011 + 10 * position + self.offset}"
        return next(p for p in self.up.children(recursive=True) if port in p.cmdline())

    def recogniser(self, route: str) -> psutil.Process:
        """The recogniser of a model."""
        return self.process("-m streaming_asr", f" ROUTE={route} ")

    def parts(self) -> dict[str, int]:
        """The process id of every part of which a test ends none. (Of Triton one does.)"""
        names = ("streaming_gateway", "license_proxy", "load_balancer")
        services = {name: self.process(f"-m {name}") for name in names}
        recognisers = {route: self.recogniser(route) for route in ("en-default", "ml-default", "u3-pro")}
        return {name: process.pid for name, process in (services | recognisers).items()}


async def metrics_page(stack: LocalStack, port: int) -> str:
    """The metrics of the part that usually has them at `port`."""
    async with httpx2.AsyncClient() as http:
        return (await http.get(f"http://127.0.0.1:{port + stack.offset}/metrics")).text


async def metric(stack: LocalStack, port: int, name: str) -> float:
    """One metric, summed over its labels."""
    values = re.findall(rf"^{name}(?:{{.*}})? ([0-9.e+-]+)$", await metrics_page(stack, port), re.M)
    assert values, f"no {name}"
    return sum(map(float, values))


async def counted(stack: LocalStack, port: int, name: str) -> float:
    """As `metric`; 0 while a counter with labels has none yet."""
    return await metric(stack, port, name) if f"\n{name}{{" in await metrics_page(stack, port) else 0.0
