"""A real gateway, as a process of its own, before a scripted recogniser; and servers that misbehave."""

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import soundfile
from model_store import default_cache, pull
from stack_model.hearing import HEARING_FILES
from streamingstack_bench.clips import RATE, Clip
from streamingstack_bench.scripted import Script
from streamingstack_bench.session import Target
from websockets.asyncio.server import ServerConnection, serve

ENGLISH = "universal-streaming-english"
SCRIPT = Script.of("hello there this is a test", start_ms=300)
MAX_SESSIONS = 3


@dataclass(frozen=True)
class Gateway:
    """A running gateway process."""

    url: str
    process: psutil.Process
    script: Script = SCRIPT
    max_sessions: int = MAX_SESSIONS

    def target(self, **parameters: str) -> Target:
        return Target(self.url, "any key", ENGLISH, parameters)


@pytest.fixture(scope="session")
def repository_audio() -> Path:
    """The recordings that come with the repository."""
    return Path(__file__).parents[2] / "examples" / "audio"


@pytest.fixture(scope="session")
def hearing_models() -> Path:
    """Folder with silero_vad.onnx and smart_turn.onnx."""
    return pull(HEARING_FILES, default_cache())


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Hears SCRIPT in every session, and takes MAX_SESSIONS at once."""
    folder = tmp_path_factory.mktemp("gateway")
    SCRIPT.dump(folder / "script.json")
    with contextlib.ExitStack() as processes:
        scripted = start(processes, folder, "streamingstack_bench.scripted", "--script", str(folder / "script.json"))
        recogniser = wait_for(scripted, r"Ready to serve! port (\d+)")
        serving = start(
            processes,
            folder,
            "streaming_gateway",
            HOST="127.0.0.1",
            AAI_WSS_PORT="0",
            METRICS_PORT="0",
            AAI_ASR_ENDPOINT=f"127.0.0.1:{recogniser}",
            GATEWAY_MODELS=json.dumps([{"speech_model": ENGLISH, "route": "en-default"}]),
            MAX_SESSIONS=str(MAX_SESSIONS),
            DRAIN_SECONDS="0",
        )
        port = wait_for(serving, r'Ready to serve!.*"port": ?(\d+)|"port": ?(\d+).*Ready to serve!')
        yield Gateway(f"ws://127.0.0.1:{port}", psutil.Process(serving.process.pid))


@dataclass(frozen=True)
class Started:
    process: subprocess.Popen[bytes]
    log: Path


def start(processes: contextlib.ExitStack, folder: Path, module: str, *argv: str, **environment: str) -> Started:
    log = folder / f"{module}.log"
    out = processes.enter_context(log.open("wb"))
    command = [sys.executable, "-m", module, *argv]
    process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=out, stderr=out)
    processes.callback(process.wait)
    processes.callback(process.terminate)
    return Started(process, log)


def wait_for(started: Started, pattern: str) -> int:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        found = re.search(pattern, started.log.read_text())
        if found:
            return int(next(filter(None, found.groups())))
        assert started.process.poll() is None, f"it ended: {started.log.read_text()}"
        time.sleep(0.05)
    raise AssertionError(f"not ready: {started.log.read_text()}")


@pytest.fixture
def serving() -> Any:
    """`async with serving(handler) as target: ...`: a WebSocket server that does what `handler` does."""

    @contextlib.asynccontextmanager
    async def start(handler: Callable[[ServerConnection], Awaitable[None]], **options: Any) -> AsyncIterator[Target]:
        async with serve(handler, "127.0.0.1", 0, **options) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            yield Target(f"ws://127.0.0.1:{port}", "any key", ENGLISH)

    return start


@pytest.fixture
def silent_clip(tmp_path: Path) -> Callable[..., Clip]:
    """A clip of silence with a text: the scripted recogniser hears its script in any audio."""

    def make(name: str, seconds: float, reference: str | None, language: str = "en") -> Clip:
        path = tmp_path / name
        soundfile.write(path, np.zeros(round(seconds * RATE), dtype=np.int16), RATE, subtype="PCM_16")
        return Clip(name, path, language, reference)

    return make
