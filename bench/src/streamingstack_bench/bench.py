"""One call of `streamingstack bench`: from what was asked to tables, files and an exit status."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from model_store import ModelStoreError, default_cache
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from stack_model.api import StackError, load_stack

from streamingstack_bench.clips import Clip, ClipError, load_clips
from streamingstack_bench.floors import Floors
from streamingstack_bench.local_stack import LocalStackError, local_stack
from streamingstack_bench.report import Report, markdown, rows, with_section
from streamingstack_bench.running import BenchError, Plan, knowledge_of, run, weights_of
from streamingstack_bench.scoring import Knowledge
from streamingstack_bench.session import Target
from streamingstack_bench.stack_processes import NoStackError, supervisor_process

ENGLISH_ONLY = "universal-streaming-english"


@dataclass(frozen=True)
class Asked:
    """The options, as the command describes them; `floors` in the order of Floors."""

    url: str
    api_key: str
    speech_models: tuple[str, ...]
    audio: Path
    languages: tuple[str, ...]
    clips: int | None
    recorded_only: bool
    sessions: str
    duration_s: float | None
    clips_per_session: int
    chunk_ms: int
    stagger_s: float
    param: tuple[str, ...]
    stack: Path | None
    up: Path | None
    port_offset: int
    state: Path | None
    pid: int | None
    json: Path | None
    plot: Path | None
    markdown: Path | None
    section: str
    title: str
    keep_text: bool
    seed: int
    floors: tuple[float | None, float | None, bool]


def run_bench(asked: Asked) -> int:
    """Do it; the exit status: 0, 1 where a floor was missed, 2 where it cannot be done as asked."""
    progress = Console(stderr=True)
    try:
        reports = _measured(asked, progress)
        write(asked, reports)
    except (BenchError, ClipError, LocalStackError, NoStackError, StackError, ModelStoreError) as refused:
        progress.print(f"[red]error:[/red] {escape(str(refused))}", highlight=False, soft_wrap=True)
        return 2
    for report in reports:
        Console().print(table(report))
    missed = list(_missed(reports, Floors(*asked.floors)))
    for line in missed:
        progress.print(f"[red]missed:[/red] {escape(line)}", highlight=False, soft_wrap=True)
    return 1 if missed else 0


def _measured(asked: Asked, progress: Console) -> list[Report]:
    counts, query, recordings = session_counts(asked.sessions), parameters(asked.param), load_clips(asked.audio)
    chosen = {
        model: choose(recordings, asked.languages or _languages(model), asked.clips, recorded_only=asked.recorded_only)
        for model in asked.speech_models
    }
    if asked.pid is not None:
        supervisor_process(asked.pid)
    known = _known(chosen, asked.stack, progress)
    reports = []
    with _server(asked, progress) as (url, key, root):
        for model, clips in chosen.items():
            plan = Plan(
                Target(url, key, model, query, asked.chunk_ms),
                clips,
                counts,
                asked.clips_per_session,
                asked.duration_s,
                asked.stagger_s,
                asked.seed,
                root,
            )
            reports.append(run(plan, known[model], progress))
    return reports


def _known(chosen: Mapping[str, Sequence[Clip]], stack: Path | None, progress: Console) -> dict[str, Knowledge]:
    described, cache = load_stack(stack) if stack else None, default_cache()
    weights = {model: weights_of(described, model, cache, progress) if described else None for model in chosen}
    return {model: knowledge_of(clips, weights[model], cache, progress) for model, clips in chosen.items()}


@contextlib.contextmanager
def _server(asked: Asked, progress: Console) -> Iterator[tuple[str, str, psutil.Process | None]]:
    """URL, API key and root process of what is measured: the stack of `up`, or one that runs already."""
    if asked.up is None:
        yield asked.url, asked.api_key, supervisor_process(asked.pid) if asked.pid is not None else None
        return
    with local_stack(asked.up, progress, port_offset=asked.port_offset, state=asked.state) as running:
        yield running.url, running.api_key, running.root


def _missed(reports: Sequence[Report], floors: Floors) -> Iterator[str]:
    for report in reports:
        yield from floors.missed(report)
        if not any(row.completed for row in report.rows):
            yield f"{report.speech_model}: no session was completed; the table has the reasons"


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
    return ["en"] if speech_model == ENGLISH_ONLY else []


def choose(clips: Sequence[Clip], languages: Sequence[str], count: int | None, *, recorded_only: bool) -> list[Clip]:
    """The clips that are asked for; no language means all; a smaller `count` is spread over them. Raises BenchError."""
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


def write(asked: Asked, reports: Sequence[Report]) -> None:
    """Write what was asked for; folders are made. Each report is a section of its own in the Markdown file."""
    for target in filter(None, (asked.json, asked.plot, asked.markdown)):
        target.parent.mkdir(parents=True, exist_ok=True)
    if asked.json:
        content = [report.as_json(texts=asked.keep_text) for report in reports]
        asked.json.write_text(json.dumps(content, indent=1) + "\n")
    if asked.plot:
        from streamingstack_bench.plot import draw  # its import takes a second, for every command

        draw(reports, asked.plot)
    if asked.markdown:
        document = asked.markdown.read_text() if asked.markdown.exists() else ""
        for report in reports:
            body = markdown(report, f"{asked.title}: `{report.speech_model}`")
            document = with_section(document, f"{asked.section} {report.speech_model}", body)
        asked.markdown.write_text(document)
