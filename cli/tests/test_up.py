"""`streamingstack up` and `run` with the real parts: Triton, nginx, recogniser, gateway, licence proxy."""

import contextlib
import os
import queue
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from stack_model.api import load_stack
from stack_model.local import local_ports
from streamingstack_cli.errors import CommandError
from streamingstack_cli.processes import LOOPBACK
from streamingstack_cli.taken_ports import require_free

from .conftest import EXAMPLES, ROOT

MINIMAL = EXAMPLES / "minimal.yaml"
AUDIO = EXAMPLES / "audio" / "en_libri_1688-142285-0002.wav"
COMMAND = [sys.executable, "-m", "streamingstack_cli.main"]
# A cold cache fetches a model first.
START_SECONDS = 240.0


def free_offset() -> int:
    """An offset at which every port of the minimal stack is free."""
    stack = load_stack(MINIMAL)
    for _ in range(100):
        offset = random.randrange(1000, 10_000, 100)
        with contextlib.suppress(CommandError):
            require_free(local_ports(stack, offset).named(["en-default"]), LOOPBACK)
            return offset
    raise AssertionError("no free ports")


@dataclass
class Up:
    """A running `streamingstack up`."""

    process: "subprocess.Popen[str]"
    state: Path
    lines: list[str] = field(default_factory=list)
    _queue: "queue.Queue[str | None]" = field(default_factory=queue.Queue)

    @property
    def text(self) -> str:
        return "".join(self.lines)

    @property
    def children(self) -> list[psutil.Process]:
        """Every process below the command."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def child(self, name: str) -> psutil.Process:
        """The process whose command line holds `name`."""
        found = [child for child in self.children if any(name in word for word in child.cmdline())]
        return min(found, key=lambda child: child.pid)

    def until(self, pattern: str, seconds: float) -> str:
        """Wait for a line; what it matched."""
        deadline = time.monotonic() + seconds
        while not (match := re.search(pattern, self.text)):
            try:
                line = self._queue.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {pattern!r} within {seconds} s in:\n{self.text}") from None
            assert line is not None, f"it ended without {pattern!r}:\n{self.text}"
            self.lines.append(line)
        return match[1] if match.groups() else match[0]

    def ended(self, seconds: float = 60) -> int:
        """Wait for its end; its exit status."""
        status = self.process.wait(seconds)
        while (line := self._queue.get(timeout=10)) is not None:
            self.lines.append(line)
        return status

    def pump(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._queue.put(line)
        self._queue.put(None)


@contextlib.contextmanager
def started(state: Path, *arguments: str) -> Iterator[Up]:
    """The command in a session of its own; it is killed where the test leaves it running."""
    process = subprocess.Popen(
        [*COMMAND, "up", str(MINIMAL), "--state", str(state), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    up = Up(process, state)
    threading.Thread(target=up.pump, daemon=True).start()
    children: list[psutil.Process] = []
    try:
        yield up
    finally:
        if process.poll() is None:
            children = up.children
            process.kill()
            process.wait()
        _, left = psutil.wait_procs(children, timeout=30)
        assert not left


def transcribed(up: Up, speed: str) -> str:
    url, key = up.until(r"URL\s+(\S+)", 1), up.until(r"API key\s+(\S+)", 1)
    arguments = ["transcribe", str(AUDIO), "--url", url, "--api-key", key, "--speed", speed]
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.stack
@pytest.mark.timeout(600)
def test_a_stack_hears_survives_triton_and_leaves_nothing_after_ctrl_c(tmp_path: Path) -> None:
    offset = free_offset()
    with started(tmp_path / "state", "--port-offset", str(offset)) as up:
        up.until("Ctrl-C stops everything", START_SECONDS)
        assert "aai.StreamingClient" in up.text
        assert str(tmp_path / "state" / "logs") in up.text

        triton = up.child("tritonserver")
        triton.kill()
        up.until(r"triton-en-default ended \(killed by SIGKILL\); it was started again", 60)
        deadline = time.monotonic() + 90
        heard = ""
        while not heard and time.monotonic() < deadline:
            with contextlib.suppress(AssertionError):
                heard = transcribed(up, speed="2")
        assert re.search(r"\[00:0\d\.\d\] \w+", heard)
        assert re.search(r"\d+ words in", heard)

        children = up.children
        assert len(children) >= 7
        up.process.send_signal(signal.SIGINT)
        assert up.ended() == 0
        _, left = psutil.wait_procs(children, timeout=10)
        assert not left
        require_free(local_ports(load_stack(MINIMAL), offset).named(["en-default"]), LOOPBACK)


@pytest.mark.stack
@pytest.mark.timeout(600)
def test_a_child_that_dies_ends_the_stack_with_one_line_and_takes_its_own_children_along(tmp_path: Path) -> None:
    # The one with children of its own: nginx. That every process but Triton ends the run is a rule of test_processes.
    name = "load-balancer"
    with started(tmp_path / "state", "--port-offset", str(free_offset())) as up:
        up.until("Ctrl-C stops everything", START_SECONDS)
        children = up.children
        assert up.child("nginx") in children
        up.child("load_balancer").kill()
        assert up.ended() == 1
        assert f"streamingstack: {name} ended (killed by SIGKILL): " in up.lines[-1]
        assert str(tmp_path / "state" / "logs" / f"{name}.log") in up.lines[-1]
        _, left = psutil.wait_procs(children, timeout=10)
        assert not left


@pytest.mark.stack
@pytest.mark.timeout(600)
def test_a_killed_command_leaves_nothing_either(tmp_path: Path) -> None:
    with started(tmp_path / "state", "--port-offset", str(free_offset())) as up:
        up.until("Ctrl-C stops everything", START_SECONDS)
        children = up.children
        up.process.kill()
        up.process.wait()
        _, left = psutil.wait_procs(children, timeout=60)
        assert not left


@pytest.mark.stack
@pytest.mark.timeout(600)
def test_ctrl_c_while_it_starts_stops_what_there_is(tmp_path: Path) -> None:
    with started(tmp_path / "state", "--port-offset", str(free_offset())) as up:
        up.until("Starting", START_SECONDS)
        time.sleep(0.5)
        children = up.children
        up.process.send_signal(signal.SIGTERM)
        assert up.ended() == 0
        _, left = psutil.wait_procs(children, timeout=10)
        assert not left


@pytest.mark.stack
@pytest.mark.timeout(600)
def test_make_run_asks_for_a_model_and_a_recording_and_stops_everything(tmp_path: Path) -> None:
    stack, offset = tmp_path / "stack.yaml", free_offset()
    name, recording = f"run-{os.getpid()}", EXAMPLES / "audio" / "fr_fleurs_000.wav"
    described, named = re.subn(r"name: universal\b", f"name: {name}", (EXAMPLES / "universal.yaml").read_text())
    assert named == 1
    stack.write_text(described)
    wishes = {"STACK": stack, "AUDIO": recording, "MODEL": "universal-streaming-multilingual", "PORT_OFFSET": offset}
    told = [f"{variable}={value}" for variable, value in wishes.items()]
    state = ROOT / ".state" / name
    run = subprocess.Popen(
        ["make", "run", *told], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    )
    try:
        out, err = run.communicate(timeout=400)
        assert run.returncode == 0, err
        assert re.search(r"\[00:\d\d\.\d\] .*terrain montagneux", out), out
        assert re.search(r"\d+ words in \d+\.\d s of audio; lag p50 \d+\.\d+ s, p95 \d", out), out
        assert out.rstrip().endswith("Stopping")
        assert processes_that_name(str(state)) == []
        require_free(local_ports(load_stack(stack), offset).named(["en-default", "ml-default"]), LOOPBACK)
    finally:
        shutil.rmtree(state, ignore_errors=True)


def processes_that_name(folder: str) -> list[list[str]]:
    """Command lines of what runs from a stack's folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if folder in " ".join([*process.cmdline(), *process.environ().values()]):
                found.append(process.cmdline())
    return found


