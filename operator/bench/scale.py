"""How the operator bears many stacks: memory, time and requests of a reconcile, writes when idle.

Raises an API server of its own, makes N stacks of two models, lets the operator (a process of its own) make all their
children, adds the pods that controllers would, of which each answers at an address of its own, restarts it over
everything, and leaves it idle for two resyncs. Exit status 1 where it took more memory than it may.

usage: python operator/bench/scale.py [--stacks 1000] [--markdown FILE]
"""

import argparse
import asyncio
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from e2e_cluster.api_server import start_api
from population import make_namespaces, make_pods, make_stacks, say
from streaming_operator.api_server import ApiServer, connect
from streamingstack_bench.report import with_section
from subject import SPEAKING, Metrics, operator, process, until_quiet, until_still, until_up
from talking_pods import run_pods

IDLE_SECONDS = 300
MOST_MIB = 256
SECTION = """## A thousand stacks

Measured by `operator/bench/scale.py` against a real API server on the same machine, two cores shared by both. Each
stack has two models, 33 children and 9 pods; pods do not run, but answer the operator's questions for sessions,
streams, licence and models. An apply that changes nothing is a request and no write to etcd.

"""
Rows = list[tuple[str, str]]


async def measure(stacks: int, folder: Path) -> tuple[Rows, float]:
    """The rows of the table, and the most memory in MiB."""
    with start_api(folder / "api", say=say) as server:
        async with connect(str(server.kubeconfig)) as http:
            api = ApiServer(http)
            spaces = await make_namespaces(api)
            where = [(spaces[number % len(spaces)], f"stack-{number}") for number in range(stacks)]
            with process(SPEAKING, {}, stdout=subprocess.DEVNULL):
                made, first = await _made(api, server.kubeconfig, where)
                anew, second = await _begun_anew(server.kubeconfig, stacks)
                return made + anew, max(first, second)


async def _made(api: ApiServer, kubeconfig: Path, where: list[tuple[str, str]]) -> tuple[Rows, float]:
    """While stacks come, and then their pods."""
    with operator(kubeconfig) as subject:
        await until_up(subject)
        rows = [("memory without stacks", f"{subject.memory()[0]:.0f} MiB")]
        started = time.monotonic()
        await make_stacks(api, where)
        await until_quiet(subject, len(where))
        rows += _making(time.monotonic() - started, len(where), subject.memory(), subject.metrics())
        await make_pods(api, where)
        await run_pods(api, where)
        await until_quiet(subject, len(where))
        now, highest = subject.memory()
        return [*rows, ("the same with all pods (highest)", f"{now:.0f} MiB ({highest:.0f} MiB)")], highest


async def _begun_anew(kubeconfig: Path, stacks: int) -> tuple[Rows, float]:
    """With everything there already, and then with nothing to do for two resyncs."""
    with operator(kubeconfig, resync_seconds=IDLE_SECONDS // 2) as subject:
        await until_up(subject)
        took = await until_quiet(subject, stacks)
        rows = _restarted(took, stacks, subject.memory(), subject.metrics())
        before = await until_still(subject)
        await asyncio.sleep(IDLE_SECONDS)
        used = subject.memory()
        return rows + _idle(before, subject.metrics(), used), used[1]


def _making(seconds: float, stacks: int, used: tuple[float, float], found: Metrics) -> Rows:
    objects = found.sum("streaming_operator_objects")
    return [
        ("stacks; children watched", f"{stacks}; {objects:.0f}"),
        ("from the first stack to the last child", f"{seconds:.0f} s"),
        ("writes for each stack", f"{found.writes / stacks:.1f}"),
        ("making a stack, half of them within", f"{found.quantile(0.5):g} s"),
        ("making a stack, 95 % within", f"{found.quantile(0.95):g} s"),
        ("memory with all children (highest)", f"{used[0]:.0f} MiB ({used[1]:.0f} MiB)"),
    ]


def _restarted(seconds: float, stacks: int, used: tuple[float, float], found: Metrics) -> Rows:
    return [
        ("objects watched, pods included", f"{found.sum('streaming_operator_objects'):.0f}"),
        ("restart: everything listed and reconciled", f"{seconds:.0f} s"),
        ("restart: applies for each stack, none of which changes anything", f"{found.writes / stacks:.1f}"),
        ("restart: memory (highest)", f"{used[0]:.0f} MiB ({used[1]:.0f} MiB)"),
    ]


def _idle(before: Metrics, after: Metrics, used: tuple[float, float]) -> Rows:
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
        (
            "idle: half of them within; 95 % within",
            f"{after.quantile(0.5, before):g} s; {after.quantile(0.95, before):g} s",
        ),
        ("idle: memory (highest)", f"{used[0]:.0f} MiB ({used[1]:.0f} MiB)"),
    ]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Memory, time and requests of the operator with many stacks.")
    parser.add_argument("--stacks", type=int, default=1000, help="how many (default %(default)s)")
    parser.add_argument("--markdown", type=Path, help="a page whose section is replaced; default: standard output")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything it started ends
    with tempfile.TemporaryDirectory(prefix="operator-scale-") as folder:
        rows, highest = asyncio.run(measure(chosen.stacks, Path(folder)))
    rows.append(("the most memory of all; the limit", f"{highest:.0f} MiB; {MOST_MIB} MiB"))
    lines = ["| measure | value |", "|---|---|", *(f"| {what} | {value} |" for what, value in rows)]
    section = SECTION + "\n".join(lines) + "\n"
    if chosen.markdown:
        chosen.markdown.write_text(with_section(chosen.markdown.read_text(), "operator scale", section))
    else:
        sys.stdout.write(section)
    sys.exit(1 if highest > MOST_MIB else 0)


if __name__ == "__main__":
    main()
