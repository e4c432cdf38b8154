"""pytest fixtures: a real API server. Use with `pytest_plugins = ["e2e_cluster.testing"]`.

Workers of pytest-xdist share one server. `E2E_API_SERVER=KUBECONFIG` takes one that runs already, of
`python -m e2e_cluster api`, which saves six seconds a run. Tests share it: each makes namespaces and names of its own.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from e2e_cluster.api_server import ApiServer, start_api
from e2e_cluster.errors import ClusterError

# A cold cache builds kube-apiserver first.
_START_SECONDS = 1200


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A real API server without controllers: nothing collects garbage, a deleted namespace never ends."""
    yield from _server(tmp_path_factory, controllers=False)


@pytest.fixture(scope="session")
def api_server_with_controllers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A real API server with the controller manager: garbage collection, namespaces, HPA conditions; no pods run."""
    yield from _server(tmp_path_factory, controllers=True)


def _server(factory: pytest.TempPathFactory, *, controllers: bool) -> Iterator[ApiServer]:
    given = os.environ.get("E2E_API_SERVER")
    name = "api-with-controllers" if controllers else "api"
    if given:
        yield ApiServer(Path(given), "", Path(given).parent)
    elif "PYTEST_XDIST_WORKER" in os.environ:
        yield _shared(factory.getbasetemp().parent / name, controllers=controllers)
    else:
        with start_api(factory.mktemp(name), controllers=controllers) as server:
            yield server


def _shared(folder: Path, *, controllers: bool) -> ApiServer:
    """The server of all workers of one run; it ends by itself after the last of them."""
    users = folder / "users"
    users.mkdir(parents=True, exist_ok=True)
    (users / str(os.getpid())).touch()
    ready = folder / "ready.json"
    with FileLock(folder / "lock"):
        if not ready.exists():
            _spawn(folder, users, controllers=controllers)
    found = json.loads(ready.read_text())
    return ApiServer(Path(found["kubeconfig"]), found["url"], folder)


def _spawn(folder: Path, users: Path, *, controllers: bool) -> None:
    argv = [sys.executable, "-m", "e2e_cluster", "api", f"--folder={folder}", f"--users={users}"]
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [*argv, *(["--controllers"] if controllers else [])],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + _START_SECONDS
    while not (folder / "ready.json").exists():
        if process.poll() is not None or time.monotonic() > deadline:
            last = (folder / "server.log").read_text(errors="replace")[-800:]
            raise ClusterError(f"the API server of the tests did not start; see {folder}: {last}")
        time.sleep(0.1)
