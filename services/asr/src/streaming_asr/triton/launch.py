"""How a `tritonserver` is started: the one of the `nvidia-pytriton` wheel, or an installed one."""

import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

_STUB = "triton_python_backend_stub"
# What HTTP answers to everybody where it can be reached from outside: all other protocols of Triton need a secret.
_GUARDED = "inference,model-config,model-repository,shared-memory,statistics,trace,logging"


class TritonMissingError(RuntimeError):
    """There is no Triton on this machine; the text says how to get it."""


@dataclass(frozen=True, slots=True)
class TritonFiles:
    """Where Triton is: `server` is its tree, `libraries` what it links, `external` what it brings too."""

    server: Path
    libraries: Path
    external: Path
    stub: Path

    @property
    def executable(self) -> Path:
        """The server itself."""
        return self.server / "bin" / "tritonserver"


@dataclass(frozen=True, slots=True)
class TritonPlan:
    """One server to start: its model repository, ports, a folder of its own for state, and its models' environment.

    `host` is where inference is served. `open_host`, where set, is where health and metrics are: HTTP then answers
    nothing else without the header `triton-access` with the value `http_secret`.
    """

    model_repository: Path
    state: Path
    http_port: int
    grpc_port: int
    metrics_port: int
    host: str = "127.0.0.1"
    models: tuple[str, ...] = ("whisper", "smart_turn")
    environment: Mapping[str, str] = field(default_factory=dict)
    open_host: str | None = None
    http_secret: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """What to execute: arguments and the whole environment."""

    argv: tuple[str, ...]
    environment: dict[str, str]


def find_triton(root: Path | None = None) -> TritonFiles:
    """The Triton of this Python's `nvidia-pytriton`, or the one installed in `root`; raises TritonMissingError."""
    if root is not None:
        return _installed(root)
    found = find_spec("pytriton")  # found, not imported: its launcher is not used and its dependencies not installed
    if found is None or not found.submodule_search_locations:
        raise TritonMissingError("Triton is not installed; install the extra streaming-asr[triton-cpu] (Linux only)")
    package = Path(next(iter(found.submodule_search_locations)))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = package / "tritonserver" / "python_backend_stubs" / version / _STUB
    if not stub.is_file():
        raise TritonMissingError(f"this Triton has no Python backend for Python {version}; use 3.11, 3.12 or 3.13")
    return TritonFiles(
        server=package / "tritonserver",
        libraries=package.parent / "nvidia_pytriton.libs",
        external=package / "external_libs",
        stub=stub,
    )


def _installed(root: Path) -> TritonFiles:
    stub = root / "backends" / "python" / _STUB
    if not stub.is_file():
        raise TritonMissingError(f"{root} holds no Triton with a Python backend; {stub} is missing")
    return TritonFiles(server=root, libraries=root / "lib", external=root / "lib", stub=stub)


def prepare_backends(files: TritonFiles, state: Path) -> Path:
    """A backend folder under `state` with the Python backend and this Python's stub; links only. Returns it."""
    backend = state / "backends" / "python"
    backend.mkdir(parents=True, exist_ok=True)
    sources = [*(files.server / "backends" / "python").iterdir(), files.stub]
    for source in sources:
        link = backend / source.name
        if link.is_symlink() or link.exists():
            link.unlink()
        link.symlink_to(source)
    return backend.parent


def triton_command(plan: TritonPlan, files: TritonFiles, backends: Path, inherited: Mapping[str, str]) -> Command:
    """Arguments and environment of the server; pure. `inherited` is the environment it grows from."""
    argv = (
        str(files.executable),
        f"--model-repository={plan.model_repository}",
        f"--backend-directory={backends}",
        "--model-control-mode=explicit",
        *(f"--load-model={model}" for model in plan.models),
        "--strict-readiness=true",
        f"--http-address={plan.open_host or plan.host}",
        f"--http-port={plan.http_port}",
        f"--grpc-address={plan.host}",
        f"--grpc-port={plan.grpc_port}",
        f"--metrics-address={plan.open_host or plan.host}",
        f"--metrics-port={plan.metrics_port}",
        "--log-verbose=0",
        "--disable-auto-complete-config",
        "--exit-on-error=true",
        "--exit-timeout-secs=5",
        *([f"--http-restricted-api={_GUARDED}:triton-access={plan.http_secret}"] if plan.open_host else []),
    )
    libraries = [files.libraries, sysconfig.get_config_var("LIBDIR"), files.external, inherited.get("LD_LIBRARY_PATH")]
    environment = {
        **inherited,
        **plan.environment,
        "LD_LIBRARY_PATH": ":".join(str(path) for path in libraries if path),
        "PATH": f"{Path(sys.prefix) / 'bin'}:{inherited.get('PATH', '/usr/bin:/bin')}",
        "OMP_NUM_THREADS": "1",  # the models bring their own workers
    }
    return Command(argv, environment)


def local_triton(plan: TritonPlan, inherited: Mapping[str, str]) -> Command:
    """Everything at once: find Triton, prepare its backends under `plan.state`, and give the command."""
    files = find_triton()
    return triton_command(plan, files, prepare_backends(files, plan.state), inherited)
