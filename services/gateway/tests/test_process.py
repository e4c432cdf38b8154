"""The gateway as the process that is deployed: its environment, its logs, its end."""

import asyncio
import contextlib
import json
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from gateway_process import Process, environment, gateway_process
from streamingstack_bench.scripted import Script, ScriptWord, serve_scripted
from streamingstack_bench.wire_client import wire_client

POD_UID = "0c8ed24f-5291-419a-9705-3aadb49dd6c8"
MODELS = json.dumps(
    [
        {"speech_model": "universal-streaming-english", "route": "en-default"},
        {"speech_model": "universal-streaming-multilingual", "route": "ml-default"},
    ]
)
# Words that no log would ever have of itself.
SPOKEN = [f"{start}{end}" for start in ("Zwib", "Quol", "Brax", "Ploo") for end in ("nax", "dorf", "tish", "venk")]
KEYTERM, KEY, TOKEN, BOGUS = "Fnordlings", "kee-5d41402abc4b", "tok-2a76b9719d91", "Gribblesnatch"
TOKEN_SECRET = "sig-8f14e45fceea167a5a36dedd4bea2543"


def script() -> Script:
    words = [ScriptWord(text + ".", 500 + 400 * n, 500 + 400 * n + 300) for n, text in enumerate(SPOKEN)]
    return Script(words)


async def speak(url: str, **query: Any) -> list[str]:
    async with wire_client(url, **query) as client:
        await client.audio(9000)
        await client.terminate()
    return client.finals


async def test_nothing_that_is_spoken_or_secret_is_in_any_log_or_metric(tmp_path: Path) -> None:
    secret = tmp_path / "token-secret"
    secret.write_text(TOKEN_SECRET)
    async with (
        serve_scripted(script()) as recogniser,
        gateway_process(
            AAI_ASR_ENDPOINT=f"127.0.0.1:{recogniser.port}",
            GATEWAY_MODELS=MODELS,
            AAI_LOG_LEVEL="DEBUG",
            TOKEN_SECRET_FILE=str(secret),
        ) as process,
    ):
        url = f"ws://127.0.0.1:{process.port}/v3/ws"
        terms = json.dumps([KEYTERM])
        finals = await speak(url, key=KEY, format_turns="true", keyterms_prompt=terms)
        assert " ".join(finals) == " ".join(f"{word}." for word in SPOKEN)
        for name in ("sample_rate", "speech_model", BOGUS, "keyterms_prompt"):
            query: dict[str, Any] = {"token": TOKEN, name: BOGUS}
            async with wire_client(url, key=None, **query) as client:
                await client.next()
        for text in (BOGUS, json.dumps({"type": BOGUS}), json.dumps({"type": "UpdateConfiguration", "mode": BOGUS})):
            async with wire_client(url, key=KEY) as client:
                await client.audio(2000)
                await client.connection.send(text)
                client.connection.transport.abort()
        reader, writer = await asyncio.open_connection("127.0.0.1", process.port)
        writer.write(f"GET /v3/ws?token={TOKEN}{BOGUS} HTTP/9\r\n\r\n".encode())
        await reader.read()
        writer.close()
        async with httpx2.AsyncClient() as http:
            asked = await http.get(
                f"http://127.0.0.1:{process.port}/v3/token?expires_in_seconds=1&x={BOGUS}",
                headers={"Authorization": KEY},
            )
            issued = asked.json()["token"]
            for wait in (0, 2.5):  # good, then expired
                await asyncio.sleep(wait)
                async with wire_client(url, key=None, token=issued) as client:
                    await client.next()
            metrics = (await http.get(f"http://127.0.0.1:{process.metrics_port}/metrics")).text
        process.process.terminate()
        await process.process.wait()
    told = (metrics + "".join(process.lines)).lower()
    assert "session ended" in told
    assert 'streaming_gateway_turns_total{model="universal-streaming-english"} ' in told
    assert "streaming_gateway_first_partial_seconds_count" in told
    assert 'refused_total{reason="expired_token"} 1.0' in told
    secrets = [KEYTERM, KEY, TOKEN, BOGUS, TOKEN_SECRET, *issued.split(".")]
    leaked = [word for word in [*SPOKEN, *secrets] if word.lower() in told]
    assert leaked == []


