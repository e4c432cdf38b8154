"""The Python SDK, unchanged, in every version that marks a change of it."""

import hashlib
import ssl
from pathlib import Path
from typing import Any

import pytest
from client_runs import PYTHON_SDK, PYTHON_SDK_ASYNC, Client, Told, python_sdk, run_client
from streamingstack_bench.scripted import Script
from streamingstack_bench.wire_client import wire_client
from websockets.asyncio.client import connect

MODEL: dict[str, Any] = {"speech_model": "universal-streaming-english"}
MANY = " ".join(f"word{number}" for number in range(20))  # without a pause, for seven seconds
FINALS = ["Hello there, this is a test.", "Done."]
PLAIN_FINALS = ["hello there this is a test", "done"]
# `ws://` as part of the host came with 0.64; before, the scheme is fixed.
OVER_TLS = ["0.42.1", "0.58.0", "0.61.0"]
WITH_A_SCHEME = ["0.64.26", "0.65.0", "1.0.0"]
# 0.42.1 knows no models: it takes the server's default.
WITHOUT_MODELS = {"0.42.1"}


def completed(told: Told, *, seconds: float) -> None:
    """A session without any trouble that ended soon."""
    assert told.code == 0, told.log
    assert told.of("error") == []
    assert told.one("begin")["id"]
    assert told.one("termination")["audio"] == 22
    assert told.one("disconnected")["seconds"] < seconds
    assert any(not turn["end"] for turn in told.of("turn")), "partials"


@pytest.mark.check(101)
@pytest.mark.parametrize("client", [PYTHON_SDK, PYTHON_SDK_ASYNC], ids=lambda client: client.name)
@pytest.mark.parametrize(
    ("parameters", "finals"),
    [({"format_turns": True}, (PLAIN_FINALS, FINALS)), ({}, (PLAIN_FINALS, []))],
    ids=["formatted", "plain"],
)
async def test_the_python_sdk_completes_a_session(
    plain_stack: Any, recording: Path, client: Client, parameters: dict[str, Any], finals: tuple[list[str], list[str]]
) -> None:
    told = await run_client(client, plain_stack.url, audio=recording, sample_rate=16_000, **MODEL, **parameters)
    completed(told, seconds=3)
    assert (told.finals(formatted=False), told.finals(formatted=True)) == finals
    assert told.one("connected")["seconds"] < 1.5
    await plain_stack.is_empty()


@pytest.mark.parametrize("client", [PYTHON_SDK, PYTHON_SDK_ASYNC], ids=lambda client: client.name)
async def test_the_python_sdk_ends_a_turn_midway_and_changes_the_configuration(
    stack: Any, utterances: Path, client: Client
) -> None:
    async with stack(Script.of(MANY)) as running:
        told = await run_client(
            client, running.url, audio=utterances, midway={"format_turns": True}, sample_rate=16_000, **MODEL
        )
    assert told.of("error") == []
    assert " ".join(told.finals(formatted=False)) == " ".join(told.finals(formatted=True)) == MANY
    assert len(told.finals(formatted=True)) == 2


@pytest.mark.parametrize("client", [PYTHON_SDK, PYTHON_SDK_ASYNC], ids=lambda client: client.name)
async def test_the_python_sdk_reports_a_refusal_and_its_code(plain_stack: Any, client: Client) -> None:
    told = await run_client(client, plain_stack.url, sample_rate=16_000, speech_model="universal-3-5-pro")
    assert told.one("error")["code"] == 3006
    assert "speech_model" in told.one("error")["text"]
    assert told.of("begin") == []


@pytest.mark.parametrize("client", [PYTHON_SDK, PYTHON_SDK_ASYNC], ids=lambda client: client.name)
async def test_the_python_sdk_trusts_an_authority_of_ones_own(
    stack: Any, certificates: Any, recording: Path, client: Client
) -> None:
    async with stack(**certificates.settings) as running:
        told = await run_client(
            client,
            running.url.replace("ws://", "wss://"),
            audio=recording,
            authority=certificates.authority,
            sample_rate=16_000,
            format_turns=True,
            **MODEL,
        )
    completed(told, seconds=3)
    assert told.finals(formatted=True) == FINALS


async def test_no_ticket_comes_between_an_old_sdk_and_its_upgrade(stack: Any, certificates: Any) -> None:
    """Where one does, versions before 1.8 now and then send no upgrade at all, and their connect times out."""
    trusting = ssl.create_default_context(cafile=certificates.authority)
    async with stack(**certificates.settings) as running:
        url = running.url.replace("ws://", "wss://")
        async with connect(url, ssl=trusting, additional_headers={"Authorization": "self-hosted"}) as connection:
            assert '"Begin"' in str(await connection.recv())
            secured = connection.transport.get_extra_info("ssl_object")
            assert secured.version() == "TLSv1.3"
            assert not secured.session.has_ticket


