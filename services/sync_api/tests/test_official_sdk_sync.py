"""The official Python SDK's sync clients, unchanged, against a whole sync API over real sockets."""

import asyncio
from typing import Any

import assemblyai as aai
import pytest
from assemblyai.sync.v1 import (
    AsyncSyncTranscriber,
    SyncTranscriber,
    SyncTranscriptError,
    SyncTranscriptionConfig,
)
from scripted_sync_api import SPOKEN, TEXT, Stack, wav


@pytest.fixture
def client(plain_stack: Stack) -> aai.Client:
    return aai.Client(settings=aai.Settings(api_key="self-hosted", sync_base_url=plain_stack.url))


CONFIG = {"keyterms_prompt": ["table"], "language_codes": ["en"], "conversation_context": ["Hello."]}


async def test_a_recording_is_transcribed(plain_stack: Stack, client: aai.Client) -> None:
    transcriber = SyncTranscriber(client=client, config=SyncTranscriptionConfig(**CONFIG))
    assert await asyncio.to_thread(transcriber.warm)
    heard = await asyncio.to_thread(transcriber.transcribe, wav(6.0))
    assert (heard.text, heard.audio_duration_ms) == (TEXT, 6000)
    assert [(word.text, word.start, word.end) for word in heard.words] == [
        (word.text, word.start_ms, word.end_ms) for word in SPOKEN.words
    ]


async def test_raw_audio_is_transcribed_while_it_is_made(plain_stack: Stack, client: aai.Client) -> None:
    config = SyncTranscriptionConfig(sample_rate=16_000, channels=1)
    transcriber = SyncTranscriber(client=client)
    heard = await asyncio.to_thread(transcriber.transcribe_live, iter([bytes(3200)] * 60), config)
    assert heard.text == TEXT


async def test_the_async_client_hears_the_same(plain_stack: Stack) -> None:
    settings = aai.Settings(api_key="self-hosted", sync_base_url=plain_stack.url)
    async with AsyncSyncTranscriber(client=aai.AsyncClient(settings=settings)) as transcriber:
        assert (await transcriber.transcribe(wav(6.0))).text == TEXT


@pytest.mark.parametrize(
    ("audio", "status", "error_code"),
    [(wav(0.05), 400, "audio_too_short"), (wav(121, rate=8000), 413, "audio_too_large"), (b"x" * 50, 400, "bad_audio")],
)
async def test_refusals_reach_the_caller_by_their_codes(
    client: aai.Client, audio: Any, status: int, error_code: str
) -> None:
    with pytest.raises(SyncTranscriptError) as refused:
        await asyncio.to_thread(SyncTranscriber(client=client).transcribe, audio)
    assert (refused.value.status_code, refused.value.error_code) == (status, error_code)


async def test_a_full_server_says_when_to_come_back(stack: Any) -> None:
    async with stack(asr_endpoint="127.0.0.1:1", queue_seconds=0) as running:
        settings = aai.Settings(api_key="self-hosted", sync_base_url=running.url)
        transcriber = SyncTranscriber(client=aai.Client(settings=settings))
        with pytest.raises(SyncTranscriptError) as refused:
            await asyncio.to_thread(transcriber.transcribe, wav(6.0))
        assert (refused.value.error_code, refused.value.retry_after) == ("capacity_exceeded", 5)
