"""Memory and processor time are those of a process and all its descendants, whatever comes and goes."""

import asyncio
import subprocess
import sys
import time

import psutil
import pytest
from streamingstack_bench.stack_processes import (
    Meter,
    NoStackError,
    measuring,
    part_name,
    pss_bytes,
    supervisor_process,
)

MEGABYTE = 1_000_000


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["/usr/sbin/nginx", "-c", "x"], "nginx"),
        (["nginx: worker process"], "nginx"),
        (["/venv/bin/python", "-m", "streaming_gateway"], "streaming_gateway"),
        (["/venv/bin/python3.11", "-u", "/venv/bin/supervisord", "-n"], "supervisord"),
        (["/opt/tritonserver", "--http-port", "1"], "tritonserver"),
        (["python"], "python"),
        ([], "unknown"),
    ],
)
def test_a_process_is_named_by_the_part_it_is(argv, name):
    assert part_name(argv) == name


def test_a_process_that_is_gone_has_no_memory():
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert pss_bytes(gone.pid) is None
    with pytest.raises(NoStackError, match=f"no process {gone.pid}"):
        supervisor_process(gone.pid)


@pytest.fixture
def family():
    """A parent with a child that holds 60 MB and works."""
    child = "import time; held = b'x' * 60_000_000\nwhile True: sum(range(20000)); time.sleep(0.001)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    process = subprocess.Popen([sys.executable, "-c", parent])
    yield psutil.Process(process.pid)
    for one in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
        one.kill()
    process.wait()


async def test_children_are_counted_and_others_are_not(family):
    held = b"y" * 80_000_000  # in this process, which is no descendant
    deadline = time.monotonic() + 30
    while sum(pss_bytes(one.pid) or 0 for one in family.children(recursive=True)) < 60 * MEGABYTE:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    async with measuring(family, every_s=0.2) as measured:
        await asyncio.sleep(1.5)
    cost = measured.cost
    assert cost is not None
    assert 60 * MEGABYTE <= cost.pss_mean <= cost.pss_peak <= 60 * MEGABYTE + 50 * MEGABYTE
    assert 0.01 < cost.cpu_s <= cost.span_s * 1.5
    assert sum(part.processes for part in cost.parts.values()) == 2
    assert cost.others_cores >= 0
    assert len(held) == 80_000_000


async def test_a_process_that_ends_meanwhile_keeps_its_processor_time():
    work = "import time\nend = time.process_time() + 0.4\nwhile time.process_time() < end: pass"
    run = f"subprocess.run([sys.executable, '-c', {work!r}])"
    parent = f"import subprocess, sys, time; time.sleep(0.5); {run}; time.sleep(30)"
    process = subprocess.Popen([sys.executable, "-c", parent])
    try:
        async with measuring(psutil.Process(process.pid), every_s=0.05) as measured:
            deadline = time.monotonic() + 30
            root = psutil.Process(process.pid)
            while not root.children():
                assert time.monotonic() < deadline
                await asyncio.sleep(0.02)
            while root.children():
                assert time.monotonic() < deadline
                await asyncio.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    assert measured.cost is not None
    assert measured.cost.cpu_s >= 0.25


async def test_without_a_stack_only_the_tools_own_time_is_known():
    async with measuring(None) as measured:
        sum(range(100_000))
    assert measured.cost is None
    assert measured.tool_cpu_s >= 0


def test_a_stack_that_was_never_seen_is_an_error():
    gone = subprocess.Popen(["sleep", "30"])
    meter = Meter(psutil.Process(gone.pid))
    gone.kill()
    gone.wait()
    meter.sample()
    with pytest.raises(NoStackError, match="gone when it was to be measured"):
        meter.cost(1.0)
