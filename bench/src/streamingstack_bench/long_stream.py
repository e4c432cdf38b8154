"""One stream for hours, with real models: `python -m streamingstack_bench.long_stream --help`.

The recordings are played over and over, so every lap is the same work: a stream that grew or slowed would show as laps
that cost more than the first ones, and one that drifted as laps with other words. The audio goes straight to a
recogniser, as fast as its credit allows.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import psutil
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from streamingstack.asr.v1 import recognizer_pb2 as pb

from streamingstack_bench.clips import RATE, Clip, Programme, load_clips
from streamingstack_bench.local_stack import local_stack
from streamingstack_bench.peer import opening, play
from streamingstack_bench.report import with_section
from streamingstack_bench.stack_processes import pss_bytes

# Laps are a whole number of voice frames and of seconds, so that each begins at the same place of every grid.
_WHOLE = 512 * 250
_RECOGNIZER_PORT = 50051


@dataclass(frozen=True)
class Reading:
    """The stack at one moment: seconds of processor so far, bytes of memory, seconds of wall clock."""

    cpu_s: float
    pss: int
    at_s: float


@dataclass(frozen=True)
class Lap:
    """One round through the recordings."""

    words: tuple[str, ...]
    cpu_s: float
    wall_s: float
    pss: int


def lap_audio(clips: Sequence[Clip]) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Every clip with pauses between and behind; shape [samples], 16 kHz."""
    programme = Programme(tuple(clips))
    rest = -(len(programme.pcm) + round(programme.gap_s * RATE)) % _WHOLE
    return np.concatenate([programme.pcm, np.zeros(round(programme.gap_s * RATE) + rest, np.int16)])


def read(root: psutil.Process) -> Reading:
    """The stack below `root`; its processes do not change while a stream runs."""
    family = [root, *root.children(recursive=True)]
    used = [process.cpu_times() for process in family]
    memory = sum(pss_bytes(process.pid) or 0 for process in family)
    return Reading(sum(times.user + times.system for times in used), memory, time.monotonic())


class Watch:
    """Takes a reading whenever another lap has been sent; credit keeps the sender within two seconds of the hearing."""

    def __init__(self, root: psutil.Process, lap: int, progress: Progress, bar: Any) -> None:
        self.readings = [read(root)]
        self._root, self._lap, self._progress, self._bar = root, lap, progress, bar

    def see(self, direction: str, message: Any) -> None:
        """Every message of the stream."""
        if direction != "up" or message.WhichOneof("message") != "audio":
            return
        end = message.audio.first_sample + len(message.audio.pcm) // 2
        self._progress.update(self._bar, completed=end / RATE)
        if end >= len(self.readings) * self._lap:
            self.readings.append(read(self._root))


