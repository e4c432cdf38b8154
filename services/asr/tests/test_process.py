"""`python -m streaming_asr` as a process: what it says, counts and refuses, and how it leaves."""

import asyncio
import contextlib
import math
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import httpx2
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from model_store import default_cache, pull
from stack_model.hearing import HEARING_FILES
from streaming_asr.engine import SAMPLE_RATE, Pcm
from streamingstack.asr.v1 import recognizer_pb2 as pb
from streamingstack_bench.peer import Delivery, opening, play

from .stand_in_triton import stand_in_triton


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


class Live:
    """A recogniser that serves; `said` grows by what it writes."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, metrics_port: int) -> None:
        self.process, self.target = process, f"127.0.0.1:{port}"
        self.said = ""
        self._metrics_port = metrics_port
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stderr is not None
        while line := await self.process.stderr.readline():
            self.said += line.decode()

    async def says(self, text: str) -> None:
        async with asyncio.timeout(60):
            while text not in self.said:
                assert self.process.returncode is None, self.said
                await asyncio.sleep(0.05)

    async def metrics(self, name: str) -> float:
        """One sample, with its labels in `name`; 0 where there is none."""
        async with httpx2.AsyncClient() as http:
            page = (await http.get(f"http://127.0.0.1:{self._metrics_port}/metrics")).text
        found = re.search(rf"^streaming_asr_{re.escape(name)} ([0-9.e+-]+)$", page, re.M)
        return float(found[1]) if found else 0.0

    async def takes(self, streams: int) -> None:
        async with asyncio.timeout(30):
            while await self.metrics("streams_active") != streams:
                await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def live(vad_model: Path, **overrides: str) -> AsyncIterator[Live]:
    metrics_port = free_port()
    async with (
        stand_in_triton() as (_, triton_url),
        recogniser(vad_model, TRITON_URL=triton_url, METRICS_PORT=str(metrics_port), **overrides) as (process, port),
    ):
        made = Live(process, port, metrics_port)
        await made.says("ready!" if overrides.get("ROUTE") == "u3-pro" else "Ready to serve!")
        yield made


@pytest.mark.parametrize(("route", "line"), [("en-default", "Ready to serve!"), ("u3-pro", "U3Pro ASR Server ready!")])
async def test_it_says_that_it_is_ready_when_its_model_server_is(vad_model: Path, route: str, line: str) -> None:
    async with live(vad_model, ROUTE=route, REPLACING=str(route == "u3-pro")) as server:
        assert server.said.count(line) == 1
        async with grpc.aio.insecure_channel(server.target) as channel:
            answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_it_takes_as_many_streams_as_its_environment_says_and_counts_them(
    vad_model: Path, spoken: list[Pcm]
) -> None:
    async with live(vad_model, MAX_OPEN_STREAMS="2") as server:
        assert await server.metrics("streams_capacity") == 2
        sent = 0

        def count(_: str, message: Any) -> None:
            nonlocal sent
            sent += isinstance(message, pb.RecognizeRequest) and message.WhichOneof("message") == "audio"

        one = partial(play, server.target, spoken[0], how=Delivery(100, 2.0), observe=count)
        streams = [asyncio.create_task(one()) for _ in range(2)]
        await server.takes(2)
        for attempt in (0, 1):  # what is tried again was counted
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await play(server.target, np.zeros(SAMPLE_RATE, np.int16), opened=opening(attempt=attempt))
            assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "all 2 streams" in refused.value.details()
        assert await server.metrics('streams_refused_total{reason="full"}') == 1
        results = await asyncio.gather(*streams)
        assert all(result.of("finalized") for result in results)
        await server.takes(0)
        assert await server.metrics('streams_ended_total{status="OK"}') == 2
        seconds = len(spoken[0]) / SAMPLE_RATE
        heard = await server.metrics("audio_seconds_total")
        assert heard == pytest.approx(2 * seconds, abs=0.01), "to the last sample, however short the stream's last part"
        chunks = await server.metrics("chunk_latency_seconds_count")
        assert chunks == sent >= 2 * math.ceil(seconds * 10)
        assert 0 < await server.metrics("chunk_latency_seconds_sum") < 2 * chunks


async def test_sigterm_under_live_streams_asks_them_to_move_and_ends_in_its_time(
    vad_model: Path, spoken: list[Pcm]
) -> None:
    async with live(vad_model, DRAIN_SECONDS="2") as server:
        heard: list[list[Any]] = [[], []]

        def listen(number: int) -> Any:
            return lambda direction, message: heard[number].append(message) if direction == "down" else None

        streams = [
            asyncio.create_task(play(server.target, spoken[0], how=Delivery(100, 1.0), observe=listen(number)))
            for number in range(2)
        ]
        await server.takes(2)
        async with asyncio.timeout(30):
            while not all(any(m.WhichOneof("message") == "progress" for m in messages) for messages in heard):
                await asyncio.sleep(0.05)
        server.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            while not all(any(m.WhichOneof("message") == "draining" for m in messages) for messages in heard):
                await asyncio.sleep(0.02)
        draining = [m.draining.deadline_ms for m in heard[0] if m.WhichOneof("message") == "draining"]
        assert draining == [2000]
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await play(server.target, np.zeros(SAMPLE_RATE, np.int16))
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        streams[0].cancel()  # moves away
        with pytest.raises(grpc.aio.AioRpcError) as ended:  # stays
            await streams[1]
        assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
        assert await asyncio.wait_for(server.process.wait(), 20) == 0
    assert "Traceback" not in server.said


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
