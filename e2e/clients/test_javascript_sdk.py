"""The JavaScript SDK, unchanged, over TLS: it takes no other address."""

import hashlib
from pathlib import Path
from typing import Any

import httpx2
import pytest
from client_runs import JAVASCRIPT_SDK, run_client
from streamingstack_bench.scripted import Script

PARAMETERS: dict[str, Any] = {"speechModel": "universal-streaming-english", "formatTurns": True}
PATH = "/v3/ws"
MANY = " ".join(f"word{number}" for number in range(20))  # without a pause, for seven seconds


def secure(url: str) -> str:
    """Where the SDK is pointed to."""
    return url.replace("ws://", "wss://") + PATH


@pytest.mark.check(102)
async def test_the_javascript_sdk_completes_a_session(stack: Any, certificates: Any, recording: Path) -> None:
    async with stack(**certificates.settings) as running:
        told = await run_client(
            JAVASCRIPT_SDK, secure(running.url), audio=recording, authority=certificates.authority, **PARAMETERS
        )
        await running.is_empty()
    assert told.code == 0, told.log
    assert told.of("error") == told.of("warning") == []
    assert told.one("begin")["id"]
    assert told.one("connected")["seconds"] < 1
    assert told.finals(formatted=False) == ["hello there this is a test", "done"]
    assert told.finals(formatted=True) == ["Hello there, this is a test.", "Done."]
    assert any(not turn["end"] for turn in told.of("turn"))
    assert told.one("disconnected")["seconds"] < 3, "it gives up on Termination after 5"


@pytest.mark.check(103)
async def test_the_javascript_sdk_without_a_key_that_opens_is_rejected_with_1008_after_three_attempts(
    stack: Any, certificates: Any, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"{hashlib.sha256(b'another').hexdigest()} team\n")
    async with stack(api_keys_file=keys, **certificates.settings) as running:
        told = await run_client(
            JAVASCRIPT_SDK, secure(running.url), key="mine", authority=certificates.authority, **PARAMETERS
        )
        async with httpx2.AsyncClient() as http:
            metrics = (await http.get(running.metrics)).text
    assert told.one("rejected")["code"] == 1008
    assert "Invalid API key" in told.one("rejected")["text"]
    assert len(told.of("warning")) == 2, "one for each attempt that is followed by another"
    assert told.of("begin") == []
    refused = [line for line in metrics.splitlines() if line.startswith("streaming_gateway_sessions_refused_total{")]
    assert sum(float(line.rsplit(maxsplit=1)[1]) for line in refused) == 3


async def test_the_javascript_sdk_ends_a_turn_midway_and_changes_the_configuration(
    stack: Any, certificates: Any, utterances: Path
) -> None:
    async with stack(Script.of(MANY), **certificates.settings) as running:
        told = await run_client(
            JAVASCRIPT_SDK,
            secure(running.url),
            audio=utterances,
            authority=certificates.authority,
            midway={"format_turns": True},
            speechModel=PARAMETERS["speechModel"],
        )
    assert told.of("error") == []
    assert " ".join(told.finals(formatted=False)) == " ".join(told.finals(formatted=True)) == MANY
    assert len(told.finals(formatted=True)) == 2


async def test_the_javascript_sdk_takes_a_key_as_token_too(stack: Any, certificates: Any, recording: Path) -> None:
    async with stack(**certificates.settings) as running:
        told = await run_client(
            JAVASCRIPT_SDK,
            secure(running.url),
            audio=recording,
            authority=certificates.authority,
            token="anything",
            **PARAMETERS,
        )
    assert told.finals(formatted=True) == ["Hello there, this is a test.", "Done."]
    assert told.of("error") == []