def failing(*arguments: str, environment: dict[str, str] | None = None) -> str:
    """The one line of a command that fails with status 1."""
    done = subprocess.run(
        [*COMMAND, "up", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = str(taken.getsockname()[1])
        line = failing(str(MINIMAL), "--state", str(tmp_path), "--port", port, "--port-offset", str(free_offset()))
    assert line.startswith(f"streamingstack: port {port} (gateway) is taken by ")
    assert f"(process {os.getpid()})" in line


def test_a_missing_model_is_named_before_anything_starts(tmp_path: Path) -> None:
    stack = tmp_path / "stack.yaml"
    described, named = re.subn(r"source: \S+", "source: file:///no/such/model", MINIMAL.read_text())
    assert named == 1
    stack.write_text(described)
    line = failing(str(stack), "--state", str(tmp_path / "state"), "--port-offset", str(free_offset()))
    assert line.startswith("streamingstack: cannot get the models: /no/such/model: no such folder")


def test_a_missing_nginx_is_named_with_the_remedy(tmp_path: Path) -> None:
    line = failing(str(MINIMAL), "--state", str(tmp_path), environment={"NGINX": "nginx-that-is-not-there"})
    assert line.startswith("streamingstack: nginx-that-is-not-there is not installed: run make setup")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = failing(str(MINIMAL), "--state", str(tmp_path / "file" / "state"))
    assert "choose another --state" in line


def test_the_makefile_explains_every_target() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    explained = re.findall(r"^  make ([\w-]+) +\w", done.stdout, re.M)
    phony = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.M)
    assert phony is not None
    assert set(explained) == set(phony[1].split())
