"""How well turns end: `python -m streamingstack_bench.turn_quality --help`.

Recordings with pauses between them are played in real time, one session at a time, once for each configuration. What
is measured, and against which truth: bench/README.md.
"""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import psutil
import typer
from model_store import default_cache, pull
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from stack_model.catalogue import family_of
from stack_model.hearing import HEARING_FILES
from streaming_asr.smart_turn import SAMPLES, SmartTurn

from streamingstack_bench.bench import ENGLISH_ONLY, choose
from streamingstack_bench.clips import RATE, Clip, Pcm, Programme, load_clips, programmes
from streamingstack_bench.local_stack import local_stack
from streamingstack_bench.machine import this_machine
from streamingstack_bench.records import Cost, Session
from streamingstack_bench.report import with_section
from streamingstack_bench.session import Order, Target, play
from streamingstack_bench.stack_processes import measuring
from streamingstack_bench.turn_ends import Rules, ScoreAt, TurnEnd, turn_ends
from streamingstack_bench.turn_presets import FORCED, UNIVERSAL, UNIVERSAL_3, Configuration
from streamingstack_bench.turn_report import Limits, TurnReport, markdown, table
from streamingstack_bench.turn_scoring import Forced, TurnFigures, TurnSession, forced, turn_figures
from streamingstack_bench.voice_model import speech_probabilities
from streamingstack_bench.voices import (
    FRAME_S,
    SHORTEST_S,
    SPEECH_THRESHOLD,
    Utterance,
    utterances,
    voices,
)

# Longer than the longest silence of a preset, so that every turn can end before the next recording begins.
GAP_S = 4.6
CHUNK_MS = 50  # what clients are told to send
# A client with a voice activity of its own asks for the end so long after the last voice.
FORCED_AFTER_S = 0.2


@dataclass(frozen=True)
class Played:
    """The audio of one session and what is true of it; `probabilities` of speech, one for each 32 ms frame."""

    programme: Programme
    pcm: Pcm
    probabilities: Sequence[float]
    spoken: Sequence[Utterance]


def prepare(programme: Programme, vad: Path) -> Played:
    """The programme with a pause behind it too. Raises ClipError."""
    pcm = np.concatenate([programme.pcm, np.zeros(round(programme.gap_s * RATE), np.int16)])
    probabilities = speech_probabilities(vad, pcm)
    speech = voices(probabilities, SPEECH_THRESHOLD, SHORTEST_S)
    return Played(programme, pcm, probabilities, list(utterances(programme, speech)))


class Run:
    """One server, its configurations one after the other."""

    def __init__(
        self, target: Target, every: Sequence[Played], root: psutil.Process | None, smart_turn: Path, console: Console
    ) -> None:
        self._target, self._every, self._root = target, every, root
        self._smart_turn, self._console = SmartTurn(smart_turn), console

    def measure(self, name: str, configuration: Configuration) -> TurnFigures:
        """Play everything under one configuration."""
        sessions, cost = self._play(name, configuration, lambda _played: ())
        whole, failed = _completed(sessions)
        scored = [
            TurnSession(self._every[n].programme, session, self._every[n].spoken, self._ends(self._every[n], session))
            for n, session in whole
        ]
        return replace(turn_figures(scored, failed), cost=cost)

    def force(self) -> Forced:
        """What ForceEndpoints brought."""
        whole, failed = _completed(self._play("ForceEndpoint", FORCED, _orders)[0])
        return forced([session for _, session in whole], failed)

    def _play(
        self, name: str, configuration: Configuration, orders: Callable[[Played], Sequence[Order]]
    ) -> tuple[list[Session], Cost | None]:
        target = replace(self._target, parameters=configuration)
        total = sum(len(played.pcm) for played in self._every) / RATE
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())

        async def play_all(advance: Callable[[float], None]) -> tuple[list[Session], Cost | None]:
            async with measuring(self._root) as measured:
                sessions = [await play(target, one.pcm, advance, orders(one)) for one in self._every]
            return sessions, measured.cost

        with Progress(*columns, console=self._console) as progress:
            task = progress.add_task(name, total=total)
            return asyncio.run(play_all(lambda seconds: progress.advance(task, seconds)))

    def _ends(self, played: Played, session: Session) -> list[TurnEnd | None]:
        try:
            rules = Rules.told(session.configuration)
        except KeyError as missing:
            raise typer.BadParameter(
                f"its Begin tells no {missing}; use a gateway that does", param_hint="--url"
            ) from None
        heard = voices(played.probabilities, rules.vad_threshold)
        score_at = _scores(self._smart_turn, played.pcm)
        return turn_ends(session.received, heard, len(played.probabilities) * FRAME_S, rules, score_at)


def _scores(model: SmartTurn, pcm: Pcm) -> ScoreAt:
    return lambda begin, at: model.scores([np.asarray(pcm[max(begin, at - SAMPLES) : at])])[0]


def _orders(played: Played) -> list[Order]:
    return [Order(one.end_s + FORCED_AFTER_S, '{"type":"ForceEndpoint"}') for one in played.spoken]