async def test_sigterm_lets_a_session_end_within_the_drain_time_and_tells_its_open_turn() -> None:
    async with (
        serve_scripted(script()) as recogniser,
        gateway_process(
            AAI_ASR_ENDPOINT=f"127.0.0.1:{recogniser.port}", GATEWAY_MODELS=MODELS, DRAIN_SECONDS="2"
        ) as process,
        wire_client(f"ws://127.0.0.1:{process.port}/") as client,
    ):
        await client.audio(1500)
        await client.until(lambda m: m["type"] == "Turn")
        process.process.send_signal(signal.SIGTERM)
        await client.audio(500)
        assert (await client.rest())[0] == 1001
        assert client.turns[-1]["end_of_turn"]
        assert await asyncio.wait_for(process.process.wait(), 15) == 0


async def test_while_draining_readiness_is_off_and_liveness_on_until_the_last_session_ends() -> None:
    async with (
        serve_scripted(script()) as recogniser,
        gateway_process(AAI_ASR_ENDPOINT=f"127.0.0.1:{recogniser.port}", GATEWAY_MODELS=MODELS) as process,
        wire_client(f"ws://127.0.0.1:{process.port}/") as client,
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{process.port}", trust_env=False) as http,
    ):
        await client.audio(1500)
        await client.until(lambda m: m["type"] == "Turn")
        assert (await http.get("/readyz")).status_code == 200
        process.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            while (await http.get("/readyz")).status_code != 503:
                await asyncio.sleep(0.02)
        for path in ("/healthz", "/v3/ws/health"):
            assert (await http.get(path)).status_code == 200
        async with httpx2.AsyncClient(trust_env=False) as metrics:
            told = (await metrics.get(f"http://127.0.0.1:{process.metrics_port}/metrics")).text
        assert "streaming_gateway_draining 1.0" in told
        assert "streaming_gateway_sessions_active 1.0" in told
        async with wire_client(f"ws://127.0.0.1:{process.port}/") as late:
            assert (await late.rest())[0] == 1001
        await client.audio(8000)
        assert await client.terminate() == (1000, "Session Ended")
        assert await asyncio.wait_for(process.process.wait(), 15) == 0


async def test_sigterm_without_sessions_ends_at_once() -> None:
    async with gateway_process(GATEWAY_MODELS=MODELS) as process:
        process.process.terminate()
        assert await asyncio.wait_for(process.process.wait(), 10) == 0


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"AAI_WSS_PORT": "http"}, "AAI_WSS_PORT"),
        ({}, "GATEWAY_MODELS"),
        ({"GATEWAY_MODELS": MODELS, "DEFAULT_SPEECH_MODEL": "u3-pro"}, "'u3-pro' is not served"),
        ({"GATEWAY_MODELS": MODELS, "API_KEYS_FILE": "/nowhere/keys"}, "/nowhere/keys"),
        ({"GATEWAY_MODELS": MODELS, "TOKEN_SECRET_FILE": "/dev/null"}, "no token secret in the file"),
        ({"GATEWAY_MODELS": MODELS, "SINGLE_USE_TOKENS": "true"}, "without API_KEYS_FILE any text opens"),
        ({"GATEWAY_MODELS": MODELS, "AAI_ASR_ENDPOINT": "balancer"}, "'balancer' is not host:port"),
    ],
)
async def test_a_wrong_environment_is_one_clear_line_and_status_2(variables: dict[str, str], named: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "streaming_gateway", env=environment(**variables), stderr=asyncio.subprocess.PIPE
    )
    _, said = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 2
    complaints = [line for line in said.decode().splitlines() if not line.startswith("{")]
    assert len(complaints) == 1
    assert named in complaints[0]


