"""`python -m e2e_cluster`: a Kubernetes cluster for end-to-end tests."""

import signal
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from e2e_cluster import api_server
from e2e_cluster.errors import ClusterError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)


def say(line: str) -> None:
    """One line to the terminal, at once."""
    typer.echo(line)


@app.callback()
def _main() -> None:
    # A terminated command tidies up as an interrupted one does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@app.command()
def api(
    folder: Annotated[
        Path | None, typer.Option(help="Data, keys, kubeconfig and logs; a temporary one by default.")
    ] = None,
    controllers: Annotated[
        bool, typer.Option(help="The controller manager too: garbage collection, autoscalers.")
    ] = False,
    users: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """A real API server alone (etcd, kube-apiserver) on loopback ports, until Ctrl-C."""
    try:
        if folder is not None:
            api_server.serve(folder.absolute(), controllers=controllers, users=users, say=say)
            return
        with tempfile.TemporaryDirectory(prefix="api-server-") as temporary:
            api_server.serve(Path(temporary), controllers=controllers, users=users, say=say)
    except KeyboardInterrupt:
        say("ended")


def main() -> None:
    """Run a command; what is wrong is one line."""
    try:
        app()
    except ClusterError as error:
        typer.echo(f"cluster: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
