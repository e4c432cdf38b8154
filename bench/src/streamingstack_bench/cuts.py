"""Recognisers lost under real speech: `python -m streamingstack_bench.cuts --help`.

Every recording is played uncut, then again with blows to whichever recogniser carries it, one session at a time so
that each cut has one cause. What a client was given at the end is compared word by word.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import psutil
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from streamingstack_bench.clips import Clip, Programme, load_clips
from streamingstack_bench.cut_plan import Cut, of_clip, plan_cuts
from streamingstack_bench.cut_report import Compared, CutReport, Outcome, markdown
from streamingstack_bench.load import Load, Watch, run_load
from streamingstack_bench.local_stack import LocalStackError, local_stack
from streamingstack_bench.machine import this_machine
from streamingstack_bench.records import Session
from streamingstack_bench.report import with_section
from streamingstack_bench.session import Target, play
from streamingstack_bench.showing import final_words
from streamingstack_bench.twin_pods import TwinPod, part, read_metrics, twin_pods
from streamingstack_bench.wording import tokens

ENGLISH = "universal-streaming-english"
UNCUT_AT_ONCE = 3
RECOVERY_SECONDS = 60.0
_GAPS, _GAP_SUM, _LOSSES = (
    "gateway_recognizer_failover_gap_seconds_count",
    "gateway_recognizer_failover_gap_seconds_sum",
    "gateway_recognizer_failovers_total",
)


@dataclass
class Struck:
    """One recording with its cuts."""

    session: Session
    outcomes: list[Outcome] = field(default_factory=list)
    missed: list[Cut] = field(default_factory=list)


class Striker:
    """Plays one recording and strikes whichever pod carries it."""

    def __init__(self, target: Target, pods: Sequence[TwinPod], gateway_metrics: int) -> None:
        self._target, self._pods, self._metrics = target, pods, gateway_metrics

    async def play(self, clip: Clip, cuts: Sequence[Cut]) -> Struck:
        """The recording with `cuts`. Raises LocalStackError where a pod does not come back."""
        await self._all_back()
        due, sent = list(cuts), 0.0
        struck = Struck(Session())
        strikes: list[asyncio.Task[None]] = []

        def advance(seconds: float) -> None:
            nonlocal sent
            sent += seconds
            while due and due[0].at_s <= sent:
                strikes.append(asyncio.create_task(self._strike(due.pop(0), struck)))

        struck.session = await play(self._target, clip.pcm, advance)
        await asyncio.gather(*strikes)
        struck.missed += due
        return struck

    async def _all_back(self) -> None:
        for pod in self._pods:
            if pod.mending is not None:
                await pod.mending
            await pod.is_back()

    async def _strike(self, cut: Cut, struck: Struck) -> None:
        if not all(await asyncio.gather(*(pod.healthy() for pod in self._pods))):
            struck.missed.append(cut)
            return
        carrying = [pod for pod in self._pods if await pod.streams()]
        if len(carrying) != 1:
            struck.missed.append(cut)
            return
        before = await read_metrics(self._metrics)
        carrying[0].strike(cut.blow)
        struck.outcomes.append(await self._recovery(cut, before))

    async def _recovery(self, cut: Cut, before: dict[str, float]) -> Outcome:
        deadline = time.monotonic() + RECOVERY_SECONDS
        while time.monotonic() < deadline:
            now = await read_metrics(self._metrics)
            losses = round(now.get(_LOSSES, 0.0) - before.get(_LOSSES, 0.0))
            if now.get(_GAPS, 0.0) > before.get(_GAPS, 0.0):
                return Outcome(cut, now[_GAP_SUM] - before.get(_GAP_SUM, 0.0), losses)
            await asyncio.sleep(0.05)
        return Outcome(cut, None, losses)


async def run(
    striker: Striker, target: Target, clips: Sequence[Clip], cuts: Sequence[Cut], console: Console
) -> tuple[dict[str, str], dict[str, Struck]]:
    """The texts of the uncut run, and the cut one, by recording. Raises LocalStackError."""
    struck: dict[str, Struck] = {}
    with _bar(console) as progress:
        uncut = progress.add_task("uncut", total=sum(clip.duration_s for clip in clips))
        watch = Watch(advance=lambda seconds: progress.advance(uncut, seconds))
        played = await run_load(target, Load(UNCUT_AT_ONCE), [Programme((clip,)) for clip in clips], watch)
        task = progress.add_task("cut", total=sum(clip.duration_s for clip in clips))
        for clip in clips:
            struck[clip.name] = await striker.play(clip, of_clip(cuts, clip.name))
            progress.advance(task, clip.duration_s)
    for item in played:
        if item.session.fate != "completed":
            raise LocalStackError(f"the uncut session of {item.programme.clips[0].name}: {item.session.reason}")
    return {item.programme.clips[0].name: text_of(item.session) for item in played}, struck


def text_of(session: Session) -> str:
    """What the client was given as final."""
    return " ".join(word.text for word in final_words(session.received))


def compared(clip: Clip, uncut: str, struck: Struck) -> Compared:
    """Normalised, side by side."""
    spoken = tokens(clip.reference, clip.language) if clip.reference is not None else None
    heard = tokens(text_of(struck.session), clip.language)
    return Compared(clip.name, spoken, tokens(uncut, clip.language), heard, struck.session.fate)


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:.0f}/{task.total:.0f} s"))
    return Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console)


async def _measured(
    root: psutil.Process, target: Target, clips: Sequence[Clip], *, plan: Sequence[Cut], seed: int, console: Console
) -> CutReport:
    metrics = int(part(root, "-m streaming_gateway").environment["METRICS_PORT"])
    async with twin_pods(root, 2) as pods:
        uncut, struck = await run(Striker(target, pods, metrics), target, clips, plan, console)
    return CutReport(
        speech_model=target.speech_model,
        audio_s=sum(clip.duration_s for clip in clips),
        seed=seed,
        machine=this_machine(),
        outcomes=[outcome for one in struck.values() for outcome in one.outcomes],
        compared=[compared(clip, uncut[clip.name], struck[clip.name]) for clip in clips],
        missed=[cut for one in struck.values() for cut in one.missed],
    )


app = typer.Typer(add_completion=False)


@app.command()
def main(
    up: Annotated[Path, typer.Option(help="Stack YAML to run meanwhile; its first model is measured.")],
    audio: Annotated[Path, typer.Option(envvar="STREAMINGSTACK_AUDIO")] = Path("examples/audio"),
    speech_model: Annotated[str, typer.Option(help="What sessions ask for.")] = ENGLISH,
    language: Annotated[str, typer.Option(help="Of the recordings.")] = "en",
    cuts: Annotated[int, typer.Option(min=1, help="How many, over all recordings.")] = 54,
    seed: Annotated[int, typer.Option(help="Of the plan: where, and by which blow.")] = 1,
    clips: Annotated[int | None, typer.Option(min=1, help="Only so many recordings.")] = None,
    port_offset: Annotated[int, typer.Option(help="Shift every port of the stack.")] = 0,
    state: Annotated[Path | None, typer.Option(help="Where the stack keeps its files.")] = None,
    markdown_file: Annotated[Path | None, typer.Option("--markdown", help="Write a section of this file.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Everything, for programs.")] = None,
    most: Annotated[int | None, typer.Option(help="Exit 1 where more words are lost or doubled.")] = None,
) -> None:
    """Recognisers killed, frozen, drained and deprived of Triton under real speech: what is lost, and for how long?"""
    console = Console(stderr=True)
    chosen = [clip for clip in load_clips(audio) if clip.language == language][:clips]
    try:
        plan = plan_cuts({clip.name: clip.duration_s for clip in chosen}, cuts, seed)
        with local_stack(up, console, port_offset=port_offset, state=state) as running:
            target = Target(running.url, running.api_key, speech_model)
            report = asyncio.run(_measured(running.root, target, chosen, plan=plan, seed=seed, console=console))
    except (ValueError, LocalStackError) as refused:
        console.print(f"[red]error:[/red] {escape(str(refused))}", highlight=False, soft_wrap=True)
        raise typer.Exit(2) from None
    section = markdown(report)
    typer.echo(section)
    if markdown_file is not None:
        document = markdown_file.read_text() if markdown_file.exists() else ""
        markdown_file.write_text(with_section(document, f"failover {speech_model}", section))
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(report), indent=1) + "\n")
    if most is not None and report.lost_or_doubled > most:
        console.print(f"[red]missed:[/red] {report.lost_or_doubled} words lost or doubled, at most {most}")
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
