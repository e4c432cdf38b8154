"""`streamingstack transcribe`: a real gateway before a scripted recogniser, and servers that misbehave."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from pathlib import Path

import pytest
import websockets.asyncio.server
from streamingstack_cli import client
from streamingstack_cli.api_key import local_key
from streamingstack_cli.errors import CommandError
from streamingstack_cli.layout import State
from streamingstack_cli.recording import open_recording
from streamingstack_cli.transcribe import Wanted, key_of_local_stack, parsed_parameters, transcribe
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from .conftest import EXAMPLES, gateway
from .test_recording import wav


@pytest.fixture
def wav_file(tmp_path: Path) -> Path:
    """Seven seconds of nothing: the script has the words."""
    path = tmp_path / "a.wav"
    path.write_bytes(wav(bytes(7 * 32000)))
    return path


async def command(*arguments: str) -> tuple[int, str, str]:
    """Status, standard output and standard error of the real command."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "streamingstack_cli.main",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_a_recording_gives_partials_final_turns_and_a_summary(wav_file: Path) -> None:
    async with gateway() as url:
        status, out, err = await command("transcribe", str(wav_file), "--url", url, "--speed", "8")
    assert (status, err) == (0, "")
    assert "a.wav: 7.0 s, universal-streaming-english" in out
    assert "  ... hello there" in out
    assert "[00:00.5] Hello there, this is a test." in out
    assert out.splitlines()[-2].endswith("] Done.")
    assert out.splitlines()[-1].startswith("7 words in 7.0 s of audio; lag p50 ")


async def test_json_and_srt_leave_standard_output_to_the_transcript(wav_file: Path, tmp_path: Path) -> None:
    async with gateway() as url:
        arguments = ("transcribe", str(wav_file), "--url", url, "--speed", "8", "--format")
        (status, out, err), (_, srt, _), (_, shown, _) = await asyncio.gather(
            command(*arguments, "json"),
            command(*arguments, "srt"),
            command(*arguments, "json", "--output", str(tmp_path / "out.json")),
        )
    assert status == 0
    document = json.loads(out)
    assert [turn["transcript"] for turn in document["turns"]] == ["Hello there, this is a test.", "Done."]
    assert document["summary"]["words"] == 7
    assert "Done." in err
    assert srt.startswith("1\n00:00:00,500 --> ")
    assert json.loads((tmp_path / "out.json").read_text())["turns"] == document["turns"]
    assert "Done." in shown


