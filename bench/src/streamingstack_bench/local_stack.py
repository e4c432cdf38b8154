"""A stack of this machine for the time of a run: `streamingstack up` as a child, stopped at the end.

It ends with this process, however that ends: the command's own `child.py` sees to that.
"""

import collections
import contextlib
import json
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.console import Console

START_SECONDS = 900.0  # the first time, models are fetched
STOP_SECONDS = 60.0
_URL = re.compile(r"^\s+URL\s+(\S+)$")
_KEY = re.compile(r"^\s+API key\s+(\S+)$")


class LocalStackError(RuntimeError):
    """The stack did not start; the text is what it said last."""


@dataclass(frozen=True)
class LocalStack:
    """A stack that serves; `root` is the process below which all of it runs."""

    url: str
    api_key: str
    root: psutil.Process


@contextlib.contextmanager
def local_stack(
    stack: Path, console: Console, *, port_offset: int = 0, state: Path | None = None
) -> Iterator[LocalStack]:
    """Start `stack` and stop it on the way out; its progress goes to `console`. Raises LocalStackError.

    To be called from the main thread, whose end ends the stack.
    """
    command = [str(Path(sys.executable).with_name("streamingstack")), "up", str(stack)]
    command += ["--port-offset", str(port_offset)] if port_offset else []
    command += ["--state", str(state)] if state else []
    process = _started(command)
    with contextlib.suppress(ValueError):  # only a main thread takes signals
        signal.signal(signal.SIGTERM, _leave)
    try:
        url, key = _ready(process, console)
        yield LocalStack(url, key, psutil.Process(process.pid))
    finally:
        _stop(process)


def _started(command: list[str]) -> subprocess.Popen[str]:
    """`command` as a child that gets SIGTERM when this process is gone."""
    argv = [sys.executable, "-I", "-m", "streamingstack_cli.child", "/dev/stdin"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True)
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it ended already, and says why
        json.dump({"argv": command, "environment": {}, "directory": str(Path.cwd())}, process.stdin)
        process.stdin.close()
    return process


def _ready(process: subprocess.Popen[str], console: Console) -> tuple[str, str]:
    """URL and key, as soon as they are printed; later output is read and dropped."""
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_pump, args=(process, lines), daemon=True).start()
    last: collections.deque[str] = collections.deque(maxlen=3)
    url, deadline = None, time.monotonic() + START_SECONDS
    while True:
        try:
            line = lines.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise LocalStackError(f"--up: the stack was not ready after {START_SECONDS:.0f} s") from None
        if line is None:
            raise LocalStackError(f"--up: the stack ended: {' '.join(last) or 'it said nothing'}")
        if found := _URL.match(line):
            url = found[1]
        elif (found := _KEY.match(line)) and url is not None:
            return url, found[1]
        elif line.strip():
            last.append(line.strip())
            console.print(line, highlight=False, markup=False)


def _leave(_number: int, _frame: object) -> None:
    """SIGTERM ends this process by an exception, so that the stack is stopped on the way out."""
    raise SystemExit(143)


def _pump(process: subprocess.Popen[str], lines: "queue.Queue[str | None]") -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line.rstrip("\n"))
    lines.put(None)


def _stop(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
