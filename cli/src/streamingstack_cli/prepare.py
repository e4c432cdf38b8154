"""Everything that must be there before the first process starts: checked, fetched, written."""

import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import streaming_asr
from filelock import FileLock, Timeout
from license_token.development import development_license
from license_token.errors import LicenseError
from rich.console import Console
from stack_model.api import StackError, StreamingStack, load_stack
from stack_model.catalogue import CatalogueError, gateway_models
from stack_model.local import Ports, PortsError, local_ports
from stack_model.nginx_routes import dump_routes, local_routes
from streaming_asr.triton.launch import TritonFiles, TritonMissingError, find_triton, prepare_backends

from streamingstack_cli.api_key import local_key, write_private
from streamingstack_cli.errors import CommandError
from streamingstack_cli.inherited import inherited
from streamingstack_cli.layout import Layout, State, TlsFiles
from streamingstack_cli.model_progress import expected_folder, hearing_folder, pull_all
from streamingstack_cli.processes import LOOPBACK, Process, child_file, child_path, local_processes, reachable
from streamingstack_cli.supervisor_config import render_supervisor
from streamingstack_cli.taken_ports import require_free

SUPERVISORD = "supervisord"


@dataclass(frozen=True)
class Wishes:
    """What the command line says about a local run."""

    stack_file: Path
    state: Path | None = None
    port: int | None = None
    port_offset: int = 0
    host: str = LOOPBACK
    tls: TlsFiles | None = None


@dataclass(frozen=True)
class LocalStack:
    """A local stack that is ready to be started."""

    stack: StreamingStack
    layout: Layout
    processes: tuple[Process, ...]
    api_key: str

    @property
    def url(self) -> str:
        """Where clients connect."""
        scheme = "wss" if self.layout.tls else "ws"
        return f"{scheme}://{reachable(self.layout.host)}:{self.layout.ports.gateway}"

    @property
    def socket(self) -> Path:
        """supervisord's socket."""
        return self.layout.state.socket(Path(tempfile.gettempdir()))


def tls_files(certificate: Path | None, key: Path | None) -> TlsFiles | None:
    """The files of --tls-cert and --tls-key, as absolute paths. Raises CommandError with status 2."""
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise CommandError("--tls-cert and --tls-key: give both, or neither", 2)
    for option, file in (("--tls-cert", certificate), ("--tls-key", key)):
        if not file.is_file():
            raise CommandError(f"{option} {file}: no such file", 2)
    return TlsFiles(certificate.absolute(), key.absolute())


def read_stack(path: Path) -> StreamingStack:
    """The StreamingStack of a file; raises CommandError with status 2 naming file, field and reason."""
    try:
        stack = load_stack(path)
        gateway_models(stack)
    except StackError as refused:
        raise CommandError(str(refused), 2) from None
    except CatalogueError as refused:
        raise CommandError(f"{path}: spec.models: {refused}", 2) from None
    return stack


def ports_of(stack: StreamingStack, wishes: Wishes) -> Ports:
    """The ports of a local run; raises CommandError."""
    try:
        return local_ports(stack, wishes.port_offset, wishes.port)
    except PortsError as refused:
        raise CommandError(str(refused), 2) from None


def state_of(stack: StreamingStack, wishes: Wishes) -> State:
    """Where the run keeps its files."""
    return State((wishes.state or Path(".state") / stack.metadata.name).absolute())


def model_repository() -> Path:
    """Triton's model repository, beside the recogniser's sources. Raises CommandError."""
    found = Path(streaming_asr.__file__).parents[2] / "model_repository"
    if not found.is_dir():
        raise CommandError(f"{found} is missing: a local run needs the sources of services/asr")
    return found


@contextlib.contextmanager
def claimed(state: State) -> Iterator[None]:
    """Only one stack runs from a folder; raises CommandError where one does."""
    try:
        state.run.mkdir(parents=True, exist_ok=True)
        lock = FileLock(state.run / "lock")
        lock.acquire(timeout=0)
    except Timeout:
        raise CommandError(f"a stack runs from {state.root} already; stop it, or choose another --state") from None
    except OSError as failure:
        raise CommandError(f"{state.root}: {failure.strerror}; choose another --state") from None
    with lock:
        yield


