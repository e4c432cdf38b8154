"""The operator that is measured, as a process of its own, and what it tells of itself."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from population import say
from stack_model.release import IMAGE_NAMES

# What answers for all pods of a bench.
SPEAKING = [sys.executable, str(Path(__file__).with_name("talking_pods.py"))]


@contextmanager
def process(argv: list[str], environment: dict[str, str], **more: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """A process, ended by its own id."""
    child = subprocess.Popen(argv, env={**os.environ, **environment}, **more)
    try:
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(30)


@dataclass
class Metrics:
    """The operator's own, at one moment."""

    text: str

    def sum(self, name: str, **labels: str) -> float:
        """Over all series of that name with those labels."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(
            float(line.rsplit(" ", 1)[1])
            for line in self.text.splitlines()
            if re.match(rf"{name}(\{{| )", line) and all(pair in line for pair in wanted)
        )

    @property
    def writes(self) -> float:
        """PATCH, POST and DELETE."""
        return sum(self.sum("streaming_operator_api_requests_total", verb=verb) for verb in ("PATCH", "POST", "DELETE"))

    def quantile(self, share: float, since: "Metrics | None" = None) -> float:
        """Upper bound in seconds of the reconciles' duration, of those `since` another moment."""
        before = since._reconciled() if since else {}
        counts = {bound: count - before.get(bound, 0.0) for bound, count in self._reconciled().items()}
        return min((bound for bound, count in counts.items() if count >= share * counts[float("inf")]))

    def _reconciled(self) -> dict[float, float]:
        """How many reconciles took at most so many seconds."""
        found = re.findall(r'^streaming_operator_reconcile_seconds_bucket\{le="(.+)"\} (.+)$', self.text, re.M)
        return {float(bound): float(count) for bound, count in found}


@dataclass
class Subject:
    """The operator that is measured."""

    process: subprocess.Popen[bytes]
    port: int

    def is_ready(self) -> bool:
        """Whether it has listed everything. Raises SystemExit where it ended."""
        if self.process.poll() is not None:
            raise SystemExit("the operator ended; its messages are above")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=30):
                return True
        except OSError:
            return False

    def metrics(self) -> Metrics:
        """Its own."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as response:
            return Metrics(response.read().decode())

    def memory(self) -> tuple[float, float]:
        """Resident now and at its highest, in MiB."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        found = [re.search(rf"{name}:\s+(\d+) kB", text) for name in ("VmRSS", "VmHWM")]
        now, highest = (int(match.group(1)) / 1024 if match else 0.0 for match in found)
        return now, highest


def free_port() -> int:
    """One of loopback's."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def operator(kubeconfig: Path, *, resync_seconds: int = 300) -> Iterator[Subject]:
    """The operator as a process."""
    port = free_port()
    environment = {
        "KUBECONFIG": str(kubeconfig),
        "PROBE_PORT": str(port),
        "RESYNC_SECONDS": str(resync_seconds),
        **{f"IMAGE_{part.upper()}": f"streamingstack/{part}:bench" for part in IMAGE_NAMES},
    }
    with process([sys.executable, "-m", "streaming_operator", "run"], environment) as child:
        yield Subject(child, port)


async def until_up(subject: Subject) -> None:
    """Wait until everything is listed."""
    for _ in range(300):
        if subject.is_ready():
            return
        await asyncio.sleep(1)
    raise SystemExit("the operator is not ready after five minutes")


async def until_quiet(subject: Subject, stacks: int) -> float:
    """Wait until the queue stays empty; returns the seconds."""
    started = time.monotonic()
    quiet = 0
    while quiet < 3:
        await asyncio.sleep(2)
        found = subject.metrics()
        depth = found.sum("streaming_operator_queue_depth")
        quiet = quiet + 1 if depth == 0 and found.sum("streaming_operator_stacks") >= stacks else 0
        say(f"queue {depth:.0f}, objects {found.sum('streaming_operator_objects'):.0f}")
    return time.monotonic() - started


async def until_still(subject: Subject, seconds: float = 60.0) -> Metrics:
    """Wait until nothing was written for so long: what pods say after a restart is news at first."""
    found = subject.metrics()
    while True:
        await asyncio.sleep(seconds)
        before, found = found, subject.metrics()
        if found.writes == before.writes:
            return found
        say(f"{found.writes - before.writes:.0f} writes in {seconds:.0f} s")
