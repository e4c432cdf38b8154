"""A run of the load tool: prepare what is known of the clips, put on each load, score it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from model_store import pull, pull_model
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from stack_model.api import StreamingStack

from streamingstack_bench.clips import Clip, Programme, programmes
from streamingstack_bench.load import Load, Watch, run_load
from streamingstack_bench.machine import this_machine
from streamingstack_bench.offline import WORD_TIMES_MODEL, OfflineWhisper, hear_all
from streamingstack_bench.records import Session
from streamingstack_bench.report import Report
from streamingstack_bench.scoring import ClipScore, Figures, Knowledge, figures, score_session
from streamingstack_bench.session import Target
from streamingstack_bench.stack_processes import measuring
from streamingstack_bench.word_times import Heard


class BenchError(ValueError):
    """A run that makes no sense as asked; the text names the option and the remedy."""


@dataclass(frozen=True)
class Plan:
    """What a run does."""

    target: Target
    clips: Sequence[Clip]
    sessions: Sequence[int]
    clips_per_session: int = 1
    duration_s: float | None = None
    stagger_s: float = 0.5
    seed: int = 1
    root: psutil.Process | None = None


def weights_of(stack: StreamingStack, speech_model: str, cache: Path, console: Console) -> Path:
    """The folder with the weights that serve `speech_model`. Raises BenchError and model_store.ModelStoreError."""
    for model in stack.spec.models:
        if speech_model in model.speech_models:
            with _Downloads(console) as downloads:
                return pull_model(model, cache, downloads)
    served = ", ".join(name for model in stack.spec.models for name in model.speech_models)
    raise BenchError(f"--speech-model {speech_model}: the stack of --stack serves {served}")


def knowledge_of(clips: Sequence[Clip], weights: Path | None, cache: Path, console: Console) -> Knowledge:
    """When words are spoken, and what `weights` (None: not asked) hear offline. Raises model_store.ModelStoreError."""
    with _Downloads(console) as downloads:
        base = pull(WORD_TIMES_MODEL, cache, downloads, name="word times")
    written = [clip for clip in clips if clip.reference is not None]
    timed = _heard("word times", OfflineWhisper(base, cache, word_times=True), written, console)
    if weights is None:
        return Knowledge(timed, {})
    return Knowledge(
        timed, _heard("offline reference", OfflineWhisper(weights, cache, word_times=False), clips, console)
    )


def _heard(what: str, whisper: OfflineWhisper, clips: Sequence[Clip], console: Console) -> dict[str, Heard]:
    with _bar(console, MofNCompleteColumn()) as progress:
        task = progress.add_task(what, total=len(clips))
        return hear_all(whisper, clips, lambda: progress.advance(task))


def run(plan: Plan, knowledge: Knowledge, console: Console) -> Report:
    """Put on every load, one after the other. Raises stack_processes.NoStackError and clips.ClipError."""
    every = programmes(plan.clips, clips_per_session=plan.clips_per_session, seed=plan.seed)
    machine = this_machine()
    rows, by_clip = [], {}
    for sessions in plan.sessions:
        row, scores = asyncio.run(_one_load(plan, sessions, every, knowledge, console))
        rows.append(row)
        by_clip[sessions] = scores
    return Report(
        speech_model=plan.target.speech_model,
        clips=len(plan.clips),
        clips_audio_s=sum(clip.duration_s for clip in plan.clips),
        chunk_ms=plan.target.chunk_ms,
        parameters=plan.target.parameters,
        clips_per_session=plan.clips_per_session,
        machine=machine,
        rows=rows,
        by_clip=by_clip,
    )


async def _one_load(
    plan: Plan, sessions: int, every: Sequence[Programme], knowledge: Knowledge, console: Console
) -> tuple[Figures, list[ClipScore]]:
    total = sum(programme.duration_s for programme in every)
    if plan.duration_s is not None:
        total = plan.duration_s * sessions
    load = Load(sessions, plan.stagger_s, plan.duration_s)
    with _bar(console, TextColumn("{task.fields[fates]}")) as progress:
        watch = _ProgressWatch(progress, progress.add_task(_named(sessions), total=total, fates=""))
        async with measuring(plan.root) as measured:
            played = await run_load(plan.target, load, every, Watch(watch.advance, watch.ended))
    scores = [
        score_session(item.programme, item.session, knowledge) for item in played if item.session.fate == "completed"
    ]
    row = figures(sessions, played, scores, measured.cost, measured.tool_cpu_s)
    return row, [clip for score in scores for clip in score.clips]


def _named(sessions: int) -> str:
    return f"{sessions} session{'s' if sessions > 1 else ''}"


@dataclass
class _ProgressWatch:
    progress: Progress
    task: TaskID
    fates: dict[str, int] = field(default_factory=dict)

    def advance(self, seconds: float) -> None:
        self.progress.advance(self.task, seconds)

    def ended(self, session: Session) -> None:
        self.fates[session.fate] = self.fates.get(session.fate, 0) + 1
        told = ", ".join(f"{count} {fate}" for fate, count in sorted(self.fates.items()))
        self.progress.update(self.task, fates=told)


def _bar(console: Console, last: TextColumn | MofNCompleteColumn) -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(), last, TimeElapsedColumn(), console=console)


class _Downloads:
    """The model store's progress as bars; nothing is shown when nothing is fetched."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), DownloadColumn(), console=console, transient=True
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "_Downloads":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def expect(self, total: int) -> None:
        """Nothing: each download has a bar of its own."""

    def begin(self, name: str, done: int, total: int | None) -> None:
        """A bar for a download."""
        self._tasks[name] = self._progress.add_task(name, total=total, completed=done)

    def advance(self, name: str, count: int) -> None:
        """More of it."""
        self._progress.advance(self._tasks[name], count)

    def end(self, name: str) -> None:
        """It is whole."""
        self._progress.remove_task(self._tasks.pop(name))