async def test_a_port_already_taken_is_one_clear_line_and_status_2() -> None:
    async with gateway_process(GATEWAY_MODELS=MODELS) as process:
        second = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "streaming_gateway",
            env=environment(GATEWAY_MODELS=MODELS, AAI_WSS_PORT=str(process.port)),
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await asyncio.wait_for(second.communicate(), 30)
    assert second.returncode == 2
    assert re.search(rf"address.*{process.port}", said.decode().splitlines()[-1])


async def test_a_recogniser_that_is_killed_under_a_session_is_replaced_word_for_word(tmp_path: Path) -> None:
    written = tmp_path / "script.json"
    script().dump(written)
    victim = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "streamingstack_bench.scripted", "--script", str(written), "--port", "0",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert victim.stdout is not None
        port = int((await asyncio.wait_for(victim.stdout.readline(), 30)).decode().split()[-1])
        async with (
            serve_scripted(script()) as survivor,
            gateway_process(
                AAI_ASR_ENDPOINT=f"127.0.0.1:{port},127.0.0.1:{survivor.port}", GATEWAY_MODELS=MODELS
            ) as process,
            contextlib.AsyncExitStack() as stack,
        ):
            clients = [
                await stack.enter_async_context(wire_client(f"ws://127.0.0.1:{process.port}/")) for _ in range(4)
            ]
            for client in clients:
                await client.audio(3000)
                await client.until(lambda m: m["type"] == "Turn")
            victim.kill()
            for client in clients:
                await client.audio(6000)
                assert await client.terminate() == (1000, "Session Ended")
        assert [" ".join(client.finals) for client in clients] == [" ".join(SPOKEN).lower()] * 4
    finally:
        with contextlib.suppress(ProcessLookupError):
            victim.kill()
        await victim.wait()


@contextlib.asynccontextmanager
async def orders(process: Process) -> AsyncIterator[Callable[..., Awaitable[int]]]:
    """Asks for a shorter drain; gives the answer's status."""
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{process.metrics_port}", trust_env=False) as http:

        async def ask(seconds: str = "1", uid: str = POD_UID) -> int:
            headers = {"Authorization": f"Bearer {uid}"}
            return (await http.post("/drain", params={"seconds": seconds}, headers=headers)).status_code

        yield ask


async def test_a_drain_ends_sooner_where_one_who_knows_the_pod_says_so_and_nothing_else_ends_a_session() -> None:
    async with (
        serve_scripted(script()) as recogniser,
        gateway_process(
            AAI_ASR_ENDPOINT=f"127.0.0.1:{recogniser.port}", GATEWAY_MODELS=MODELS, POD_UID=POD_UID
        ) as process,
        wire_client(f"ws://127.0.0.1:{process.port}/") as client,
        orders(process) as ask,
    ):
        await client.audio(1500)
        await client.until(lambda m: m["type"] == "Turn")
        assert await ask() == 409, "it does not drain"
        process.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            while await ask("600") != 202:
                await asyncio.sleep(0.02)
        for uid in ("x", "somebody", POD_UID + "0"):
            assert await ask(uid=uid) == 401
        for seconds in ("", "soon", "-1", "nan", "1e9"):
            assert await ask(seconds) == 422
        await client.audio(500)
        assert process.process.returncode is None
        assert await ask("0.5") == 202
        assert await ask("600") == 202, "later than it ends already: it stays so"
        assert (await client.rest())[0] == 1001
        assert client.turns[-1]["end_of_turn"], "its open turn is told"
        assert await asyncio.wait_for(process.process.wait(), 15) == 0


async def test_a_gateway_that_knows_no_pod_takes_no_order() -> None:
    async with gateway_process(GATEWAY_MODELS=MODELS) as process, orders(process) as ask:
        assert await ask() == 404
