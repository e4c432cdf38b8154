"""The command behind `make chaos`."""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from built_images import built_images, references
from e2e_cluster.door import Door
from e2e_cluster.doors import door as door_of
from e2e_cluster.errors import ClusterError
from e2e_cluster.plan import plan as cluster_plan
from listener import resolving
from rich.console import Console
from scripted_stack import Running
from streamingstack_bench.clips import ClipError
from streamingstack_bench.machine import this_machine
from streamingstack_bench.report import with_section

from e2e_chaos import material
from e2e_chaos.actions import Actions
from e2e_chaos.gateway_kill import kill_a_gateway
from e2e_chaos.parts import Layout
from e2e_chaos.picture import draw
from e2e_chaos.plan import FIRST_S, LAST_S, plan
from e2e_chaos.records import Outcome
from e2e_chaos.report import GatewayKill, Report, Side, gateway_failures, markdown
from e2e_chaos.run import Crowd, run
from e2e_chaos.stack import raised
from e2e_chaos.usage import metered
from e2e_chaos.verdict import Verdict, compare, judge_all, word_error_rate

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)
console = Console(stderr=True, highlight=False)
_KILL_SECONDS, _KILL_AFTER, _KILL_SESSIONS = 60.0, 5.0, 20

Seed = Annotated[int, typer.Option(envvar="CHAOS_SEED", min=0, help="What is drawn from it is the same each time.")]
Sessions = Annotated[int, typer.Option(envvar="CHAOS_SESSIONS", min=1, max=500, help="Scripted sessions at once.")]
Seconds = Annotated[
    float, typer.Option(envvar="CHAOS_SECONDS", min=FIRST_S + LAST_S, max=3600, help="Length of either run.")
]


@app.command("plan")
def show(seconds: Seconds = 600, seed: Seed = 1) -> None:
    """Say what would go wrong when, and do nothing."""
    for trouble in plan(seed, seconds):
        held = f" for {trouble.hold_s:.0f} s" if trouble.hold_s else ""
        typer.echo(f"{trouble.at_s:6.1f} s  {trouble.part}: {trouble.kind}{held}")


@app.command("run")
def chaos(
    seconds: Seconds = 600,
    seed: Seed = 1,
    sessions: Sessions = 100,
    speech: Annotated[int, typer.Option(envvar="CHAOS_SPEECH", min=1, help="Sessions of real speech beside.")] = 2,
    audio: Annotated[Path, typer.Option(envvar="STREAMINGSTACK_AUDIO")] = Path("examples/audio"),
    document: Annotated[Path, typer.Option("--markdown", help="Where the section `chaos` is written.")] = Path(
        "docs/chaos.md"
    ),
    picture: Annotated[Path, typer.Option(help="Where the plot is written, beside it.")] = Path("docs/chaos.png"),
) -> None:
    """A calm run, the same with troubles, then a gateway's kill; the report. Status 1 where a promise was broken."""
    troubles = plan(seed, seconds)
    spoken, said = material.real(speech, seconds, audio)
    crowd = Crowd(material.scripted(sessions, seconds), spoken)
    with _stack(sessions) as (door, running, layout):
        machine = this_machine()
        _say(f"{sessions} scripted sessions and {speech} of real speech, {seconds:.0f} s calm")
        calm = run(running, crowd, None, [], _say)
        _say(f"calm: {_side(calm, crowd, said).scripted}")
        running.settle()
        _say(f"the same with {len(troubles)} troubles of seed {seed}")
        actions = Actions(running, layout, time.monotonic, _say)
        stormy = run(running, crowd, actions, troubles, _say)
        usage = metered(running, [*stormy.scripted, *stormy.speech])
        report = Report(
            machine=machine,
            seed=seed,
            seconds=seconds,
            calm=_side(calm, crowd, said),
            chaos=_side(stormy, crowd, said),
            difference=sum((compare(a, b) for a, b in zip(stormy.speech, calm.speech, strict=True)), Verdict()),
            made=actions.made,
            skipped=actions.skipped,
            usage=usage,
            gateway=None,
        )
        _write(report, document, picture)  # now: what follows may fail
        running.settle()
        report = replace(report, gateway=_gateway(running, door, min(sessions, _KILL_SESSIONS)))
    typer.echo(_write(report, document, picture))
    _leave(report.failures)


@app.command("gateway")
def gateway(sessions: Sessions = _KILL_SESSIONS) -> None:
    """Only the gateway's kill."""
    with _stack(sessions) as (door, running, _):
        kill = _gateway(running, door, sessions)
    away = sorted(client.away_s for client in kill.clients if client.broke_off)
    typer.echo(f"{len(away)} of {sessions} sessions broke off; Begin again after {away} s; {kill.usage}")
    _leave(gateway_failures(kill))


def _side(outcome: Outcome, crowd: Crowd, said: list[str]) -> Side:
    judged = judge_all(outcome.scripted, material.SAID, crowd.scripted[0].seconds)
    errors = [word_error_rate(heard, text) for heard, text in zip(outcome.speech, said, strict=True)]
    return Side(outcome, judged, errors)


def _gateway(running: Running, door: Door, sessions: int) -> GatewayKill:
    _say(f"a gateway is killed under {sessions} sessions")
    clients = kill_a_gateway(running, door, material.scripted(sessions, _KILL_SECONDS), _KILL_AFTER)
    whole = [client.sessions[0] for client in clients if not client.broke_off]
    seconds = material.scripted(1, _KILL_SECONDS)[0].seconds
    every = [heard for client in clients for heard in client.sessions]
    return GatewayKill(clients, judge_all(whole, material.SAID, seconds), metered(running, every))


@contextmanager
def _stack(sessions: int) -> Iterator[tuple[Door, Running, Layout]]:
    door = door_of(os.environ.get("CLUSTER", "local"), cluster_plan(os.environ.get("CLUSTER_NAME", "local")), _say)
    if door.cluster != "local":
        raise ClusterError(f"CLUSTER={door.cluster}: only a local cluster's containers can be killed and frozen")
    archives = built_images()
    door.load(list(archives.values()))
    _say("raising a stack")
    with (
        tempfile.TemporaryDirectory() as folder,
        resolving(door.domain, door.ingress_address, str(door.ca_file)),
        raised(door, references(archives), Path(folder), sessions) as (running, layout),
    ):
        yield door, running, layout


def _write(report: Report, document: Path, picture: Path) -> str:
    draw(report.calm.outcome, report.chaos.outcome, report.made, picture)
    text = markdown(report, picture.name)
    document.write_text(with_section(document.read_text() if document.exists() else "", "chaos", text))
    return text


def _leave(failures: list[str]) -> None:
    for failure in failures:
        typer.echo(f"chaos: {failure}", err=True)
    if failures:
        raise typer.Exit(1)


def _say(line: str) -> None:
    console.print(f"chaos: {line}", markup=False, soft_wrap=True)


def main() -> None:
    """Run a command; what is wrong is one line."""
    try:
        app()
    except (ClusterError, ClipError, AssertionError) as error:
        typer.echo(f"chaos: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
