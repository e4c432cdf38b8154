"""Triton's entry point in a container: what the environment decides, what is open, and what is refused clearly."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from streaming_asr.triton.launch import TritonMissingError, TritonPlan, find_triton, triton_command
from streaming_asr.triton.repository import repository_for
from streaming_asr.triton.settings import TritonSettings

MODELS = Path(__file__).parents[1] / "model_repository"


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [taken.getsockname()[1] for taken in sockets]
    for taken in sockets:
        taken.close()
    return ports


def _entry(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streaming_asr.triton"],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_inference_stays_on_loopback_while_probes_and_scrapers_reach_health_and_metrics() -> None:
    settings = TritonSettings.model_validate({"TRITON_MODEL_REPOSITORY": "/models"})
    plan = settings.plan(Path("/models"), "secret")
    argv = triton_command(plan, find_triton(), Path("/backends"), {}).argv
    assert {
        "--grpc-address=127.0.0.1",
        "--http-address=0.0.0.0",
        "--metrics-address=0.0.0.0",
        "--grpc-port=8001",
        "--http-port=8000",
        "--metrics-port=8002",
    } <= set(argv)
    (guard,) = [part for part in argv if part.startswith("--http-restricted-api=")]
    assert guard.endswith(":triton-access=secret")
    assert "inference" in guard
    assert "model-repository" in guard
    assert "health" not in guard


def test_a_local_triton_without_an_open_address_guards_nothing() -> None:
    plan = TritonPlan(Path("/models"), Path("/state"), http_port=1, grpc_port=2, metrics_port=3)
    assert not [part for part in triton_command(plan, find_triton(), Path("/b"), {}).argv if "restricted" in part]


def test_on_a_gpu_the_words_move_to_the_card_and_the_end_of_turn_does_not(tmp_path: Path) -> None:
    rendered = repository_for("gpu", MODELS, tmp_path / "models")
    assert "kind: KIND_GPU" in (rendered / "whisper" / "config.pbtxt").read_text()
    assert "KIND_GPU" not in (rendered / "smart_turn" / "config.pbtxt").read_text()
    assert (rendered / "whisper" / "1" / "model.py").is_file()
    assert repository_for("cpu", MODELS, tmp_path / "unused") == MODELS


def test_a_model_that_names_no_device_is_not_sent_to_a_gpu(tmp_path: Path) -> None:
    (tmp_path / "source" / "whisper").mkdir(parents=True)
    (tmp_path / "source" / "whisper" / "config.pbtxt").write_text('name: "whisper"')
    with pytest.raises(ValueError, match="no instance group"):
        repository_for("gpu", tmp_path / "source", tmp_path / "target")


def test_an_installed_triton_is_found_by_its_folder_or_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(TritonMissingError, match="Python backend"):
        find_triton(tmp_path)
    stub = tmp_path / "backends" / "python" / "triton_python_backend_stub"
    stub.parent.mkdir(parents=True)
    stub.touch()
    assert find_triton(tmp_path).executable == tmp_path / "bin" / "tritonserver"


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ({}, "TRITON_MODEL_REPOSITORY"),
        ({"TRITON_MODEL_REPOSITORY": str(MODELS), "TRITON_HTTP_PORT": "none"}, "TRITON_HTTP_PORT"),
        ({"TRITON_MODEL_REPOSITORY": str(MODELS), "TRITON_MODELS": "a;b"}, "TRITON_MODELS"),
        ({"TRITON_MODEL_REPOSITORY": str(MODELS), "TRITON_ROOT": "/nowhere"}, "/nowhere"),
    ],
)
def test_a_wrong_environment_ends_it_with_one_line_that_names_the_variable_or_the_path(
    environment: dict[str, str], names: str
) -> None:
    ended = _entry(environment)
    assert ended.returncode == 2
    assert names in ended.stderr
    assert ended.stderr.count("\n") == 1


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code
    except OSError:
        return 0


@pytest.mark.stack
def test_over_http_a_stranger_gets_health_and_metrics_and_nothing_else(tmp_path: Path, hearing_models: Path) -> None:
    http, grpc, metrics = _free_ports(3)
    environment = {
        **os.environ,
        "TRITON_MODEL_REPOSITORY": str(MODELS),
        "TRITON_MODELS": "smart_turn",
        "SMART_TURN_MODEL": str(hearing_models / "smart_turn.onnx"),
        "HOST": "127.0.0.1",
        "TRITON_HTTP_PORT": str(http),
        "TRITON_GRPC_PORT": str(grpc),
        "TRITON_METRICS_PORT": str(metrics),
        "STATE_DIR": str(tmp_path),
    }
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "streaming_asr.triton"], env=environment, stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + 90
        while _status(f"http://127.0.0.1:{http}/v2/health/ready") != 200:
            assert process.poll() is None, (tmp_path / "log").read_text()[-2000:]
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert _status(f"http://127.0.0.1:{metrics}/metrics") == 200
        empty = json.dumps({}).encode()
        for path in ("v2/models/smart_turn/infer", "v2/repository/models/smart_turn/unload", "v2/repository/index"):
            request = urllib.request.Request(f"http://127.0.0.1:{http}/{path}", data=empty, method="POST")
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(request, timeout=5)
            assert refused.value.code == 403, path
        assert _status(f"http://127.0.0.1:{http}/v2/health/ready") == 200
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
