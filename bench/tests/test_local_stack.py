"""The load tool runs a stack itself, measures it and leaves nothing behind."""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from rich.console import Console
from streamingstack_bench.local_stack import LocalStackError, local_stack

ROOT = Path(__file__).parents[2]
PARTS = 7  # the command, its supervisord, and five parts of the smallest stack


def free_offset() -> int:
    """A shift of ports whose gateway and balancer are free just now."""
    for offset in range(4100, 12000, 137):
        with socket.socket() as gateway, socket.socket() as balancer:
            if not any(
                one.connect_ex(("127.0.0.1", p + offset)) == 0 for one, p in ((gateway, 8080), (balancer, 50050))
            ):
                return offset
    raise AssertionError("no free ports")


def test_a_stack_that_cannot_start_says_why(tmp_path):
    console = Console(quiet=True)
    with (
        pytest.raises(LocalStackError, match=r"the stack ended: .*none\.yaml"),
        local_stack(tmp_path / "none.yaml", console, state=tmp_path / "state"),
    ):
        raise AssertionError("it did not start")


@pytest.mark.stack
def test_a_load_tool_that_is_killed_leaves_no_stack_behind(tmp_path):
    state = str(tmp_path / "state")
    command = [
        *(sys.executable, "-m", "streamingstack_bench.command", "--up", str(ROOT / "examples/minimal.yaml")),
        *("--audio", str(ROOT / "examples/audio"), "--port-offset", str(free_offset()), "--state", state),
    ]
    bench = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    tool, deadline = psutil.Process(bench.pid), time.monotonic() + 120
    try:
        while len(family := tool.children(recursive=True)) < PARTS:
            assert bench.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
    finally:
        bench.kill()
        bench.wait()
    assert psutil.wait_procs(family, timeout=60)[1] == []


@pytest.mark.stack
def test_a_whole_stack_is_run_measured_and_stopped(tmp_path):
    command = [
        *(sys.executable, "-m", "streamingstack_bench.command", "--up", str(ROOT / "examples/minimal.yaml")),
        *("--audio", str(ROOT / "examples/audio"), "--clips", "1", "--sessions", "1"),
        *("--port-offset", str(free_offset()), "--state", str(tmp_path / "state")),
        *(
            "--json",
            str(tmp_path / "out.json"),
            "--markdown",
            str(tmp_path / "out.md"),
            "--plot",
            str(tmp_path / "o.png"),
        ),
        *("--require-whole", "--max-pss", "1.2"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    [report] = json.loads((tmp_path / "out.json").read_text())
    [row] = report["rows"]
    assert row["completed"] == 1
    assert row["wer_to_offline"] is not None
    assert row["cost"]["cpu_s"] > 0.1
    assert {"streaming_gateway", "streaming_asr", "tritonserver", "nginx"} <= row["cost"]["parts"].keys()
    assert "WER of streamed to offline text" in (tmp_path / "out.md").read_text()
    state = str(tmp_path / "state")
    assert not [
        p.pid for p in psutil.process_iter(["cmdline"]) if any(state in word for word in p.info["cmdline"] or [])
    ]


@pytest.mark.stack
def test_real_speech_goes_on_where_its_recogniser_is_killed_frozen_and_drained(tmp_path):
    command = [
        *(sys.executable, "-m", "streamingstack_bench.cuts", "--up", str(ROOT / "examples/minimal.yaml")),
        *("--audio", str(ROOT / "examples/audio"), "--cuts", "3", "--json", str(tmp_path / "out.json")),
        *("--port-offset", str(free_offset()), "--state", str(tmp_path / "state")),
        # What was not final yet may be heard otherwise by a real model, a word here or there.
        *("--most", "2"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["missed"] == []
    assert {outcome["cut"]["blow"] for outcome in report["outcomes"]} == {"SIGKILL", "SIGSTOP", "drain"}
    assert all(outcome["gap_s"] is not None for outcome in report["outcomes"])
    assert {clip["fate"] for clip in report["compared"]} == {"completed"}
