"""Real models, recordings and a real Triton for the tests that are marked `stack`."""

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import soundfile
from model_store import default_cache, pull, pull_model
from stack_model.api import load_stack
from stack_model.hearing import HEARING_FILES
from streaming_asr.engine import Pcm
from streaming_asr.triton.launch import TritonPlan, local_triton

REPOSITORY = Path(__file__).parents[3]
MODELS = REPOSITORY / "services" / "asr" / "model_repository"


@pytest.fixture(scope="session")
def hearing_models() -> Path:
    """Folder with silero_vad.onnx and smart_turn.onnx."""
    return pull(HEARING_FILES, default_cache())


def _example_model(name: str) -> Path:
    stack = load_stack(REPOSITORY / "examples" / "universal.yaml")
    return pull_model(next(model for model in stack.spec.models if model.name == name), default_cache())


@pytest.fixture(scope="session")
def english_model() -> Path:
    """The English Whisper of the examples."""
    return _example_model("en-default")


@pytest.fixture(scope="session")
def multilingual_model() -> Path:
    """The multilingual Whisper of the examples."""
    return _example_model("ml-default")


@pytest.fixture(scope="session")
def spoken() -> list[Pcm]:
    """The repository's own recordings in English: mono, 16 kHz."""
    return recordings("en")


def recordings(language: str) -> list[Pcm]:
    """The repository's own recordings in one language: mono, 16 kHz."""
    paths = sorted((REPOSITORY / "examples" / "audio").glob(f"{language}_*.wav"))
    return [soundfile.read(path, dtype="int16")[0] for path in paths]


@pytest.fixture(scope="session")
def spoken_german() -> Pcm:
    """A recording in German."""
    return recordings("de")[0]


@dataclass
class LocalTriton:
    """A real tritonserver; `start` after `kill` brings it back on the same ports."""

    plan: TritonPlan
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def url(self) -> str:
        return f"{self.plan.host}:{self.plan.grpc_port}"

    def start(self) -> None:
        command = local_triton(self.plan, os.environ)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command.argv, env=command.environment, stdout=log, stderr=log)

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End it and wait for that; its models' processes, which outlive a SIGKILL, are ended too."""
        if self.process is not None and self.process.returncode is None:
            models = psutil.Process(self.process.pid).children()
            self.process.send_signal(how)
            self.process.wait(timeout=30)
            for left in psutil.wait_procs(models, timeout=1)[1]:
                left.kill()

    def kill_model(self, model: str) -> None:
        """Kill the process of one model."""
        assert self.process is not None
        for child in psutil.Process(self.process.pid).children():
            if any(part.endswith(f"/{model}/1/model.py") for part in child.cmdline()):
                child.kill()
                return
        raise AssertionError(f"no process of {model}")

    def freeze(self) -> None:
        """Stop it in its tracks."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    async def wait_gone(self) -> None:
        """Until its ports are free again."""
        for port in (self.plan.http_port, self.plan.grpc_port, self.plan.metrics_port):
            while _taken(port):
                await asyncio.sleep(0.05)


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


@pytest.fixture(scope="module")
def triton(
    english_model: Path, hearing_models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalTriton]:
    """A Triton with the English Whisper and Smart Turn, starting; an engine's `ready` tells when it is up."""
    state = tmp_path_factory.mktemp("triton")
    http, grpc_port, metrics = _free_ports(3)
    plan = TritonPlan(
        model_repository=MODELS,
        state=state,
        http_port=http,
        grpc_port=grpc_port,
        metrics_port=metrics,
        environment={
            "WHISPER_MODEL_DIR": str(english_model),
            "SMART_TURN_MODEL": str(hearing_models / "smart_turn.onnx"),
        },
    )
    server = LocalTriton(plan, state / "triton.log")
    server.start()
    yield server
    server.kill(signal.SIGTERM)
