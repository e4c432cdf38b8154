"""How a local `tritonserver` from the `nvidia-pytriton` wheel is started, for whoever manages processes."""

import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

_STUB = "triton_python_backend_stub"


class TritonMissingError(RuntimeError):
    """There is no Triton on this machine; the text says how to get it."""


@dataclass(frozen=True, slots=True)
class TritonFiles:
    """Where the wheel put Triton: `server` is its tree, `libraries` what it links, `external` what it brings too."""

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
    """One server to start: its model repository, ports, a folder of its own for state, and its models' environment."""

    model_repository: Path
    state: Path
    http_port: int
    grpc_port: int
    metrics_port: int
    host: str = "127.0.0.1"
    models: tuple[str, ...] = ("whisper", "smart_turn")
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Command:
    """What to execute: arguments and the whole environment."""

    argv: tuple[str, ...]
    environment: dict[str, str]


def find_triton() -> TritonFiles:
    """The Triton of this Python's `nvidia-pytriton`; raises TritonMissingError."""
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
        f"--http-address={plan.host}",
        f"--http-port={plan.http_port}",
        f"--grpc-address={plan.host}",
        f"--grpc-port={plan.grpc_port}",
        f"--metrics-address={plan.host}",
        f"--metrics-port={plan.metrics_port}",
        "--log-verbose=0",
        "--disable-auto-complete-config",
        "--exit-on-error=true",
        "--exit-timeout-secs=5",
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
