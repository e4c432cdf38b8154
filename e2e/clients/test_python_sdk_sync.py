"""The Python SDK's clients of the sync API, unchanged, in every version that is held and has them."""

import hashlib
import wave
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from client_runs import Client, Told, run_client
from scripted_sync_api import SPOKEN, TEXT, Stack, scripted_sync_api
from streamingstack_bench.scripted import Script

DRIVER = "python_sdk_sync.py"
NEWEST = Client("Python SDK 1.8.2", None, DRIVER)


def sdk(version: str) -> Client:
    return Client(f"Python SDK {version}", f"python-sdk-{version.replace('.', '-')}", DRIVER)


WITH_SYNC = [NEWEST, *map(sdk, ["1.0.0", "0.65.0", "0.64.26"])]
WITH_ASYNCHRONOUS = WITH_SYNC[:2]
WITHOUT = [sdk(version) for version in ["0.61.0", "0.58.0", "0.42.1"]]
RAW = {"sample_rate": 16_000, "channels": 1}
SAID = {"keyterms_prompt": ["table"], "language_codes": ["en"], "conversation_context": ["Hello."]}
SAID_IN_0_64 = {"word_boost": ["table"], "language_code": "en", "conversation_context": "Hello."}
# Heard right by who was told of it.
UNUSUAL = Script([replace(word, misheard="cable" if word.text == "table" else "") for word in SPOKEN.words])
WORDS = [[word.text, word.start_ms, word.end_ms] for word in SPOKEN.words]
clients = pytest.mark.parametrize("client", WITH_SYNC, ids=lambda client: client.name)


@pytest.fixture
async def sync_api() -> AsyncIterator[Stack]:
    """A sync API with the default script and settings."""
    async with scripted_sync_api() as running:
        yield running


def heard(told: Told) -> None:
    """All of the recording, in one answer."""
    assert told.code == 0, told.log
    words = told.one("words")
    assert (words["text"], words["audio_ms"]) == (TEXT, 21_870)
    assert words["words"] == WORDS
    assert words["session"]


@clients
async def test_a_file_is_transcribed_as_the_caller_steers(recording: Path, client: Client) -> None:
    said = SAID_IN_0_64 if "0.64" in client.name else SAID
    async with scripted_sync_api(UNUSUAL) as running:
        told = await run_client(client, running.url, audio=recording, how="file", config=said)
        heard(told)
        assert told.one("warm")["open"]
        unsteered = await run_client(client, running.url, audio=recording, how="file")
        assert unsteered.one("words")["text"] == TEXT.replace("table", "cable")


@clients
async def test_raw_audio_is_transcribed(sync_api: Stack, recording: Path, client: Client) -> None:
    heard(await run_client(client, sync_api.url, audio=recording, how="raw", config=RAW))


async def test_a_recording_is_sent_while_it_is_made(sync_api: Stack, recording: Path) -> None:
    heard(await run_client(NEWEST, sync_api.url, audio=recording, how="live", config=RAW))


@pytest.mark.parametrize("client", WITH_ASYNCHRONOUS, ids=lambda client: client.name)
async def test_the_asynchronous_client_hears_the_same(sync_api: Stack, recording: Path, client: Client) -> None:
    heard(await run_client(client, sync_api.url, audio=recording, how="asynchronous"))


@clients
async def test_what_is_wrong_with_a_recording_reaches_the_caller_by_its_code(
    sync_api: Stack, tmp_path: Path, client: Client
) -> None:
    expected = {0.05: (400, "audio_too_short"), 121.0: (413, "audio_too_large"), None: (400, "bad_audio")}
    for seconds, (status, code) in expected.items():
        told = await run_client(client, sync_api.url, audio=silence(tmp_path / "silence.wav", seconds), how="file")
        refused = told.one("refused")
        assert (refused["status"], refused["code"]) == (status, code)
        assert "audio" in refused["text"]


def silence(path: Path, seconds: float | None) -> Path:
    """A recording so long; None: what is none."""
    if seconds is None:
        path.write_bytes(b"no recording" * 100)
        return path
    with wave.open(str(path), "wb") as made:
        made.setnchannels(1)
        made.setsampwidth(2)
        made.setframerate(8000)
        made.writeframes(bytes(2 * round(8000 * seconds)))
    return path


@clients
async def test_a_key_that_does_not_open_reaches_the_caller(recording: Path, tmp_path: Path, client: Client) -> None:
    (tmp_path / "keys").write_text(f"{hashlib.sha256(b'mine').hexdigest()} team\n")
    async with scripted_sync_api(api_keys_file=tmp_path / "keys") as running:
        heard(await run_client(client, running.url, key="mine", audio=recording, how="file"))
        told = await run_client(client, running.url, key="yours", audio=recording, how="file")
    assert (told.one("refused")["status"], told.one("refused")["code"]) == (401, "unauthorized")


@clients
async def test_a_full_server_says_when_to_come_back(recording: Path, client: Client) -> None:
    async with scripted_sync_api(asr_endpoint="127.0.0.1:1", queue_seconds=0) as running:
        refused = (await run_client(client, running.url, audio=recording, how="file")).one("refused")
    assert (refused["status"], refused["code"], refused["retry_after"]) == (503, "capacity_exceeded", 5)


@pytest.mark.parametrize("client", WITHOUT, ids=lambda client: client.name)
async def test_older_versions_have_no_client_of_the_sync_api(sync_api: Stack, client: Client) -> None:
    assert (await run_client(client, sync_api.url, how="file")).one("missing")["name"] == "SyncTranscriber"


@pytest.mark.parametrize(
    ("client", "how", "name"),
    [
        *[(client, "live", "transcribe_live") for client in WITH_SYNC[1:]],
        *[(client, "asynchronous", "AsyncSyncTranscriber") for client in WITH_SYNC[2:]],
    ],
    ids=lambda given: given.name if isinstance(given, Client) else given,
)
async def test_what_came_later_is_not_there_before(sync_api: Stack, client: Client, how: str, name: str) -> None:
    """So that a version is not left out above that has it."""
    assert (await run_client(client, sync_api.url, how=how)).one("missing")["name"] == name
