"""The scripted recogniser's service beside the stand-in for Triton: it keeps to the life that the real ones have."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx2
import numpy as np
import pytest
from streaming_asr.engine import SAMPLE_RATE
from streamingstack.asr.v1 import recognizer_pb2 as pb
from streamingstack.asr.v1 import recognizer_pb2_grpc as rpc
from streamingstack_bench.peer import opening, play
from streamingstack_bench.scripted import Script

SAID = ["one", "two", "three", "four", "five"]
SCRIPT = Script.of(" ".join(SAID), start_ms=300)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Ports:
    asr: int
    metrics: int
    triton_http: int
    triton_grpc: int
    triton_metrics: int


@pytest.fixture
def ports() -> Ports:
    return Ports(*(free_port() for _ in range(5)))


@contextlib.asynccontextmanager
async def process(module: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    started = await asyncio.create_subprocess_exec(sys.executable, "-m", module, env={**os.environ, **environment})
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


def standin(ports: Ports) -> contextlib.AbstractAsyncContextManager[asyncio.subprocess.Process]:
    return process(
        "streamingstack_bench.triton_standin",
        HOST="127.0.0.1",
        TRITON_MODEL_REPOSITORY="/nowhere",
        TRITON_HTTP_PORT=str(ports.triton_http),
        TRITON_GRPC_PORT=str(ports.triton_grpc),
        TRITON_METRICS_PORT=str(ports.triton_metrics),
    )


def recogniser(ports: Ports, folder: Path) -> contextlib.AbstractAsyncContextManager[asyncio.subprocess.Process]:
    SCRIPT.dump(folder / "script.json")
    return process(
        "streamingstack_bench.scripted_service",
        HOST="127.0.0.1",
        ROUTE="en-default",
        VAD_MODEL="/nowhere",
        SCRIPT=str(folder / "script.json"),
        ASR_PORT=str(ports.asr),
        METRICS_PORT=str(ports.metrics),
        TRITON_URL=f"127.0.0.1:{ports.triton_grpc}",
    )


async def heard(ports: Ports, seconds: int = 4) -> list[str]:
    """What a session hears; waits until streams are taken."""
    async with asyncio.timeout(40):
        while True:
            with contextlib.suppress(grpc.aio.AioRpcError):
                pcm = np.zeros(seconds * SAMPLE_RATE, np.int16)
                played = await play(f"127.0.0.1:{ports.asr}", pcm, opened=opening())
                return [word.text for segment in played.segments() for word in segment]
            await asyncio.sleep(0.2)


async def ended(call: grpc.aio.StreamStreamCall) -> grpc.StatusCode:
    with contextlib.suppress(grpc.aio.AioRpcError):
        while await call.read() is not grpc.aio.EOF:
            pass
    return await call.code()


async def test_it_says_the_script_and_ends_its_streams_unavailable_while_the_model_server_is_away(
    ports: Ports, tmp_path: Path
) -> None:
    async with recogniser(ports, tmp_path):
        async with standin(ports):
            assert await heard(ports) == SAID
            channel = grpc.aio.insecure_channel(f"127.0.0.1:{ports.asr}")
            call = rpc.RecognizerServiceStub(channel).Recognize()
            await call.write(pb.RecognizeRequest(open=opening()))
            assert (await call.read()).HasField("ready")
        assert await asyncio.wait_for(ended(call), 10) == grpc.StatusCode.UNAVAILABLE
        await channel.close()
        async with standin(ports):
            assert await heard(ports) == SAID


async def test_health_and_metrics_are_where_the_real_ones_have_them(ports: Ports, tmp_path: Path) -> None:
    async with standin(ports), recogniser(ports, tmp_path), httpx2.AsyncClient() as http:
        await heard(ports)
        for path in ("live", "ready"):
            assert (await http.get(f"http://127.0.0.1:{ports.triton_http}/v2/health/{path}")).status_code == 200
        page = (await http.get(f"http://127.0.0.1:{ports.metrics}/metrics")).text
        assert (await http.get(f"http://127.0.0.1:{ports.triton_metrics}/metrics")).status_code == 200
    for name in (
        "streaming_asr_streams_capacity 28.0",
        "streaming_asr_engine_up 1.0",
        "scripted_event_loop_lag_seconds_count",
    ):
        assert name in page
