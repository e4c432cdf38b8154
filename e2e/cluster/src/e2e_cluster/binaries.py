"""Go programs of the cluster: built from modules, kept by content outside the work tree.

A program's key is the hash of its module's own files, its flags and the version of Go, so that an unchanged program is
never built twice and a changed one never taken for another.
"""

import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from e2e_cluster.errors import ClusterError
from e2e_cluster.plan import KUBERNETES, cache_folder

GO_MODULES = Path(__file__).parents[2] / "go"
# From this one on Go fetches the toolchain that a module asks for.
_GO_NEEDED = (1, 21)
_SOURCES = ("go.mod", "go.sum", "**/*.go")
Say = Callable[[str], None]


@dataclass(frozen=True)
class GoProgram:
    """A program of a Go module: the module's folder (with go.mod and go.sum) and the package to build."""

    name: str
    module: Path
    package: str = "."
    ldflags: str = "-s -w"


def _kubernetes_ldflags() -> str:
    major, minor, _ = KUBERNETES.split(".")
    version = {"gitVersion": f"v{KUBERNETES}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    # Without these every client would see v0.0.0-master.
    return " ".join(("-s -w", *(f"-X k8s.io/component-base/version.{name}={value}" for name, value in version.items())))


def _kubernetes(name: str) -> GoProgram:
    return GoProgram(name, GO_MODULES / "kubernetes", f"k8s.io/kubernetes/cmd/{name}", _kubernetes_ldflags())


API_SERVER = _kubernetes("kube-apiserver")
CONTROLLER_MANAGER = _kubernetes("kube-controller-manager")
KUBERNETES_PROGRAMS = (
    API_SERVER,
    CONTROLLER_MANAGER,
    _kubernetes("kube-scheduler"),
    _kubernetes("kubelet"),
    _kubernetes("kube-proxy"),
)
# In one module with the addons: they share a Kubernetes client, which is compiled once.
COREDNS = GoProgram("coredns", GO_MODULES / "addons", "./coredns")
PAUSE = GoProgram("pause", GO_MODULES / "pause")


def go() -> str:
    """The Go command; ClusterError where there is none or it is too old."""
    command = os.environ.get("GO") or shutil.which("go") or "/usr/local/go/bin/go"
    needed = ".".join(map(str, _GO_NEEDED))
    remedy = f"install Go {needed} or newer (https://go.dev/dl, or golang-go of a recent Debian), or name it in GO"
    try:
        said = subprocess.run([command, "env", "GOVERSION"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise ClusterError(f"Go is missing: Kubernetes is built from its modules; {remedy}") from error
    version = re.match(r"go(\d+)\.(\d+)", said)
    if version is None or (int(version[1]), int(version[2])) < _GO_NEEDED:
        raise ClusterError(f"{command} is {said.strip() or 'of an unknown version'}, too old; {remedy}")
    return command


def build(programs: Sequence[GoProgram], say: Say) -> dict[str, Path]:
    """Paths of the programs by name; what is missing is built, one line each. ClusterError where a build fails."""
    command = go()
    version = subprocess.run([command, "env", "GOVERSION"], capture_output=True, text=True, check=True).stdout.strip()
    return {program.name: _built(program, command, version, say) for program in programs}


def folder(programs: Sequence[GoProgram], say: Say) -> Path:
    """One folder with links to all the programs."""
    paths = build(programs, say)
    key = hashlib.sha256("\n".join(map(str, sorted(paths.values()))).encode()).hexdigest()[:16]
    together = cache_folder() / "folders" / key
    together.mkdir(parents=True, exist_ok=True)
    for name, path in paths.items():
        link = together / name
        if not link.is_symlink():
            link.symlink_to(path)
    return together


def module_folder(module: Path, path: str) -> Path:
    """The folder of a required module in Go's module cache, fetched when missing; ClusterError where that fails."""
    done = subprocess.run([go(), "mod", "download", path], cwd=module, capture_output=True, text=True, check=False)
    found = subprocess.run(
        [go(), "list", "-m", "-f", "{{.Dir}}", path], cwd=module, capture_output=True, text=True, check=False
    )
    if done.returncode or not found.stdout.strip():
        raise ClusterError(
            f"Go module {path} could not be fetched; check GOPROXY: {(done.stderr or found.stderr)[-300:]}"
        )
    return Path(found.stdout.strip())


def content_key(program: GoProgram, go_version: str) -> str:
    """What decides whether a built program is still the same; OSError for a module that is not there."""
    digest = hashlib.sha256()
    files = sorted({file for pattern in _SOURCES for file in program.module.glob(pattern)})
    if not any(file.name == "go.mod" for file in files):
        raise FileNotFoundError(f"{program.module / 'go.mod'} is missing")
    for file in files:
        digest.update(f"{file.name} {file.stat().st_size}\n".encode())
        digest.update(file.read_bytes())
    digest.update("\n".join((program.package, program.ldflags, go_version)).encode())
    return digest.hexdigest()[:16]


def _built(program: GoProgram, command: str, go_version: str, say: Say) -> Path:
    path = cache_folder() / "binaries" / f"{program.name}-{content_key(program, go_version)}" / program.name
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.parent / "lock"):
        if not path.exists():
            _go_build(program, command, path, say)
    return path


def _go_build(program: GoProgram, command: str, path: Path, say: Say) -> None:
    began = time.monotonic()
    fresh = path.with_suffix(".new")
    argv = ("nice", command, "build", "-trimpath", "-ldflags", program.ldflags, "-o", str(fresh), program.package)
    done = subprocess.run(
        argv,
        cwd=program.module,
        env={"GOTOOLCHAIN": "auto", **os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ClusterError(f"{program.name} could not be built (network? GOPROXY?): {done.stderr.strip()[-800:]}")
    fresh.rename(path)
    say(f"built {program.name}  {time.monotonic() - began:.0f} s")