@pytest.mark.parametrize("version", WITH_A_SCHEME)
@pytest.mark.parametrize("asynchronous", [False, True], ids=["synchronous", "asynchronous"])
async def test_older_versions_complete_a_session(
    plain_stack: Any, recording: Path, version: str, asynchronous: bool
) -> None:
    client = python_sdk(version, asynchronous=asynchronous)
    told = await run_client(client, plain_stack.url, audio=recording, sample_rate=16_000, format_turns=True, **MODEL)
    completed(told, seconds=3)
    assert told.finals(formatted=True) == FINALS


@pytest.mark.parametrize("version", OVER_TLS)
async def test_versions_that_know_no_ws_complete_a_session_over_tls(
    stack: Any, certificates: Any, recording: Path, version: str
) -> None:
    model: dict[str, Any] = {} if version in WITHOUT_MODELS else MODEL
    async with stack(**certificates.settings) as running:
        told = await run_client(
            python_sdk(version),
            running.url.removeprefix("ws://"),
            audio=recording,
            authority=certificates.authority,
            sample_rate=16_000,
            format_turns=True,
            **model,
        )
    # Their threads look for the end once a second each.
    completed(told, seconds=5)
    assert told.finals(formatted=True) == FINALS


@pytest.mark.parametrize("version", WITH_A_SCHEME)
@pytest.mark.parametrize("asynchronous", [False, True], ids=["synchronous", "asynchronous"])
async def test_older_versions_report_a_refusal_and_its_code(plain_stack: Any, version: str, asynchronous: bool) -> None:
    client = python_sdk(version, asynchronous=asynchronous)
    told = await run_client(
        client, plain_stack.url, sample_rate=16_000, format_turns=True, max_turn_silence=-1, **MODEL
    )
    assert told.one("error")["code"] == 3006, told.log
    assert told.of("begin") == []


@pytest.mark.parametrize("version", OVER_TLS)
async def test_versions_that_know_no_ws_report_a_refusal_and_its_code(
    stack: Any, certificates: Any, tmp_path: Path, utterances: Path, version: str
) -> None:
    """Their reader reports it, and their writer as soon as it has something to send; where their last message slips in
    before the close, that writer waits for ever. So they speak meanwhile, as they would."""
    keys = tmp_path / "keys"
    keys.write_text(f"{hashlib.sha256(b'mine').hexdigest()} team max_new_per_minute=1\n")
    model: dict[str, Any] = {} if version in WITHOUT_MODELS else MODEL
    async with stack(api_keys_file=keys, **certificates.settings) as running:

        async def told(key: str = "mine", **parameters: Any) -> Told:
            address = running.url.removeprefix("ws://")
            said: dict[str, Any] = {"audio": utterances, "speed": 6, "authority": certificates.authority}
            said |= {"sample_rate": 16_000, **model, **parameters}
            return await run_client(python_sdk(version), address, key=key, **said)

        refused = {3006: await told(max_turn_silence=-1), 1008: await told(key="yours")}
        assert (await told()).one("begin")["id"]
        refused[3009] = await told()
    for code, one in refused.items():
        assert {error["code"] for error in one.of("error")} == {code}, one.log
        assert (one.code, one.of("begin")) == (0, [])


@pytest.mark.parametrize("version", WITH_A_SCHEME)
async def test_older_versions_report_a_key_that_does_not_open(stack: Any, tmp_path: Path, version: str) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"{hashlib.sha256(b'another').hexdigest()} team\n")
    async with stack(api_keys_file=keys) as running:
        told = await run_client(python_sdk(version), running.url, key="mine", sample_rate=16_000, **MODEL)
    assert told.one("error")["code"] == 1008, told.log
    assert told.of("begin") == []


@pytest.mark.parametrize("version", WITH_A_SCHEME)
async def test_older_versions_report_that_there_is_no_room(stack: Any, version: str) -> None:
    async with stack(max_sessions=1) as running, wire_client(running.url) as first:
        await first.next()
        told = await run_client(python_sdk(version), running.url, sample_rate=16_000, **MODEL)
        assert await first.terminate() == (1000, "Session Ended")
    assert told.one("error")["code"] == 3009, told.log
    assert told.of("begin") == []


@pytest.mark.parametrize("version", WITH_A_SCHEME)
@pytest.mark.parametrize("asynchronous", [False, True], ids=["synchronous", "asynchronous"])
async def test_older_versions_end_a_turn_midway_and_change_the_configuration(
    stack: Any, utterances: Path, version: str, asynchronous: bool
) -> None:
    client = python_sdk(version, asynchronous=asynchronous)
    async with stack(Script.of(MANY)) as running:
        told = await run_client(
            client, running.url, audio=utterances, midway={"max_turn_silence": 3000}, sample_rate=16_000, **MODEL
        )
    assert told.of("error") == []
    assert " ".join(told.finals(formatted=False)) == MANY
    assert len(told.finals(formatted=False)) == 2