def laps(words: Sequence[pb.Word], readings: Sequence[Reading], lap: int) -> list[Lap]:
    """Words and cost of each lap."""
    heard: list[list[str]] = [[] for _ in readings[1:]]
    for word in words:
        heard[min(word.start_sample // lap, len(heard) - 1)].append(word.text)
    return [
        Lap(tuple(text), after.cpu_s - before.cpu_s, after.at_s - before.at_s, after.pss)
        for text, before, after in zip(heard, readings, readings[1:], strict=False)
    ]


def describe(rounds: Sequence[Lap], lap_s: float) -> str:
    """The Markdown of the run: quarters of it side by side."""
    parts = _quarters(rounds)
    usual = rounds[min(1, len(rounds) - 1)].words
    rows = [
        ("audio", [f"{len(part) * lap_s / 60:.0f} min" for part in parts]),
        ("processor seconds per audio second", [_mean([x.cpu_s / lap_s for x in part]) for part in parts]),
        ("seconds per audio second", [_mean([x.wall_s / lap_s for x in part]) for part in parts]),
        ("memory of the stack (PSS), most", [f"{max(x.pss for x in part) / 1e9:.3f} GB" for part in parts]),
        ("words a lap", [f"{np.mean([len(x.words) for x in part]):.1f}" for part in parts]),
        ("laps with the second lap's words", [f"{sum(x.words == usual for x in part)}/{len(part)}" for part in parts]),
    ]
    head = ["quarter", *(str(number) for number in range(1, len(parts) + 1))]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    return "\n".join([*lines, *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows)])


def missed(rounds: Sequence[Lap], *, max_slowdown: float | None, max_growth: float | None) -> list[str]:
    """A line for each limit that is passed; None: not asked. Both are ratios of the last quarter to the first."""
    asked = (
        (
            "processor seconds are",
            "slowdown",
            max_slowdown,
            [np.mean([x.cpu_s for x in part]) for part in _quarters(rounds)],
        ),
        ("most memory (PSS) is", "growth", max_growth, [max(x.pss for x in part) for part in _quarters(rounds)]),
    )
    lines = []
    for what, name, limit, quarters in asked:
        if limit is None:
            continue
        if len(quarters) < 4 or not quarters[0]:
            lines.append(f"{name} cannot be told: the stream was too short")
        elif (ratio := float(quarters[-1] / quarters[0])) > limit:
            lines.append(f"{name}: the last quarter's {what} {ratio:.2f} of the first's, {limit:g} allowed")
    return lines


def _quarters(rounds: Sequence[Lap]) -> list[Sequence[Lap]]:
    """Four parts of equal length, without the laps that are left over; fewer where there are fewer laps."""
    quarter = max(1, len(rounds) // 4)
    return [rounds[at : at + quarter] for at in range(0, quarter * 4, quarter) if rounds[at : at + quarter]]


def _mean(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f}"


async def _play(root: psutil.Process, target: str, pcm: Any, count: int, console: Console) -> list[Lap]:
    columns = (TextColumn("audio"), BarColumn(), TextColumn("{task.completed:.0f}/{task.total:.0f} s"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as progress:
        watch = Watch(root, len(pcm), progress, progress.add_task("audio", total=count * len(pcm) / RATE))
        played = await play(target, np.tile(pcm, count), opened=opening(), observe=watch.see)
    words = [word for segment in played.segments() for word in segment]
    return laps(words, watch.readings, len(pcm))


app = typer.Typer(add_completion=False)


@app.command()
def main(
    up: Annotated[Path, typer.Option(help="Stack YAML to run meanwhile; its first model is measured.")],
    audio: Annotated[Path, typer.Option(envvar="STREAMINGSTACK_AUDIO")] = Path("examples/audio"),
    hours: Annotated[float, typer.Option(min=0.01, help="Length of the stream; rounded up to whole laps.")] = 3.0,
    port_offset: Annotated[int, typer.Option(help="Shift every port of the stack.")] = 0,
    state: Annotated[Path | None, typer.Option(help="Where the stack keeps its files.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the table as a section of this file.")] = None,
    max_slowdown: Annotated[
        float | None, typer.Option(help="Cost of the last quarter to the first's: no more.")
    ] = None,
    max_growth: Annotated[
        float | None, typer.Option(help="Memory of the last quarter to the first's: no more.")
    ] = None,
) -> None:
    """One stream of hours through a real recogniser: does it grow, slow down, or drift? Status 1 beyond a limit."""
    console = Console(stderr=True)
    pcm = lap_audio([clip for clip in load_clips(audio) if clip.language == "en"])
    count = -(-round(hours * 3600 * RATE) // len(pcm))
    with local_stack(up, console, port_offset=port_offset, state=state) as running:
        target = f"127.0.0.1:{_RECOGNIZER_PORT + port_offset}"
        rounds = asyncio.run(_play(running.root, target, pcm, count, console))
    table = describe(rounds, len(pcm) / RATE)
    typer.echo(table)
    if markdown is not None:
        title = f"## One stream of {count * len(pcm) / RATE / 3600:.1f} hours\n\n"
        about = f"{count} laps of {len(pcm) / RATE:.0f} s of recordings, in a burst, by `make long-stream`.\n\n"
        document = markdown.read_text() if markdown.exists() else ""
        markdown.write_text(with_section(document, "long stream", title + about + table + "\n"))
    lines = missed(rounds, max_slowdown=max_slowdown, max_growth=max_growth)
    for line in lines:
        typer.echo(line, err=True)
    if lines:
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
