"""The commands that ask a cluster, as the terminal has them."""

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from streamingstack_cli.cluster.reach import Look, Reach
from streamingstack_cli.errors import one_line

# What asks a cluster is imported by the command that does: the others start without it.

Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Namespace of the stack.", show_default="the context's")
]
Context = Annotated[str | None, typer.Option(help="Context of the kubeconfig.", show_default="the current one")]
Kubeconfig = Annotated[
    Path | None, typer.Option(help="The cluster's kubeconfig.", show_default="KUBECONFIG, else ~/.kube/config")
]


@dataclass(frozen=True)
class AccessOptions:
    """What `transcribe --stack` was told."""

    stack: str
    url: str | None
    api_key: str | None
    namespace: str | None
    context: str | None
    kubeconfig: Path | None


def access_options(options: AccessOptions) -> tuple[str, str]:
    """URL and key of a stack of the cluster. Raises CommandError."""
    from streamingstack_cli.cluster.access import access_to

    reach = Reach(options.kubeconfig, options.context, options.namespace)
    found = asyncio.run(access_to(reach, options.stack, options.url, options.api_key))
    return found.url, found.api_key


def status_command(
    stack: Annotated[str | None, typer.Argument(help="One stack.", show_default="all of the namespace")] = None,
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Stacks of every namespace.")] = False,
    watching: Annotated[bool, typer.Option("--watch", "-w", help="Again and again, until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(help="Seconds between two looks.", min=0.5)] = 2.0,
    as_json: Annotated[bool, typer.Option("--json", help="The objects as JSON, for programs.")] = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show stacks of a cluster: conditions with remedies, pods, sessions and capacity.

    Counts come from the pods themselves where the cluster lets them be asked, else from the operator's last look.
    """
    from streamingstack_cli.cluster.status import show, show_json, watch

    reach, look, console = Reach(kubeconfig, context, namespace), Look(stack, everywhere), Console()
    with one_line(), contextlib.suppress(KeyboardInterrupt):
        if watching:
            asyncio.run(watch(reach, look, console, every))
        else:
            asyncio.run((show_json if as_json else show)(reach, look, console))


def doctor_command(
    stack: Annotated[str | None, typer.Argument(help="The stack.", show_default="the namespace's only one")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="A stack in YAML that is not applied yet.")] = None,
    bundle: Annotated[Path | None, typer.Option(help="Write an archive for support, such as bundle.tar.gz.")] = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Say what would stop or weaken a stack on this cluster, each with the remedy.

    It only reads. Exit status 1 where something stops the stack. The bundle has no Secrets, transcripts or keys in it.
    """
    from streamingstack_cli.doctor.command import doctor

    with one_line():
        reach = Reach(kubeconfig, context, namespace)
        if not asyncio.run(doctor(reach, stack, file, bundle, Console(soft_wrap=True))):
            raise typer.Exit(1)