async def test_the_servers_refusal_is_its_own_words_and_status_1(wav_file: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("0" * 64 + " somebody\n")
    async with gateway(keys) as url:
        refused = await command("transcribe", str(wav_file), "--url", url, "--api-key", "wrong")
        unknown = await command("transcribe", str(wav_file), "--url", url, "-p", "speech_model=none")
    assert refused[0] == unknown[0] == 1
    assert refused[2] == (
        "streamingstack: the server ended the session: Unauthorized Connection: Invalid API key (1008)\n"
    )
    assert "Invalid API key" in unknown[2]


async def test_a_wrong_parameter_is_refused_by_the_server_by_name(wav_file: Path) -> None:
    async with gateway() as url:
        status, _, err = await command("transcribe", str(wav_file), "--url", url, "--speech-model", "none")
    assert status == 1
    assert "Invalid 'speech_model'" in err


@pytest.mark.parametrize("content", [b"", b"text", wav(bytes(100), data_size=900), wav(bytes(100), tag=7, bits=8)])
async def test_an_unusable_file_is_one_line_and_status_2(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    status, out, err = await command("transcribe", str(path), "--url", "ws://127.0.0.1:9")
    assert (status, out) == (2, "")
    assert err.startswith(f"streamingstack: {path} ")
    assert err.count("\n") == 1


Behaviour = Callable[[ServerConnection], Awaitable[None]]


@contextlib.asynccontextmanager
async def server(behaviour: Behaviour, refusal: HTTPStatus | None = None) -> AsyncIterator[str]:
    """A WebSocket server that behaves as it is told."""

    def answer(connection: ServerConnection, _: Request) -> Response | None:
        return connection.respond(refusal, "no") if refusal else None

    async with websockets.asyncio.server.serve(behaviour, "127.0.0.1", 0, process_request=answer) as listening:
        yield f"ws://127.0.0.1:{next(iter(listening.sockets)).getsockname()[1]}"


async def begin(connection: ServerConnection) -> None:
    await connection.send(json.dumps({"type": "Begin", "id": "s", "expires_at": 0}))


async def goes_away(connection: ServerConnection) -> None:
    await begin(connection)
    await connection.close(1001, "draining")


async def forgets_termination(connection: ServerConnection) -> None:
    await begin(connection)
    async for message in connection:
        if isinstance(message, str):
            return


async def falls_silent(connection: ServerConnection) -> None:
    await begin(connection)
    async for _ in connection:
        pass


async def vanishes(connection: ServerConnection) -> None:
    await begin(connection)
    connection.transport.abort()


@pytest.mark.parametrize(
    ("behaviour", "says"),
    [
        (goes_away, r"closed the session early \(1001: draining\)"),
        (forgets_termination, r"closed the session early \(1000\)"),
        (vanishes, "closed the session early"),
        (falls_silent, "said nothing for 1 s after the last audio"),
    ],
)
async def test_a_server_that_breaks_off_or_falls_silent_is_told(
    wav_file: Path, behaviour: Behaviour, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_QUIET_SECONDS", 1.0)
    async with server(behaviour) as url, asyncio.timeout(30):
        with pytest.raises(CommandError, match=says):
            await transcribe(url, "key", 50, open_recording(wav_file), Wanted())


async def test_a_recording_that_cannot_be_read_to_its_end_is_told_at_once(wav_file: Path) -> None:
    recording = open_recording(wav_file)
    wav_file.write_bytes(b"gone")
    async with server(falls_silent) as url, asyncio.timeout(20):
        with pytest.raises(CommandError, match=f"{wav_file} cannot be read any more") as refused:
            await transcribe(url, "key", 50, recording, Wanted())
    assert refused.value.status == 2


async def test_a_server_that_is_none_is_told(wav_file: Path) -> None:
    recording = open_recording(wav_file)
    async with server(begin, HTTPStatus.GONE) as url:
        with pytest.raises(CommandError, match="refused: HTTP 410"):
            await transcribe(url, "key", 1, recording, Wanted())
    for url, says in (
        ("ws://127.0.0.1:9", "start a stack with: streamingstack up"),
        ("http://127.0.0.1:9", "no WebSocket URL"),
        ("ws://me:hidden@127.0.0.1:9", "ws://127.0.0.1:9: "),
    ):
        with pytest.raises(CommandError, match=says) as refused:
            await transcribe(url, "key", 1, recording, Wanted())
        assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("ws://host:1", "ws://host:1/v3/ws?sample_rate=16000&a=b"),
        ("ws://host:1/", "ws://host:1/v3/ws?sample_rate=16000&a=b"),
        ("wss://host/v3/ws", "wss://host/v3/ws?sample_rate=16000&a=b"),
    ],
)
def test_the_path_is_added_where_the_url_has_none(url: str, path: str) -> None:
    assert client.Request(url, "key", {"a": "b"}).address == path


def test_parameters_are_pairs() -> None:
    assert parsed_parameters(["a=b", 'keyterms_prompt=["x=y"]']) == {"a": "b", "keyterms_prompt": '["x=y"]'}
    with pytest.raises(CommandError, match="expected NAME=VALUE") as refused:
        parsed_parameters(["a"])
    assert refused.value.status == 2


def test_a_local_stacks_key_is_found_by_its_port_and_goes_nowhere_else(tmp_path: Path) -> None:
    state = State(tmp_path / ".state" / "universal")
    key = local_key(state)
    state.run.mkdir()
    (state.run / "gateway.json").write_text(json.dumps({"environment": {"AAI_WSS_PORT": "8080"}}))
    assert key_of_local_stack("ws://127.0.0.1:8080", tmp_path) == key
    assert key_of_local_stack("ws://localhost:8080", tmp_path) == key
    assert key_of_local_stack("ws://127.0.0.1:9999", tmp_path) is None
    assert key_of_local_stack("wss://elsewhere.example:8080", tmp_path) is None
    for unreadable in ("{", "[]", '{"environment": {}}'):
        other = State(tmp_path / ".state" / "other")
        other.run.mkdir(parents=True, exist_ok=True)
        (other.run / "gateway.json").write_text(unreadable)
        assert key_of_local_stack("ws://127.0.0.1:8080", tmp_path) == key
    secret = state.token_secret.read_text()
    assert len(secret.strip()) >= 32
    assert state.token_secret.stat().st_mode & 0o077 == 0
    assert local_key(state) == key
    assert state.token_secret.read_text() == secret
    assert state.api_key.stat().st_mode & 0o077 == 0
    assert key not in state.api_key_hashes.read_text()


def test_the_examples_recordings_are_usable() -> None:
    for path in sorted((EXAMPLES / "audio").glob("*.wav")):
        assert open_recording(path).seconds > 1
