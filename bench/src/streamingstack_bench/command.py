"""The command `streamingstack bench`."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import psutil
import typer
from model_store import ModelStoreError, default_cache
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from stack_model.api import StackError, load_stack

from streamingstack_bench.clips import Clip, ClipError, load_clips
from streamingstack_bench.floors import Floors
from streamingstack_bench.local_stack import LocalStackError, local_stack
from streamingstack_bench.plot import draw
from streamingstack_bench.report import Report, markdown, rows, with_section
from streamingstack_bench.running import BenchError, Plan, knowledge_of, run, weights_of
from streamingstack_bench.scoring import Knowledge
from streamingstack_bench.session import Target
from streamingstack_bench.stack_processes import NoStackError, supervisor_process

ENGLISH = "universal-streaming-english"


def bench(
    url: Annotated[str, typer.Option(help="Gateway, ws:// or wss://.")] = "ws://127.0.0.1:8080",
    api_key: Annotated[str, typer.Option(envvar="STREAMINGSTACK_API_KEY", help="API key of the gateway.")] = "",
    speech_model: Annotated[
        list[str] | None, typer.Option(help="Model to ask for; repeatable, one after the other.", show_default=ENGLISH)
    ] = None,
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
    up: Annotated[
        Path | None, typer.Option(help="Stack YAML to run here meanwhile; sets --stack, --url, --api-key and --pid.")
    ] = None,
    port_offset: Annotated[int, typer.Option(help="For --up: shift every port.")] = 0,
    state: Annotated[Path | None, typer.Option(help="For --up: where the stack keeps its files.")] = None,
    pid: Annotated[int | None, typer.Option(help="Process whose descendants are the stack: CPU and memory.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write everything as JSON.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the report: .png, .svg or .pdf.")] = None,
    markdown_file: Annotated[
        Path | None, typer.Option("--markdown", help="Write the tables as sections of this file.")
    ] = None,
    section: Annotated[str, typer.Option(help="Name of the sections; those of this name are replaced.")] = "load",
    keep_text: Annotated[bool, typer.Option(help="Put what was heard into the JSON.")] = False,
    seed: Annotated[int, typer.Option(help="Order of the recordings.")] = 1,
    max_wer_gap: Annotated[
        float | None, typer.Option(help="Fail where streamed is more points of WER above offline.")
    ] = None,
    max_pss: Annotated[float | None, typer.Option(help="Fail where the stack takes more GB.")] = None,
    require_whole: Annotated[bool, typer.Option(help="Fail where any session was refused or broken.")] = False,
) -> None:
    """Stream real recordings in real time over many sessions and report lag, errors and cost."""
    progress = Console(stderr=True)
    models = speech_model or [ENGLISH]
    try:
        counts, query, recordings = session_counts(sessions), parameters(param or []), load_clips(audio)
        chosen = {
            model: choose(recordings, language or _languages(model), clips, recorded_only=recorded_only)
            for model in models
        }
        known = _known(chosen, stack or up, progress)
        with _server(up, url, api_key, pid, port_offset, state, progress) as (where, key, root):
            reports = []
            for model in models:
                target = Target(where, key, model, query, chunk_ms)
                plan = Plan(target, chosen[model], counts, clips_per_session, duration, stagger, seed, root)
                reports.append(run(plan, known[model], progress))
    except (BenchError, ClipError, LocalStackError, NoStackError, StackError, ModelStoreError) as refused:
        progress.print(f"[red]error:[/red] {escape(str(refused))}", highlight=False, soft_wrap=True)
        raise typer.Exit(2) from None
    for report in reports:
        Console().print(table(report))
    write(reports, json_file, plot, markdown_file, section=section, keep_text=keep_text)
    _judge(reports, Floors(max_wer_gap, max_pss, require_whole), progress)


def _known(chosen: Mapping[str, Sequence[Clip]], stack: Path | None, progress: Console) -> dict[str, Knowledge]:
    described, cache = load_stack(stack) if stack else None, default_cache()
    weights = {model: weights_of(described, model, cache, progress) if described else None for model in chosen}
    return {model: knowledge_of(clips, weights[model], cache, progress) for model, clips in chosen.items()}


Server = tuple[str, str, psutil.Process | None]


@contextlib.contextmanager
def _server(
    up: Path | None, url: str, api_key: str, pid: int | None, port_offset: int, state: Path | None, progress: Console
) -> Iterator[Server]:
    """URL, API key and root process of what is measured: the stack of `up`, or one that runs already."""
    if up is None:
        yield url, api_key, supervisor_process(pid) if pid is not None else None
        return
    with local_stack(up, progress, port_offset=port_offset, state=state) as running:
        yield running.url, running.api_key, running.root


def _judge(reports: Sequence[Report], floors: Floors, progress: Console) -> None:
    """Exit with status 1 where a model answered nobody or a floor was missed."""
    missed = [line for report in reports for line in floors.missed(report)]
    missed += [
        f"{report.speech_model}: no session was completed; the table has the reasons"
        for report in reports
        if not any(row.completed for row in report.rows)
    ]
    for line in missed:
        progress.print(f"[red]missed:[/red] {escape(line)}", highlight=False, soft_wrap=True)
    if missed:
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
    """The clips that are asked for; no language means all, a smaller `count` a spread of them. Raises BenchError where none is left."""
    kept = [clip for clip in clips if not languages or clip.language in languages]
    kept = [clip for clip in kept if not (recorded_only and clip.derived)]
    if count is not None and count < len(kept):  # spread over the list: neighbours are often alike
        kept = [kept[index * len(kept) // count] for index in range(count)]
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
    reports: Sequence[Report],
    json_file: Path | None,
    plot: Path | None,
    markdown_file: Path | None,
    *,
    section: str,
    keep_text: bool,
) -> None:
    """Write what was asked for; folders are made. Each report is a section of its own in the Markdown file."""
    for target in filter(None, (json_file, plot, markdown_file)):
        target.parent.mkdir(parents=True, exist_ok=True)
    if json_file:
        json_file.write_text(json.dumps([report.as_json(texts=keep_text) for report in reports], indent=1) + "\n")
    if plot:
        draw(reports, plot)
    if markdown_file:
        document = markdown_file.read_text() if markdown_file.exists() else ""
        for report in reports:
            document = with_section(document, f"{section} {report.speech_model}", markdown(report))
        markdown_file.write_text(document)


app = typer.Typer(add_completion=False)
app.command(name="bench")(bench)

if __name__ == "__main__":
    app()
