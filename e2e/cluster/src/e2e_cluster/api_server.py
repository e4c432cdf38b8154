"""A real API server alone: etcd and kube-apiserver on loopback ports, for tests of CRDs and of operators.

No nodes and no scheduler. `controllers=True` adds the controller manager: garbage collection, namespaces, autoscalers.
"""

import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

import psutil

from e2e_cluster import binaries, installation
from e2e_cluster.control_plane import ControlPlane
from e2e_cluster.errors import ClusterError
from e2e_cluster.kubernetes_api import KubernetesApi
from e2e_cluster.programs import Program

_READY_SECONDS = 90
_STOP_SECONDS = 10
_STORE_BYTES = 1 << 30


@dataclass(frozen=True)
class ApiServer:
    """A running API server: `kubeconfig` is its administrator's, `folder` holds its data, keys and `NAME.log` files."""

    kubeconfig: Path
    url: str
    folder: Path


@contextmanager
def start_api(folder: Path, *, controllers: bool = False, say: binaries.Say = print) -> Iterator[ApiServer]:
    """Run an API server as long as the context lasts; `folder` is made, its data lost at the end.

    The processes end with the caller, however it ends. ClusterError where one ends early or is not ready in time.
    """
    installation.install_packages(say, {"etcd": installation.PACKAGES["etcd"]})
    folder.mkdir(parents=True, exist_ok=True)
    programs = [binaries.API_SERVER, *([binaries.CONTROLLER_MANAGER] if controllers else [])]
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="etcd-", dir=_memory())))
        plane = _plane(folder, data, binaries.folder(programs, say))
        plane.prepare()
        running = [stack.enter_context(_running(plane.etcd(), folder))]
        running.append(stack.enter_context(_running(plane.api_server(), folder)))
        api = KubernetesApi(plane.kubeconfig)
        _await_ready(api, running, folder)
        if controllers:
            stack.enter_context(_running(plane.controller_manager(), folder))
        yield ApiServer(plane.kubeconfig, plane.url, folder)


def prepare(say: binaries.Say) -> None:
    """Have all that `start_api` needs: etcd installed, programs built. Raises ClusterError with the remedy."""
    installation.install_packages(say, {"etcd": installation.PACKAGES["etcd"]})
    binaries.build((binaries.API_SERVER, binaries.CONTROLLER_MANAGER), say)


def _memory() -> Path | None:
    """A folder in memory with room for a store, None without one: a busy disk makes each write take 100 ms."""
    shared = Path("/dev/shm")
    return shared if shared.is_dir() and shutil.disk_usage(shared).free > _STORE_BYTES else None


def _plane(folder: Path, data: Path, programs: Path) -> ControlPlane:
    api, etcd, peer, controller_manager = _free_ports(4)
    return ControlPlane(
        folder=folder,
        address=IPv4Address("127.0.0.1"),
        api_port=api,
        etcd_port=etcd,
        etcd_peer_port=peer,
        controller_manager_port=controller_manager,
        services="198.19.0.0/16",
        binaries=programs,
        data=data,
        # No pods run: what it is to reach is an ExternalName.
        routed=False,
    )


def _free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextmanager
def _running(program: Program, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / f"{program.name}.log").open("ab") as log:
        # A test run that is killed leaves no server behind.
        argv = ("setpriv", "--pdeathsig", "KILL", "--", *program.argv)
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_ready(api: KubernetesApi, running: list[subprocess.Popen[bytes]], folder: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not api.ready():
        ended = [process for process in running if process.poll() is not None]
        if ended or time.monotonic() > deadline:
            what = "ended" if ended else f"is not ready after {_READY_SECONDS} s"
            last = (folder / "kube-apiserver.log").read_text(errors="replace")[-500:]
            raise ClusterError(f"the API server {what}; see the logs in {folder}: {last}")
        time.sleep(0.1)


def serve(folder: Path, *, controllers: bool, users: Path | None, say: binaries.Say) -> None:
    """Run an API server until interrupted; with `users`, until no process named by a file in that folder lives.

    `folder/ready.json` (kubeconfig and url) is there exactly while it is ready.
    """
    ready = folder / "ready.json"
    with start_api(folder, controllers=controllers, say=say) as server, ExitStack() as stack:
        stack.callback(ready.unlink, missing_ok=True)
        fresh = ready.with_suffix(".new")
        fresh.write_text(json.dumps({"kubeconfig": str(server.kubeconfig), "url": server.url}))
        fresh.rename(ready)
        say(f"export KUBECONFIG={server.kubeconfig}")
        say(f"ready at {server.url}; logs in {folder}; Ctrl-C ends it")
        while users is None or _any_alive(users):
            time.sleep(1)


def _any_alive(users: Path) -> bool:
    return any(psutil.pid_exists(int(file.name)) for file in users.iterdir())
