"""What supervisord's processes are started by: real processes, and what is left when they end."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import streamingstack_cli.child

# A parent with a child that heeds no polite signal, as a Python model of Triton that waits for a dead one's lock.
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {STUBBORN!r}], check=False)"


@contextmanager
def family(tmp_path: Path, *, sweeps: bool) -> Iterator[tuple["subprocess.Popen[str]", psutil.Process]]:
    """The process and its stubborn child."""
    told = {"argv": [sys.executable, "-c", PARENT], "environment": {}, "directory": str(tmp_path), "sweeps": sweeps}
    (tmp_path / "child.json").write_text(json.dumps(told))
    argv = [sys.executable, "-I", streamingstack_cli.child.__file__, str(tmp_path / "child.json")]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    children: list[psutil.Process] = []
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        children = psutil.Process(process.pid).children()
        [stubborn] = [child for child in children if STUBBORN in child.cmdline()]
        yield process, stubborn
    finally:
        process.kill()
        process.wait()
        for child in children:
            if child.is_running():
                child.kill()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_its_children_end_with_one_that_sweeps_however_it_ends(tmp_path: Path, how: signal.Signals) -> None:
    with family(tmp_path, sweeps=True) as (process, stubborn):
        everyone = psutil.Process(process.pid).children()
        process.send_signal(how)
        assert process.wait() == -how
        _, left = psutil.wait_procs(everyone, timeout=10)
        assert not left
        assert not stubborn.is_running()


def test_who_watches_holds_no_pipe_of_the_one_that_ended(tmp_path: Path) -> None:
    with family(tmp_path, sweeps=True) as (process, _):
        process.kill()
        assert process.stdout is not None
        assert process.stdout.read() == ""


def test_without_that_a_child_stays(tmp_path: Path) -> None:
    with family(tmp_path, sweeps=False) as (process, stubborn):
        process.terminate()
        process.wait()
        time.sleep(0.5)
        assert stubborn.is_running()
