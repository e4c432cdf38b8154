"""`python -m streaming_asr` as a process, while its model server is away."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from model_store import default_cache, pull
from stack_model.hearing import HEARING_FILES
from streaming_asr.engine import SAMPLE_RATE
from streamingstack_bench.peer import opening, play


@pytest.fixture(scope="module")
def vad_model() -> Path:
    return pull(HEARING_FILES, default_cache()) / "silero_vad.onnx"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def recogniser(vad_model: Path, **overrides: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    port = int(overrides.get("ASR_PORT", free_port()))
    environment = {
        **os.environ,
        "HOST": "127.0.0.1",
        "ROUTE": "en-default",
        "ASR_PORT": str(port),
        "METRICS_PORT": str(free_port()),
        "TRITON_URL": f"127.0.0.1:{free_port()}",
        "VAD_MODEL": str(vad_model),
        **overrides,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "streaming_asr", env=environment, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield process, port
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def comes_up(port: int) -> None:
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.1)


async def test_without_its_model_server_it_is_not_serving_refuses_streams_and_ends_at_once(vad_model: Path) -> None:
    async with recogniser(vad_model) as (process, port):
        await comes_up(port)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await play(f"127.0.0.1:{port}", np.zeros(SAMPLE_RATE, np.int16), opened=opening())
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 15) == 0


@pytest.mark.parametrize("taken", ["ASR_PORT", "METRICS_PORT"])
async def test_a_taken_port_is_one_clear_line(vad_model: Path, taken: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        async with recogniser(vad_model, **{taken: port}) as (process, _):
            _, shown = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 1
    assert port in shown.decode()
    assert "Traceback" not in shown.decode()


@pytest.mark.parametrize(
    ("name", "value"), [("MAX_OPEN_STREAMS", "0"), ("ASR_PORT", "loud"), ("ROUTE", ""), ("VAD_MODEL", "/nowhere.onnx")]
)
async def test_a_wrong_setting_is_named(vad_model: Path, name: str, value: str) -> None:
    overrides = {name: value}
    if name == "ASR_PORT":
        overrides = {"SERVER_PORT": value, "ASR_PORT": value}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "streaming_asr",
        env={
            **os.environ,
            "ROUTE": "x",
            "VAD_MODEL": str(vad_model),
            "ASR_PORT": "0",
            "METRICS_PORT": "0",
            **overrides,
        },
        stderr=asyncio.subprocess.PIPE,
    )
    _, shown = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode in (1, 2)
    assert name in shown.decode() or value in shown.decode()
    assert "Traceback" not in shown.decode()