def prepare(wishes: Wishes, console: Console) -> LocalStack:
    """Check, fetch and write everything; raises CommandError naming what is missing and the remedy."""
    stack = read_stack(wishes.stack_file)
    ports, state = ports_of(stack, wishes), state_of(stack, wishes)
    triton = _triton()
    _require_nginx()
    require_free(ports.named([model.name for model in stack.spec.models]), wishes.host)
    folders = pull_all(stack.spec.models, console)
    try:
        layout = _written(stack, wishes, state, ports, triton, folders)
        local = LocalStack(stack, layout, tuple(local_processes(stack, layout)), local_key(state))
        write_processes(local)
    except OSError as failure:
        raise CommandError(f"{failure.filename or state.root}: {failure.strerror}; choose another --state") from None
    except LicenseError as refused:
        raise CommandError(f"cannot issue a development licence: {refused}") from None
    return local


def _written(
    stack: StreamingStack,
    wishes: Wishes,
    state: State,
    ports: Ports,
    triton: TritonFiles,
    folders: dict[str, Path],
) -> Layout:
    for folder in (state.logs, state.run, state.routes.parent, state.root / "gateway", state.root / "license-proxy"):
        folder.mkdir(parents=True, exist_ok=True)
    license_files = development_license(state.root, stack.metadata.name)
    routes = local_routes(stack, first_port=ports.models[0].recognizer)
    state.routes.write_text(dump_routes(routes))
    return Layout(
        state=state,
        ports=ports,
        host=wishes.host,
        python=sys.executable,
        model_repository=model_repository(),
        backends=prepare_backends(triton, state.root / "triton"),
        triton=triton,
        models=folders,
        hearing=folders[""],
        license=license_files.license_path,
        public_keys=license_files.jwks_path,
        inherited=inherited(os.environ),
        tls=wishes.tls,
    )


def write_processes(local: LocalStack) -> None:
    """What supervisord and its children are started from; the last run's logs are set aside."""
    layout, state = local.layout, local.layout.state
    config = state.run / "supervisord.conf"
    config.write_text(render_supervisor(local.processes, layout, local.socket, root=os.geteuid() == 0))
    supervisord = {
        "argv": [layout.python, "-m", "supervisor.supervisord", "-c", str(config)],
        "environment": {},
        "directory": str(state.root),
    }
    write_private(state.run / f"{SUPERVISORD}.json", json.dumps(supervisord))
    local.socket.unlink(missing_ok=True)
    for process in local.processes:
        write_private(child_path(process.name, layout), json.dumps(child_file(process, layout), indent=1))
    for name in [SUPERVISORD, *(process.name for process in local.processes)]:
        _set_aside(state.log(name))


def _set_aside(log: Path) -> None:
    """The last run's log keeps its own name: this run's says nothing of the past."""
    if log.exists():
        log.replace(log.with_name(f"{log.stem}.previous.log"))


def planned(wishes: Wishes) -> LocalStack:
    """What would run, with nothing fetched, written or started; raises CommandError."""
    stack = read_stack(wishes.stack_file)
    state, triton = state_of(stack, wishes), _triton()
    layout = Layout(
        state=state,
        ports=ports_of(stack, wishes),
        host=wishes.host,
        python=sys.executable,
        model_repository=model_repository(),
        backends=state.root / "triton" / "backends",
        triton=triton,
        models={model.name: expected_folder(model) for model in stack.spec.models},
        hearing=hearing_folder(),
        license=state.root / "license" / "license.jwt",
        public_keys=state.root / "license" / "public-keys.json",
        inherited=inherited(os.environ),
        tls=wishes.tls,
    )
    return LocalStack(stack, layout, tuple(local_processes(stack, layout)), "")


def _triton() -> TritonFiles:
    try:
        return find_triton()
    except TritonMissingError as missing:
        raise CommandError(str(missing)) from None


def _require_nginx(which: Callable[..., str | None] = shutil.which) -> None:
    program = os.environ.get("NGINX", "nginx")
    if which(program) is None and which(program, path="/usr/sbin:/usr/local/sbin") is None:
        raise CommandError(
            f"{program} is not installed: run make setup, or install it "
            "(apt-get install nginx-light, dnf install nginx, apk add nginx), or set NGINX to its path"
        )