def _completed(sessions: Sequence[Session]) -> tuple[list[tuple[int, Session]], dict[str, int]]:
    """Completed sessions with their places, and what became of the others; a rule of the wire broken is counted too."""
    whole = [(number, session) for number, session in enumerate(sessions) if session.fate == "completed"]
    reasons = [f"{session.fate}: {session.reason}" for session in sessions if session.fate != "completed"]
    reasons += [rule for session in sessions for rule in session.violations]
    return whole, dict(Counter(reasons))


@contextlib.contextmanager
def _server(
    url: str, api_key: str, up: Path | None, port_offset: int, state: Path | None, console: Console
) -> Iterator[tuple[str, str, psutil.Process | None]]:
    if up is None:
        yield url, api_key, None
        return
    with local_stack(up, console, port_offset=port_offset, state=state) as running:
        yield running.url, running.api_key, running.root


def _chosen(names: Sequence[str], known: Mapping[str, Configuration]) -> dict[str, Configuration]:
    """The configurations that are asked for by a part of their names; none: all. Raises BadParameter."""
    found = {name: known[name] for name in known if not names or any(part in name for part in names)}
    if not found:
        raise typer.BadParameter(f"none of {', '.join(known)}", param_hint="--configuration")
    return found


app = typer.Typer(add_completion=False)


@app.command()
def main(
    url: Annotated[str, typer.Option(help="Gateway, ws:// or wss://.")] = "ws://127.0.0.1:8080",
    api_key: Annotated[str, typer.Option(envvar="STREAMINGSTACK_API_KEY", help="API key of the gateway.")] = "",
    up: Annotated[Path | None, typer.Option(help="Stack YAML to run here meanwhile; sets --url and --api-key.")] = None,
    speech_model: Annotated[str, typer.Option(help="Model to ask for.")] = ENGLISH_ONLY,
    audio: Annotated[Path, typer.Option(envvar="STREAMINGSTACK_AUDIO")] = Path("examples/audio"),
    clips: Annotated[int | None, typer.Option(min=1, help="Only so many English recordings, spread.")] = None,
    clips_per_session: Annotated[int, typer.Option(min=1, help="Recordings that one session plays.")] = 4,
    configuration: Annotated[
        list[str] | None, typer.Option(help="Only configurations whose name has this; repeatable.")
    ] = None,
    port_offset: Annotated[int, typer.Option(help="For --up: shift every port.")] = 0,
    state: Annotated[Path | None, typer.Option(help="For --up: where the stack keeps its files.")] = None,
    markdown_file: Annotated[
        Path | None, typer.Option("--markdown", help="Write the table as a section of this file.")
    ] = None,
    section: Annotated[str, typer.Option(help="Name of that section; one of this name is replaced.")] = "turn quality",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures as JSON.")] = None,
    max_excess_ms: Annotated[float | None, typer.Option(help="p95 of the excess over the silence: no more.")] = None,
    max_force_ms: Annotated[float | None, typer.Option(help="p95 of ForceEndpoint to final: no more.")] = None,
    max_first_partial_ms: Annotated[float | None, typer.Option(help="p95 of the first partial: no more.")] = None,
) -> None:
    """Play recordings with pauses under each configuration: when turns end, and whether they should have. Status 1
    beyond a limit."""
    console = Console(stderr=True)
    universal = family_of(speech_model) == "universal"
    asked = _chosen(configuration or (), UNIVERSAL if universal else UNIVERSAL_3)
    english = choose([clip for clip in load_clips(audio) if clip.reference], ["en"], clips, recorded_only=False)
    hearing = pull(HEARING_FILES, default_cache())
    every = [prepare(programme, hearing / "silero_vad.onnx") for programme in _programmes(english, clips_per_session)]
    machine = this_machine()
    with _server(url, api_key, up, port_offset, state, console) as (address, key, root):
        target = Target(address, key, speech_model, chunk_ms=CHUNK_MS)
        run = Run(target, every, root, hearing / "smart_turn.onnx", console)
        figures = {name: run.measure(name, parameters) for name, parameters in asked.items()}
        ordered = run.force() if universal else None
    audio_s = sum(len(played.pcm) for played in every) / RATE
    report = TurnReport(speech_model, len(english), audio_s, CHUNK_MS, machine, figures, ordered)
    typer.echo(table(report))
    _write(report, markdown_file, section, json_file)
    missed = list(Limits(max_excess_ms, max_force_ms, max_first_partial_ms).missed(report))
    for line in missed:
        typer.echo(f"missed: {line}", err=True)
    if missed:
        raise typer.Exit(1)


def _programmes(clips: Sequence[Clip], clips_per_session: int) -> list[Programme]:
    made = programmes(clips, clips_per_session=clips_per_session, seed=1)
    return [replace(programme, gap_s=GAP_S) for programme in made]


def _write(report: TurnReport, markdown_file: Path | None, section: str, json_file: Path | None) -> None:
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(report), indent=1) + "\n")
    if markdown_file is not None:
        document = markdown_file.read_text() if markdown_file.exists() else ""
        name = f"{section} {report.speech_model}"
        body = markdown(report, f"How turns end: `{report.speech_model}`")
        markdown_file.write_text(with_section(document, name, body))


if __name__ == "__main__":
    app()
