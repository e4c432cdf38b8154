"""The `streamingstack` command."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from streamingstack_cli.errors import CommandError
from streamingstack_cli.license import license_app
from streamingstack_cli.prepare import Wishes
from streamingstack_cli.processes import LOOPBACK

app = typer.Typer(
    name="streamingstack",
    help="Real-time speech-to-text on your own machines.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(license_app)

StackFile = Annotated[Path, typer.Argument(help="A StreamingStack in YAML.", show_default=True)]
StateDir = Annotated[Path | None, typer.Option("--state", help="Where it keeps its files.", show_default=".state/NAME")]
Port = Annotated[int | None, typer.Option(help="The gateway's port.", show_default="8080")]
Offset = Annotated[int, typer.Option("--port-offset", help="Shift every port: a second stack beside the first.")]
Host = Annotated[str, typer.Option(help="Address the gateway listens on; 0.0.0.0 for everybody.")]
DEFAULT_STACK = Path("examples/universal.yaml")


@contextlib.contextmanager
def one_line() -> Iterator[None]:
    """Turn a CommandError into its line and its exit status."""
    try:
        yield
    except CommandError as failure:
        sys.stderr.write(f"streamingstack: {failure}\n")
        raise typer.Exit(failure.status) from None


@app.command()
def up(
    stack: StackFile = DEFAULT_STACK,
    state: StateDir = None,
    port: Port = None,
    port_offset: Offset = 0,
    host: Host = LOOPBACK,
) -> None:
    """Run a whole stack as local processes until Ctrl-C.

    Fetches the models, issues a development licence, makes an API key, then starts the licence proxy, Triton,
    the recognisers, nginx and the gateway, and says how to use them.
    """
    from streamingstack_cli.up import up as run_up

    with one_line():
        run_up(Wishes(stack, state, port, port_offset, host), Console())


def main() -> None:
    """The entry point."""
    app()
