"""How the operator bears many stacks: memory, time and requests of a reconcile, writes when idle.

Raises an API server of its own, makes N stacks of two models, lets the operator (a process of its own) make all their
children, adds the pods that controllers would, restarts it over everything, and leaves it idle for two resyncs.

usage: python operator/bench/scale.py [--stacks 1000] [--markdown FILE]
"""

import argparse
import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from e2e_cluster.api_server import start_api
from license_token import SigningKey, development_claims, issue
from stack_model.crd import definition
from streaming_operator import names
from streaming_operator.api_errors import ApiRefusal
from streaming_operator.api_server import ApiServer, connect
from streaming_operator.kinds import CONFIG_MAP, CUSTOM_RESOURCE_DEFINITION, POD, SECRET, STACK, Kind

NAMESPACES = 10
SIDE_BY_SIDE = 16
IDLE_SECONDS = 600
INTRODUCTION = """# The operator with many stacks

Measured by `operator/bench/scale.py` against a real API server on the same machine, two cores shared by both. Each
stack has two models, 33 children and 9 pods; pods do not run. An apply that changes nothing is a request and no write
to etcd.

"""
NAMESPACE = Kind("", "v1", "Namespace", "namespaces")
SERVICE_ACCOUNT = Kind("", "v1", "ServiceAccount", "serviceaccounts")
# Of one stack: two gateways, licence proxies and load balancers, the model store, a recogniser of each model.
PODS = (
    *((names.GATEWAY, "") for _ in range(2)),
    *((names.LICENSE_PROXY, "") for _ in range(2)),
    *((names.LOAD_BALANCER, "") for _ in range(2)),
    (names.MODEL_STORE, ""),
    (names.ASR, "en-default"),
    (names.ASR, "ml-default"),
)


def say(text: str) -> None:
    """One line of progress."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")


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

    def quantile(self, share: float) -> float:
        """Upper bound in seconds of the reconciles' duration."""
        name = "streaming_operator_reconcile_seconds"
        total = self.sum(f"{name}_count")
        for line in self.text.splitlines():
            found = re.match(rf'{name}_bucket\{{le="(.+)"\}} (.+)', line)
            if found and float(found.group(2)) >= share * total:
                return float(found.group(1))
        return float("inf")


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
def operator(kubeconfig: Path, *, idle: bool = False) -> Iterator[Subject]:
    """The operator as a process, with a short resync where it is to be idle."""
    port = free_port()
    images = ("GATEWAY", "LICENSE_PROXY", "LOAD_BALANCER", "ASR", "ASR_GPU", "MODEL_STORE")
    environment = {
        **os.environ,
        "KUBECONFIG": str(kubeconfig),
        "PROBE_PORT": str(port),
        "RESYNC_SECONDS": str(IDLE_SECONDS // 2) if idle else "300",
        **{f"IMAGE_{part}": f"streamingstack/{part.lower()}:bench" for part in images},
    }
    process = subprocess.Popen([sys.executable, "-m", "streaming_operator", "run"], env=environment)
    try:
        yield Subject(process, port)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


async def put(api: ApiServer, kind: Kind, namespace: str | None, body: dict[str, Any]) -> None:
    """Make one object; one that is there already is fine."""
    try:
        await api.create(kind, namespace or "", msgspec.json.encode(body))
    except ApiRefusal as refusal:
        if refusal.code != 409:
            raise


def stack(namespace: str, name: str) -> dict[str, Any]:
    """A stack of two models."""
    models = [
        {"name": "en-default", "speechModels": ["universal-streaming-english"], "source": "hf://example/english@v1"},
        {"name": "ml-default", "speechModels": ["universal-streaming-multilingual"], "source": "hf://example/many@v1"},
    ]
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": STACK.api_version, "kind": STACK.name, "metadata": metadata, "spec": {"models": models}}


def licence() -> list[tuple[Kind, dict[str, Any]]]:
    """A licence for every stack of a namespace, and the keys that verify it."""
    key = SigningKey.generate()
    token = issue(development_claims("bench", datetime.now(UTC)), key.private_key, key.key_id)
    keys = {"public-keys.json": key.public_keys().to_json()}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "license"},
        "stringData": {"license.jwt": token},
    }
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "license-keys"}, "data": keys}
    return [(SECRET, secret), (CONFIG_MAP, config)]


def pod(stack_name: str, number: int, component: str, model: str) -> dict[str, Any]:
    """A pod such as the controllers would make, with what kubelets add."""
    labels = names.labels(stack_name, component, model or None)
    container = {
        "name": "main",
        "image": "streamingstack/bench:1",
        "env": [{"name": f"SETTING_{n}", "value": "x" * 40} for n in range(20)],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"{stack_name}-{component}-{number}", "labels": labels},
        "spec": {"containers": [container], "automountServiceAccountToken": False},
    }


async def gathered(work: list[Any]) -> None:
    """All of it, some side by side."""
    gate = asyncio.Semaphore(SIDE_BY_SIDE)

    async def one(coroutine: Any) -> None:
        async with gate:
            await coroutine

    await asyncio.gather(*(one(item) for item in work))


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


