"""One whole local stack with every model for all of these tests: real Triton, real nginx, real speech."""

import contextlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from running_stack import AUDIO, STACK, LocalStack, free_offset
from spoken_words import triples, words

READY_SECONDS = 400


@pytest.fixture(scope="session")
def local_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """Every model, started once; afterwards nothing of it may be left."""
    with running(STACK, tmp_path_factory.mktemp("stack")) as stack:
        stack.started.update(stack.parts())
        yield stack


@pytest.fixture(scope="module")
def sync_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """English with a sync API."""
    with running(STACK.with_name("sync.yaml"), tmp_path_factory.mktemp("sync-stack")) as stack:
        yield stack


@contextlib.contextmanager
def running(file: Path, state: Path) -> Iterator[LocalStack]:
    """The stack of `file`, ready; it ends without a trace, and none of its logs holds anything spoken."""
    offset = free_offset()
    command = [str(Path(sys.executable).with_name("streamingstack")), "up", str(file), "--state", str(state)]
    log = state.with_suffix(".log")
    with log.open("w") as out:
        process = subprocess.Popen(
            [*command, "--port-offset", str(offset)], stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
    deadline = time.monotonic() + READY_SECONDS
    while not re.search(r"^Ready", log.read_text(), re.M):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.3)
    stack = LocalStack(psutil.Process(process.pid), state, offset)
    family = stack.up.children(recursive=True)
    yield stack
    process.terminate()
    assert process.wait(60) == 0, log.read_text()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive, [p.cmdline() for p in alive]
    written = words("".join(log.read_text(errors="replace") for log in stack.logs.iterdir()))
    assert written
    assert not triples(written) & spoken_triples()


def spoken_triples() -> set[tuple[str, str, str]]:
    """Every three words in a row that some recording says."""
    manifest = (AUDIO / "manifest.jsonl").read_text().splitlines()
    found = [triples(words(json.loads(line)["reference"])) for line in manifest]
    assert all(found)
    return set().union(*found)
