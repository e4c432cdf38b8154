"""A Kubernetes cluster for end-to-end tests: CLUSTER=local (this machine alone), kind, or current (your KUBECONFIG)."""

import signal
import sys
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from e2e_cluster import api_server, binaries, doors, local, local_door, network, preflight, teardown
from e2e_cluster.errors import ClusterError
from e2e_cluster.plan import ClusterPlan, plan

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)


class Kind(StrEnum):
    """Which cluster."""

    local = "local"
    kind = "kind"
    current = "current"


Cluster = Annotated[Kind, typer.Option("--cluster", envvar="CLUSTER", help="Which cluster.")]
Name = Annotated[str, typer.Option("--name", envvar="CLUSTER_NAME", help="The local cluster's name.")]
Nodes = Annotated[int, typer.Option("--nodes", min=1, max=4, help="Nodes of the local cluster.")]


def say(line: str) -> None:
    """One line to the terminal, at once."""
    typer.echo(line)


@app.callback()
def _main() -> None:
    # A terminated command tidies up as an interrupted one does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@app.command()
def up(cluster: Cluster = Kind.local, name: Name = "local", nodes: Nodes = 2) -> None:
    """Raise the cluster, or repair what is missing of it; CALICO_DIR names the policy engine's folder."""
    if cluster is Kind.local:
        local.up(_plan(name, nodes), say, preflight.calico_folder())
    else:
        doors.other(cluster).up(say)
    say(f"export KUBECONFIG={doors.door(cluster, _plan(name, nodes), say).kubeconfig}")


@app.command()
def check(cluster: Cluster = Kind.local, name: Name = "local") -> None:
    """Whether the cluster can be raised here: status 1 and one line why where it cannot."""
    if cluster is Kind.local:
        preflight.check_permissions()
        binaries.go()
        local.check(_plan(name), say)
    else:
        doors.other(cluster).check()


@app.command()
def build(
    name: Name = "local",
    api_only: Annotated[
        bool, typer.Option("--api-only", help="Only what `api` and tests with an API server need.")
    ] = False,
) -> None:
    """Build what is missing of the local cluster's programs and images (minutes, the first time); raise nothing."""
    if api_only:
        api_server.prepare(say)
    else:
        local.build(_plan(name), say)


@app.command()
def down(cluster: Cluster = Kind.local, name: Name = "local") -> None:
    """Take the cluster down; nothing of it is left but logs and caches."""
    if cluster is Kind.local:
        local.down(_plan(name), say)
    else:
        doors.other(cluster).down(say)


@app.command()
def status(cluster: Cluster = Kind.local, name: Name = "local") -> None:
    """What runs, and where kubeconfig and logs are."""
    if cluster is Kind.local:
        for line in local_door.status(_plan(name)):
            say(line)
    else:
        say(doors.door(cluster, _plan(name), say).to_json())


@app.command()
def load(archives: list[Path], cluster: Cluster = Kind.local, name: Name = "local") -> None:
    """Bring image archives (OCI or docker) to the nodes; what is there already is skipped."""
    doors.door(cluster, _plan(name), say).load(archives)


@app.command()
def door(cluster: Cluster = Kind.local, name: Name = "local") -> None:
    """What end-to-end tests see of the cluster, as JSON."""
    say(doors.door(cluster, _plan(name), say).to_json())


@app.command()
def cut(node: str, name: Name = "local") -> None:
    """Cut a node of the local cluster off the network."""
    network.cut(_plan(name).node(node))


@app.command()
def restore(node: str, name: Name = "local") -> None:
    """Give a node its network back."""
    network.restore(_plan(name).node(node))


@app.command()
def remains(name: Name = "local") -> None:
    """What of the local cluster is on this machine: nothing after `down`."""
    for line in teardown.remains(_plan(name)):
        say(line)


@app.command()
def api(
    folder: Annotated[Path | None, typer.Option(help="Data, keys, kubeconfig and logs; else a temporary one.")] = None,
    controllers: Annotated[bool, typer.Option(help="Garbage collection, autoscalers and the like too.")] = False,
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


def _plan(name: str, nodes: int = 2) -> ClusterPlan:
    try:
        return plan(name, nodes=nodes)
    except ValueError as error:
        raise ClusterError(str(error)) from error


def main() -> None:
    """Run a command; what is wrong is one line."""
    try:
        app()
    except ClusterError as error:
        typer.echo(f"cluster: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
