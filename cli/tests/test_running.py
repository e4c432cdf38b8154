"""Processes under a real supervisord: readiness, deaths, restarts, and that nothing is left."""

import asyncio
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from rich.console import Console
from stack_model.api import load_stack
from streamingstack_cli.errors import CommandError
from streamingstack_cli.inherited import inherited
from streamingstack_cli.prepare import LocalStack, claimed, write_processes
from streamingstack_cli.processes import LOOPBACK, Probe, Process, Readiness
from streamingstack_cli.readiness import until_ready
from streamingstack_cli.running import first_of, running
from streamingstack_cli.supervisord import cause_of_death, last_error

from .conftest import EXAMPLES, layout_of

SERVE = """
import sys
from http.server import HTTPServer, SimpleHTTPRequestHandler
HTTPServer(("127.0.0.1", int(sys.argv[1])), SimpleHTTPRequestHandler).serve_forever()
"""
TRITON_ERROR = 'E1123 12:00:00.1 123 server.cc:1] "failed to load"'


def serving(name: str, port: int, *, restarts: bool = False) -> Process:
    argv = (sys.executable, "-c", SERVE, str(port))
    readiness = Readiness(Probe.HTTP, f"http://{LOOPBACK}:{port}/")
    return Process(name, argv, dict(os.environ), readiness, startup_seconds=60, restarts=restarts)


def dying(name: str, code: str) -> Process:
    readiness = Readiness(Probe.HTTP, f"http://{LOOPBACK}:9/")
    return Process(name, (sys.executable, "-c", code), dict(os.environ), readiness, startup_seconds=60)


def stack_of(state: Path, *processes: Process) -> LocalStack:
    file = EXAMPLES / "minimal.yaml"
    layout = replace(layout_of(file, state), python=sys.executable, inherited=inherited(os.environ))
    local = LocalStack(load_stack(file), layout, processes, "key")
    for folder in (layout.state.logs, layout.state.run):
        folder.mkdir(parents=True, exist_ok=True)
    write_processes(local)
    return local


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """After the test no process that it started is there; other files' fixtures may have theirs in this worker."""
    before = set(psutil.Process().children(recursive=True))
    yield
    deadline = time.monotonic() + 20
    while (left := set(psutil.Process().children(recursive=True)) - before) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left


def pid_of(port: int) -> int:
    found = [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [])[-1:] == [str(port)] and SERVE in process.info["cmdline"]
    ]
    assert len(found) == 1
    return found[0]


@pytest.mark.usefixtures("nothing_left")
async def test_what_is_started_is_ready_inside_and_gone_outside(tmp_path: Path, free_port: int) -> None:
    said = io.StringIO()
    async with running(stack_of(tmp_path, serving("web", free_port)), Console(file=said, width=200)):
        assert psutil.pid_exists(pid := pid_of(free_port))
    assert not psutil.pid_exists(pid)
    assert "web" in said.getvalue()
    assert "ready after" in said.getvalue()


@pytest.mark.usefixtures("nothing_left")
async def test_a_process_that_dies_at_the_start_is_named_with_status_log_and_error(
    tmp_path: Path, free_port: int
) -> None:
    code = 'import sys; print(\'{"event": "fine", "level": "info"}\'); sys.exit(\'the model folder cannot be read\')'
    local = stack_of(tmp_path, serving("web", free_port), dying("gateway", code))
    with pytest.raises(CommandError) as refused:
        async with running(local, Console(quiet=True)):
            pytest.fail("it must not be ready")
    text = str(refused.value)
    assert text.startswith("gateway ended (exit status 1")
    assert "the model folder cannot be read" in text
    assert text.endswith(f"see {tmp_path}/logs/gateway.log")