async def measure(stacks: int, folder: Path) -> list[tuple[str, str]]:
    """The rows of the table."""
    rows: list[tuple[str, str]] = []
    with start_api(folder / "api", say=say) as server:
        async with connect(str(server.kubeconfig)) as http:
            api = ApiServer(http)
            crd = definition()
            await api.apply(CUSTOM_RESOURCE_DEFINITION, None, crd["metadata"]["name"], msgspec.json.encode(crd))
            spaces = [f"bench-{number}" for number in range(NAMESPACES)]
            for space in spaces:
                metadata = {"metadata": {"name": space}}
                await put(api, NAMESPACE, None, {"apiVersion": "v1", "kind": "Namespace", **metadata})
                account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
                await put(api, SERVICE_ACCOUNT, space, account)
                for kind, body in licence():
                    await put(api, kind, space, body)
            await asyncio.sleep(2)
            where = [(spaces[number % NAMESPACES], f"stack-{number}") for number in range(stacks)]
            with operator(server.kubeconfig) as subject:
                await until_up(subject)
                rows.append(("memory without stacks", f"{subject.memory()[0]:.0f} MiB"))
                started = time.monotonic()
                await gathered([put(api, STACK, space, stack(space, name)) for space, name in where])
                await until_quiet(subject, stacks)
                rows += _making(time.monotonic() - started, stacks, subject.memory(), subject.metrics())
                say("pods")
                await gathered(
                    [
                        put(api, POD, space, pod(name, number, *part))
                        for space, name in where
                        for number, part in enumerate(PODS)
                    ]
                )
                await until_quiet(subject, stacks)
                rows.append(("the same with all pods", f"{subject.memory()[0]:.0f} MiB"))
            with operator(server.kubeconfig, idle=True) as subject:
                await until_up(subject)
                took = await until_quiet(subject, stacks)
                rows += _restarted(took, stacks, subject.memory(), subject.metrics())
                before = subject.metrics()
                await asyncio.sleep(IDLE_SECONDS)
                rows += _idle(before, subject.metrics(), subject.memory())
    return rows


def _making(seconds: float, stacks: int, used: tuple[float, float], found: Metrics) -> list[tuple[str, str]]:
    objects = found.sum("streaming_operator_objects")
    return [
        ("stacks; children watched", f"{stacks}; {objects:.0f}"),
        ("from the first stack to the last child", f"{seconds:.0f} s"),
        ("writes for each stack", f"{found.writes / stacks:.1f}"),
        ("making a stack, half of them within", f"{found.quantile(0.5):g} s"),
        ("making a stack, 95 % within", f"{found.quantile(0.95):g} s"),
        ("memory with all children (highest)", f"{used[0]:.0f} MiB ({used[1]:.0f} MiB)"),
    ]


def _restarted(seconds: float, stacks: int, used: tuple[float, float], found: Metrics) -> list[tuple[str, str]]:
    return [
        ("objects watched, pods included", f"{found.sum('streaming_operator_objects'):.0f}"),
        ("restart: everything listed and reconciled", f"{seconds:.0f} s"),
        ("restart: applies for each stack, none of which changes anything", f"{found.writes / stacks:.1f}"),
        ("restart: memory (highest)", f"{used[0]:.0f} MiB ({used[1]:.0f} MiB)"),
    ]


def _idle(before: Metrics, after: Metrics, used: tuple[float, float]) -> list[tuple[str, str]]:
    reconciles = "streaming_operator_reconcile_seconds"
    count = after.sum(f"{reconciles}_count") - before.sum(f"{reconciles}_count")
    seconds = after.sum(f"{reconciles}_sum") - before.sum(f"{reconciles}_sum")
    requests = "streaming_operator_api_requests_total"
    reads = after.sum(requests, verb="GET") - before.sum(requests, verb="GET")
    return [
        (f"idle for {IDLE_SECONDS} s with two resyncs: reconciles", f"{count:.0f}"),
        ("idle: writes", f"{after.writes - before.writes:.0f}"),
        ("idle: reads for each reconcile", f"{reads / max(count, 1):.1f}"),
        ("idle: mean of a reconcile", f"{1000 * seconds / max(count, 1):.0f} ms"),
        ("idle: memory (highest)", f"{used[0]:.0f} MiB ({used[1]:.0f} MiB)"),
    ]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Memory, time and requests of the operator with many stacks.")
    parser.add_argument("--stacks", type=int, default=1000, help="how many (default %(default)s)")
    parser.add_argument("--markdown", type=Path, help="where to write the table; default: standard output")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything it started ends
    with tempfile.TemporaryDirectory(prefix="operator-scale-") as folder:
        rows = asyncio.run(measure(chosen.stacks, Path(folder)))
    lines = ["| measure | value |", "|---|---|", *(f"| {what} | {value} |" for what, value in rows)]
    table = INTRODUCTION + "\n".join(lines) + "\n"
    if chosen.markdown:
        chosen.markdown.write_text(table)
    else:
        sys.stdout.write(table)


if __name__ == "__main__":
    main()
