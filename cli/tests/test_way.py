"""`transcribe` over TLS of a company's own authority, to a name that DNS does not know."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from streamingstack_cli.errors import CommandError
from streamingstack_cli.main import app
from streamingstack_cli.way import way_to
from typer.testing import CliRunner
from websockets.asyncio.server import ServerConnection, serve

from .test_recording import wav

NAME = "speech.example"


async def session(connection: ServerConnection) -> None:
    """The shortest session of the protocol."""
    await connection.send(json.dumps({"type": "Begin", "id": "s", "expires_at": 0}))
    async for message in connection:
        if isinstance(message, str) and json.loads(message)["type"] == "Terminate":
            ended = {"type": "Termination", "audio_duration_seconds": 1, "session_duration_seconds": 1}
            await connection.send(json.dumps(ended))
            return


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def address(authority: trustme.CA) -> AsyncIterator[str]:
    """host:port of a server whose certificate is for NAME."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(NAME).configure_cert(context)
    async with serve(session, "127.0.0.1", 0, ssl=context) as server:
        yield f"127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


async def transcribe(folder: Path, *more: str) -> tuple[int, str]:
    audio = folder / "a.wav"
    audio.write_bytes(wav(bytes(16000)))
    arguments = ["transcribe", str(audio), "--url", f"wss://{NAME}", "--api-key", "k", "--speed", "10", *more]
    result = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    return result.exit_code, result.stderr


async def test_a_given_authority_and_address_are_enough(authority: trustme.CA, address: str, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    assert await transcribe(tmp_path, "--ca", str(tmp_path / "ca.pem"), "--connect-to", address) == (0, "")


async def test_an_unknown_authority_is_refused_with_the_remedy(address: str, tmp_path: Path) -> None:
    status, err = await transcribe(tmp_path, "--connect-to", address)
    assert status == 1
    assert "name the authority's certificate with --ca" in err


@pytest.mark.parametrize("wrong", ["host", "host:0", ":80", "host:http"])
def test_an_address_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(CommandError, match="expected HOST:PORT"):
        way_to(None, wrong)


def test_an_authority_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(CommandError, match=r"--ca .*PEM file"):
        way_to(tmp_path / "ca.pem", None)
