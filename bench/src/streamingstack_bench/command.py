"""The command `streamingstack bench`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from model_store import ModelStoreError, default_cache
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from stack_model.api import StackError, load_stack

from streamingstack_bench.clips import Clip, ClipError, load_clips
from streamingstack_bench.plot import draw
from streamingstack_bench.report import Report, markdown, rows, with_section
from streamingstack_bench.running import BenchError, Plan, knowledge_of, run, weights_of
from streamingstack_bench.session import Target
from streamingstack_bench.stack_processes import NoStackError, supervisor_process

ENGLISH = "universal-streaming-english"


def bench(
    url: Annotated[str, typer.Option(help="Gateway, ws:// or wss://.")] = "ws://127.0.0.1:8080",
    api_key: Annotated[str, typer.Option(envvar="STREAMINGSTACK_API_KEY", help="API key of the gateway.")] = "",
    speech_model: Annotated[str, typer.Option(help="Model that the sessions ask for.")] = ENGLISH,
    audio: Annotated[
        Path, typer.Option(envvar="STREAMINGSTACK_AUDIO", help="Folder with manifest.jsonl, or WAV files with .txt.")
    ] = Path("examples/audio"),
    language: Annotated[
        list[str] | None, typer.Option(help="Only recordings in this language; repeatable. English models: en.")
    ] = None,
    clips: Annotated[int | None, typer.Option(min=1, help="Only so many recordings.")] = None,
    recorded_only: Annotated[bool, typer.Option(help="Leave out recordings that were made from others.")] = False,
    sessions: Annotated[str, typer.Option(help="Sessions at once, one load after the other.")] = "1,2,4,8",
    duration: Annotated[
        float | None, typer.Option(min=1, help="Seconds of each load, recordings over and over; else each once.")
    ] = None,
    clips_per_session: Annotated[int, typer.Option(min=1, help="Recordings that one session plays in a row.")] = 1,
    chunk_ms: Annotated[int, typer.Option(min=50, max=1000, help="Audio in one message.")] = 100,
    stagger: Annotated[float, typer.Option(min=0, help="Seconds between the starts of two clients.")] = 0.5,
    param: Annotated[
        list[str] | None, typer.Option(help="Query parameter of the protocol as name=value; repeatable.")
    ] = None,
    stack: Annotated[Path | None, typer.Option(help="Stack YAML: its weights are heard offline to compare.")] = None,
    pid: Annotated[int | None, typer.Option(help="Process whose descendants are the stack: CPU and memory.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write everything as JSON.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the report: .png, .svg or .pdf.")] = None,
    markdown_file: Annotated[
        Path | None, typer.Option("--markdown", help="Write the table as a section of this file.")
    ] = None,
    section: Annotated[str, typer.Option(help="Name of that section; a section of this name is replaced.")] = "load",
    title: Annotated[str, typer.Option(help="Its title.")] = "Load",
    keep_text: Annotated[bool, typer.Option(help="Put what was heard into the JSON.")] = False,
    seed: Annotated[int, typer.Option(help="Order of the recordings.")] = 1,
) -> None:
    """Stream real recordings in real time over many sessions and report lag, errors and cost."""
    progress = Console(stderr=True)
    try:
        target = Target(url, api_key, speech_model, parameters(param or []), chunk_ms)
        chosen = choose(load_clips(audio), language or _languages(speech_model), clips, recorded_only=recorded_only)
        counts = session_counts(sessions)
        root = supervisor_process(pid) if pid is not None else None
        weights = weights_of(load_stack(stack), speech_model, default_cache(), progress) if stack else None
        knowledge = knowledge_of(chosen, weights, default_cache(), progress)
        plan = Plan(target, chosen, counts, clips_per_session, duration, stagger, seed, root)
        report = run(plan, knowledge, progress)
    except (BenchError, ClipError, NoStackError, StackError, ModelStoreError) as refused:
        progress.print(f"[red]error:[/red] {escape(str(refused))}", highlight=False)
        raise typer.Exit(2) from None
    Console().print(table(report))
    write(report, json_file, plot, markdown_file, section=section, title=title, keep_text=keep_text)
    if not any(row.completed for row in report.rows):
        progress.print("[red]error:[/red] no session was completed: the table has the reasons")
        raise typer.Exit(1)


def parameters(pairs: Sequence[str]) -> dict[str, str]:
    """name=value pairs of --param; raises BenchError."""
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise BenchError(f"--param {pair!r}: expected name=value")
        found[name] = value
    return found


def session_counts(text: str) -> list[int]:
    """Numbers of --sessions, in their order; raises BenchError."""
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        raise BenchError(f"--sessions {text!r}: expected numbers of at least 1 with commas between, as in 1,2,4,8")
    return counts


def _languages(speech_model: str) -> list[str]:
    return ["en"] if speech_model == ENGLISH else []


def choose(clips: Sequence[Clip], languages: Sequence[str], count: int | None, *, recorded_only: bool) -> list[Clip]:
    """The clips that are asked for; no language means all. Raises BenchError where none is left."""
    kept = [clip for clip in clips if not languages or clip.language in languages]
    kept = [clip for clip in kept if not (recorded_only and clip.derived)][:count]
    if not kept:
        there = ", ".join(sorted({clip.language for clip in clips}))
        raise BenchError(f"--language {', '.join(languages)}: no such recording; --audio has {there}")
    return kept


def table(report: Report) -> Table:
    """The report for a terminal."""
    (first, heads), *lines = rows(report.rows)
    shown = Table(title=f"{report.speech_model}, {report.clips} recordings, {report.clips_audio_s:.0f} s")
    shown.add_column(first)
    for head in heads:
        shown.add_column(head, justify="right")
    for name, cells in lines:
        shown.add_row(name, *cells)
    return shown


def write(
    report: Report,
    json_file: Path | None,
    plot: Path | None,
    markdown_file: Path | None,
    *,
    section: str,
    title: str,
    keep_text: bool,
) -> None:
    """Write what was asked for; folders are made."""
    for target in filter(None, (json_file, plot, markdown_file)):
        target.parent.mkdir(parents=True, exist_ok=True)
    if json_file:
        json_file.write_text(json.dumps(report.as_json(texts=keep_text), indent=1) + "\n")
    if plot:
        draw(report, plot)
    if markdown_file:
        before = markdown_file.read_text() if markdown_file.exists() else ""
        markdown_file.write_text(with_section(before, section, markdown(report, title)))


app = typer.Typer(add_completion=False)
app.command(name="bench")(bench)

if __name__ == "__main__":
    app()
