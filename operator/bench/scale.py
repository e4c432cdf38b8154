"""How the operator bears many stacks: memory, time and requests of a reconcile, writes when idle.

Raises an API server of its own, makes N stacks of two models, lets the operator (a process of its own) make all their
children, adds the pods that controllers would, restarts it over everything, and leaves it idle for two resyncs.

usage: python operator/bench/scale.py [--stacks 1000] [--markdown FILE]
"""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from pathlib import Path

from e2e_cluster.api_server import start_api
from population import make_namespaces, make_pods, make_stacks, say
from streaming_operator.api_server import ApiServer, connect
from subject import Metrics, operator, until_quiet, until_up

IDLE_SECONDS = 600
INTRODUCTION = """# The operator with many stacks

Measured by `operator/bench/scale.py` against a real API server on the same machine, two cores shared by both. Each
stack has two models, 33 children and 9 pods; pods do not run. An apply that changes nothing is a request and no write
to etcd.

"""


async def measure(stacks: int, folder: Path) -> list[tuple[str, str]]:
    """The rows of the table."""
    with start_api(folder / "api", say=say) as server:
        async with connect(str(server.kubeconfig)) as http:
            api = ApiServer(http)
            spaces = await make_namespaces(api)
            where = [(spaces[number % len(spaces)], f"stack-{number}") for number in range(stacks)]
            return [*await _made(api, server.kubeconfig, where), *await _begun_anew(server.kubeconfig, stacks)]


async def _made(api: ApiServer, kubeconfig: Path, where: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """While stacks come, and then their pods."""
    with operator(kubeconfig) as subject:
        await until_up(subject)
        rows = [("memory without stacks", f"{subject.memory()[0]:.0f} MiB")]
        started = time.monotonic()
        await make_stacks(api, where)
        await until_quiet(subject, len(where))
        rows += _making(time.monotonic() - started, len(where), subject.memory(), subject.metrics())
        await make_pods(api, where)
        await until_quiet(subject, len(where))
        return [*rows, ("the same with all pods", f"{subject.memory()[0]:.0f} MiB")]


async def _begun_anew(kubeconfig: Path, stacks: int) -> list[tuple[str, str]]:
    """With everything there already, and then with nothing to do for two resyncs."""
    with operator(kubeconfig, resync_seconds=IDLE_SECONDS // 2) as subject:
        await until_up(subject)
        took = await until_quiet(subject, stacks)
        rows = _restarted(took, stacks, subject.memory(), subject.metrics())
        before = subject.metrics()
        await asyncio.sleep(IDLE_SECONDS)
        return rows + _idle(before, subject.metrics(), subject.memory())


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
