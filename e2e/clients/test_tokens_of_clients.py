"""Temporary tokens as the clients ask for them and use them, where nothing but keys and tokens opens a session."""

import contextlib
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from client_runs import JAVASCRIPT_SDK, PYTHON_SDK, PYTHON_SDK_ASYNC, Client, python_sdk, run_client

FINALS = ["Hello there, this is a test.", "Done."]
PYTHON: dict[str, Any] = {"sample_rate": 16_000, "format_turns": True}
OLD_SDKS_ASYNC = ["0.64.26", "0.65.0", "1.0.0"]
OLD_SDKS = ["0.58.0", "0.61.0", *OLD_SDKS_ASYNC]
MODEL = {"speech_model": "universal-streaming-english"}  # which 0.42.1 does not know, and those after it insist on


@contextlib.asynccontextmanager
async def keyed(stack: Any, certificates: Any, folder: Path) -> AsyncIterator[Any]:
    """A gateway that knows one key, `mine`, and makes tokens."""
    (folder / "keys").write_text(f"{hashlib.sha256(b'mine').hexdigest()} team\n")
    (folder / "token-secret").write_text("0123456789abcdef" * 2)
    files = {"api_keys_file": folder / "keys", "token_secret_file": folder / "token-secret"}
    async with stack(**files, **certificates.settings) as running:
        yield running


@pytest.mark.check(116, 118)
@pytest.mark.parametrize(
    ("client", "form", "parameters"),
    [
        (PYTHON_SDK, "{}", PYTHON),
        (PYTHON_SDK_ASYNC, "{}", PYTHON),
        (python_sdk("0.42.1"), "{}", PYTHON),
        *[(python_sdk(version), "{}", {**PYTHON, **MODEL}) for version in OLD_SDKS],
        *[(python_sdk(version, asynchronous=True), "{}", {**PYTHON, **MODEL}) for version in OLD_SDKS_ASYNC],
        (JAVASCRIPT_SDK, "wss://{}/v3/ws", {"formatTurns": True}),
    ],
    ids=lambda given: given.name if isinstance(given, Client) else "",
)
async def test_a_client_asks_for_a_token_and_opens_its_session_with_it(
    stack: Any,
    certificates: Any,
    recording: Path,
    tmp_path: Path,
    client: Client,
    form: str,
    parameters: dict[str, Any],
) -> None:
    async with keyed(stack, certificates, tmp_path) as running:
        address = form.format(running.url.removeprefix("ws://"))
        spoken = {**parameters, "audio": recording, "authority": certificates.authority}
        told = await run_client(client, address, key="mine", with_token=True, **spoken)
        await running.is_empty()
    assert told.code == 0, told.log
    assert told.of("error") == []
    assert told.finals(formatted=True) == FINALS


@pytest.mark.parametrize(
    "client", [PYTHON_SDK, *map(python_sdk, ["0.42.1", *OLD_SDKS])], ids=lambda client: client.name
)
async def test_a_key_that_does_not_open_gets_no_token(
    stack: Any, certificates: Any, tmp_path: Path, client: Client
) -> None:
    async with keyed(stack, certificates, tmp_path) as running:
        address = running.url.removeprefix("ws://")
        told = await run_client(
            client, address, key="yours", with_token=True, authority=certificates.authority, **PYTHON
        )
    assert told.code != 0
    assert "401 Unauthorized" in told.log
    assert told.events == []
