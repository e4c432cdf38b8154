"""What the stack's processes cost while they serve: processor time and memory, read from the operating system."""

import asyncio
import contextlib
import re
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil

from streamingstack_bench.records import Cost, Part

_PSS = re.compile(r"^Pss:\s+(\d+) kB$", re.MULTILINE)


class NoStackError(ValueError):
    """No process to measure; the text says which and what to do."""


def part_name(argv: Sequence[str]) -> str:
    """The part that a process belongs to, by its command line."""
    if not argv:
        return "unknown"
    program = Path(argv[0]).name
    if program.startswith("nginx"):
        return "nginx"
    if not program.startswith("python"):
        return program
    rest = list(argv[1:])
    if "-m" in rest and rest.index("-m") + 1 < len(rest):
        return rest[rest.index("-m") + 1]
    script = next((Path(word).name for word in rest if not word.startswith("-")), "python")
    return script


def pss_bytes(pid: int) -> int | None:
    """Proportional set size: shared pages counted by the share of each; None where the process is gone."""
    try:
        found = _PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(found[1]) * 1024 if found else 0  # a process that is ending has no memory any more


def supervisor_process(pid: int) -> psutil.Process:
    """The process whose descendants are the stack. Raises NoStackError."""
    if not sys.platform.startswith("linux"):
        raise NoStackError("memory is read from /proc: measuring the stack's processes works on Linux only")
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        raise NoStackError(f"no process {pid}: is the stack running?") from None


@dataclass
class _Seen:
    cpu_first: float
    cpu_last: float


@dataclass
class _Series:
    pss: list[int] = field(default_factory=list)
    processes: int = 0


@dataclass
class Meter:
    """Samples `root` and its descendants; a process that starts or ends meanwhile is counted while it lived."""

    root: psutil.Process
    _seen: dict[tuple[int, float], tuple[str, _Seen]] = field(default_factory=dict)
    _parts: dict[str, _Series] = field(default_factory=dict)
    _totals: list[int] = field(default_factory=list)

    def sample(self) -> None:
        """Take one reading."""
        first_reading = not self._totals
        reading: dict[str, tuple[int, int]] = {}
        for process in _family(self.root):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess, PermissionError):
                name = part_name(process.cmdline())
                times = process.cpu_times()
                memory = pss_bytes(process.pid)
                if memory is None:
                    continue
                used = times.user + times.system
                began_at = used if first_reading else 0.0
                key = (process.pid, process.create_time())
                # A fork shows its parent's command line until it becomes what it is: the last name counts.
                seen = self._seen.get(key, (name, _Seen(began_at, used)))[1]
                seen.cpu_last = used
                self._seen[key] = (name, seen)
                count, total = reading.get(name, (0, 0))
                reading[name] = (count + 1, total + memory)
        for name, (count, memory) in reading.items():
            series = self._parts.setdefault(name, _Series())
            series.pss.append(memory)
            series.processes = max(series.processes, count)
        self._totals.append(sum(memory for _, memory in reading.values()))

    def cost(self, span_s: float) -> Cost:
        """What the readings of `span_s` seconds say, the others' use left at 0; raises NoStackError without any."""
        if not any(self._totals):
            raise NoStackError(f"process {self.root.pid} was gone when it was to be measured: see the stack's logs")
        used: dict[str, float] = {}
        for name, seen in self._seen.values():
            used[name] = used.get(name, 0.0) + seen.cpu_last - seen.cpu_first
        parts = {
            name: Part(series.processes, _mean(series.pss), max(series.pss), used.get(name, 0.0))
            for name, series in sorted(self._parts.items())
        }
        return Cost(span_s, sum(used.values()), _mean(self._totals), max(self._totals), parts, 0.0)


def _family(root: psutil.Process) -> Iterable[psutil.Process]:
    try:
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _mean(values: Sequence[int]) -> float:
    return sum(values) / len(values)


@dataclass
class Measured:
    """Filled when the measuring ends; `tool_cpu_s` is what this process used itself."""

    cost: Cost | None = None
    tool_cpu_s: float = 0.0


@contextlib.asynccontextmanager
async def measuring(root: psutil.Process | None, *, every_s: float = 2.0) -> AsyncIterator[Measured]:
    """Measure the stack below `root` (None: only this process) until the block ends. Raises NoStackError."""
    clock = asyncio.get_running_loop().time
    measured, meter = Measured(), Meter(root) if root is not None else None
    began, machine, own = clock(), _machine_cpu(), _own_cpu()
    sampling = asyncio.create_task(_sample(meter, every_s)) if meter is not None else None
    try:
        yield measured
    finally:
        if sampling is not None:
            sampling.cancel()
            await asyncio.gather(sampling, return_exceptions=True)
    span = max(clock() - began, 1e-9)
    measured.tool_cpu_s = _own_cpu() - own
    if meter is not None:
        meter.sample()
        cost = meter.cost(span)
        others = (_machine_cpu() - machine - cost.cpu_s - measured.tool_cpu_s) / span
        measured.cost = replace(cost, others_cores=max(0.0, others))


async def _sample(meter: Meter, every_s: float) -> None:
    while True:
        # In a thread: reading the memory map of a big process takes milliseconds, which would make sends late.
        await asyncio.to_thread(meter.sample)
        await asyncio.sleep(every_s)


def _machine_cpu() -> float:
    times = psutil.cpu_times()
    idle = ("idle", "iowait", "guest", "guest_nice")  # guests are counted in user and nice already
    return float(sum(times) - sum(getattr(times, name, 0.0) for name in idle))


def _own_cpu() -> float:
    times = psutil.Process().cpu_times()
    return float(times.user + times.system)