@pytest.mark.usefixtures("nothing_left")
async def test_settings_of_the_callers_shell_reach_no_process(
    tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("API_KEYS_FILE", "max_sessions", "AAI_ASR_ENDPOINT", "LOGGING_LEVEL", "NGINX", "A_NAME_OF_NOBODY"):
        monkeypatch.setenv(name, "/of/the/shell")
    told = tmp_path / "told.json"
    web = serving("web", free_port)
    tell = f"import json, os; json.dump(dict(os.environ), open({str(told)!r}, 'w'))\n"
    web = replace(web, argv=(sys.executable, "-c", tell + SERVE, str(free_port)), environment={"MAX_SESSIONS": "7"})
    async with running(stack_of(tmp_path, web), Console(quiet=True)):
        environment = json.loads(told.read_text())
    theirs = {name: value for name, value in environment.items() if value == "/of/the/shell"}
    assert sorted(theirs) == ["A_NAME_OF_NOBODY", "LOGGING_LEVEL", "NGINX"]
    assert environment["MAX_SESSIONS"] == "7"


@pytest.mark.usefixtures("nothing_left")
async def test_a_process_killed_later_ends_the_run(tmp_path: Path, free_port: int) -> None:
    async with running(stack_of(tmp_path, serving("web", free_port)), Console(quiet=True)) as stack:
        os.kill(pid_of(free_port), signal.SIGKILL)
        with pytest.raises(CommandError, match=r"web ended \(killed by SIGKILL\)"):
            await asyncio.wait_for(stack.watch(started=True), 30)


@pytest.mark.usefixtures("nothing_left")
async def test_a_process_that_restarts_is_back_and_its_death_is_told(tmp_path: Path, free_port: int) -> None:
    said = io.StringIO()
    local = stack_of(tmp_path, serving("triton", free_port, restarts=True))
    async with running(local, Console(file=said, width=200)) as stack:
        before = pid_of(free_port)
        watching = asyncio.create_task(stack.watch(started=True))
        await asyncio.sleep(1)
        os.kill(before, signal.SIGKILL)
        async with asyncio.timeout(30):
            while "started again" not in said.getvalue():
                await asyncio.sleep(0.1)
            await until_ready(local.processes[0].readiness)
        assert pid_of(free_port) != before
        assert not watching.done()
        watching.cancel()
    assert "triton ended (killed by SIGKILL); it was started again" in said.getvalue()


@pytest.mark.usefixtures("nothing_left")
async def test_a_process_that_is_never_ready_ends_the_run_after_its_time(tmp_path: Path) -> None:
    slow = replace(dying("gateway", "import time; time.sleep(600)"), startup_seconds=1)
    with pytest.raises(CommandError, match="gateway is not ready after 1 s"):
        async with running(stack_of(tmp_path, slow), Console(quiet=True)):
            pytest.fail("it must not be ready")


RUN = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from cli.tests.test_running import serving, stack_of
from rich.console import Console
from streamingstack_cli.running import running

async def main():
    async with running(stack_of(Path(sys.argv[2]), serving("web", int(sys.argv[3]))), Console(quiet=True)):
        print("ready", flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


def test_a_killed_command_takes_everything_with_it(tmp_path: Path, free_port: int) -> None:
    arguments = [str(EXAMPLES.parent), str(tmp_path), str(free_port)]
    process = subprocess.Popen([sys.executable, "-c", RUN, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) == 2
    process.kill()
    process.wait()
    _, left = psutil.wait_procs(children, timeout=30)
    assert not left


def test_only_one_stack_runs_from_a_folder(tmp_path: Path) -> None:
    state = layout_of(EXAMPLES / "minimal.yaml", tmp_path).state
    with (
        claimed(state),
        pytest.raises(CommandError, match="already; stop it, or choose another --state"),
        claimed(state),
    ):
        pytest.fail("two at once")
    with claimed(state):
        pass


def test_a_log_of_the_last_run_is_set_aside(tmp_path: Path) -> None:
    log = layout_of(EXAMPLES / "minimal.yaml", tmp_path).state.log("gateway")
    log.parent.mkdir()
    log.write_text("old")
    stack_of(tmp_path, dying("gateway", ""))
    assert not log.exists()
    assert log.with_name("gateway.previous.log").read_text() == "old"


def test_what_children_are_started_from_is_private(tmp_path: Path) -> None:
    stack_of(tmp_path, dying("gateway", ""))
    file = tmp_path / "run/gateway.json"
    assert file.stat().st_mode & 0o077 == 0
    assert set(json.loads(file.read_text())) == {"argv", "environment", "directory", "sweeps"}


async def test_the_first_failure_is_raised_and_the_rest_cancelled() -> None:
    ended = asyncio.Event()

    async def forever() -> None:
        try:
            await asyncio.sleep(600)
        finally:
            ended.set()

    async def broken() -> None:
        await asyncio.sleep(0)
        raise CommandError("broken")

    with pytest.raises(CommandError, match="broken"):
        await first_of(forever(), broken())
    assert ended.is_set()
    with contextlib.suppress(asyncio.CancelledError):
        await first_of(asyncio.sleep(0), forever())


@pytest.mark.parametrize(
    ("line", "how"),
    [
        ("INFO exited: gateway (exit status 3; not expected)", "exit status 3"),
        ("WARN exited: gateway (terminated by SIGKILL; not expected)", "killed by SIGKILL"),
        ("INFO exited: other (exit status 3; not expected)", "ended"),
    ],
)
def test_how_a_process_ended_is_read_from_supervisords_log(line: str, how: str) -> None:
    assert cause_of_death(f"INFO spawned: 'gateway'\n{line}\n", "gateway") == how


@pytest.mark.parametrize(
    ("log", "line"),
    [
        ("", ""),
        ("starting\nstill starting\n", "still starting"),
        (
            '{"event": "cannot start", "reason": "port taken", "level": "error"}\n{"event": "bye", "level": "info"}\n',
            "cannot start; reason: port taken",
        ),
        (
            '{"event": "a task failed", "level": "error", "kind": "KeyError", "place": "app.py:7"}\n',
            "a task failed; kind: KeyError; place: app.py:7",
        ),
        ("Traceback (most recent call last):\n  File\nValueError: no such route\n", "ValueError: no such route"),
        (f"{TRITON_ERROR}\nI1123 bye\n", TRITON_ERROR),
        (
            "environment variable ROUTE: Field required (got {})\n",
            "environment variable ROUTE: Field required (got {})",
        ),
    ],
)
def test_the_last_error_of_a_log_is_the_line_that_tells_why(log: str, line: str) -> None:
    assert last_error(log) == line
