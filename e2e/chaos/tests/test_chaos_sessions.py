"""The clients of a chaos run against a real gateway: what they hear is judged right, whatever happens underneath."""

import asyncio
import contextlib
import json
import os
import re
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from e2e_chaos.gateway_kill import come_back
from e2e_chaos.records import Word
from e2e_chaos.sessions import Speech, Where, speak, speak_all
from e2e_chaos.verdict import judge_all
from streamingstack_bench.long_script import long_script, quiet_end
from streamingstack_bench.scripted_process import ScriptedProcess, scripted_process
from websockets.asyncio.server import ServerConnection, serve

MODEL = "universal-streaming-english"
SCRIPT = long_script(60)
SAID = [Word(word.text, word.start_ms, word.end_ms) for word in SCRIPT.words]
SECONDS = quiet_end(SCRIPT, 18)


@contextlib.asynccontextmanager
async def gateway(folder: Path, *recognisers: ScriptedProcess) -> AsyncIterator[Where]:
    environment = {
        "HOST": "127.0.0.1",
        "AAI_WSS_PORT": "0",
        "METRICS_PORT": "0",
        "AAI_ASR_ENDPOINT": ",".join(recogniser.endpoint for recogniser in recognisers),
        "GATEWAY_MODELS": json.dumps([{"speech_model": MODEL, "route": "en-default"}]),
        "DRAIN_SECONDS": "0",
        "CHECK_CONTRACT": "true",
    }
    log = folder / "gateway.log"
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "streaming_gateway", env={**os.environ, **environment}, stdout=out, stderr=out
        )
    try:
        async with asyncio.timeout(60):
            while not (found := re.search(r'"port": ?(\d+)', log.read_text())):
                assert process.returncode is None, log.read_text()
                await asyncio.sleep(0.1)
        yield Where("127.0.0.1", int(found[1]), "speech.example", "any key")
    finally:
        process.terminate()
        await process.wait()


async def test_sessions_hear_every_word_once_while_a_recogniser_is_killed_under_them(tmp_path: Path) -> None:
    speeches = [Speech(f"one {number}", MODEL, SECONDS) for number in range(3)]
    async with (
        scripted_process(SCRIPT) as first,
        scripted_process(SCRIPT) as second,
        gateway(tmp_path, first, second) as where,
    ):
        sessions = asyncio.create_task(speak_all(where, speeches, time.monotonic, over_s=0.5))
        await asyncio.sleep(4)
        await first.kill()
        heard = await sessions
    assert [one.reason for one in heard if not one.is_whole] == []
    assert "recogniser lost" in (tmp_path / "gateway.log").read_text()
    found = judge_all(heard, SAID, SECONDS)
    assert found.is_clean, found
    assert found.moved_ms == 0
    for one in heard:
        assert one.sent_s == pytest.approx(SECONDS, abs=0.01)
        assert len(one.lags) == len(one.words)
        assert all(lag > 0 for _, lag in one.lags)


async def test_a_session_that_nobody_takes_says_so(tmp_path: Path) -> None:
    heard = await speak(Where("127.0.0.1", 1, "speech.example", "any key"), Speech("one", MODEL, 1.0), time.monotonic)
    assert (heard.is_whole, heard.session_id) == (False, "")
    assert "not opened" in heard.reason


async def test_a_client_whose_gateway_goes_has_another_session_at_once() -> None:
    """A server that breaks the first connection off in mid-session, and is itself on the second."""
    connections = 0

    async def handler(connection: ServerConnection) -> None:
        nonlocal connections
        connections += 1
        await connection.send(json.dumps({"type": "Begin", "id": f"session {connections}"}))
        if connections == 1:
            await connection.recv()
            connection.transport.abort()
            return
        async for frame in connection:
            if isinstance(frame, str):
                await connection.send(json.dumps({"type": "Termination"}))
                return

    async with serve(handler, "127.0.0.1", 0) as server:
        where = Where("127.0.0.1", next(iter(server.sockets)).getsockname()[1], "speech.example", "any key")
        (client,) = await asyncio.to_thread(come_back, where, [Speech("one", MODEL, 2.0)])
    assert client.broke_off
    assert [heard.session_id for heard in client.sessions] == ["session 1", "session 2"]
    assert client.sessions[1].is_whole
    assert 0 < client.away_s < 2


def test_chunks_of_a_speech_are_its_audio_over_and_over() -> None:
    pcm = bytes(range(256)) * 100
    speech = Speech("one", MODEL, 2.0, pcm, chunk_ms=100)
    at, said = 0, b""
    while chunk := speech.chunk(at):
        said, at = said + chunk, at + len(chunk)
    assert len(said) == 2 * 32_000
    assert said == (pcm * 3)[: len(said)]
    assert Speech("two", MODEL, 0.25).chunk(6400) == bytes(1600)
