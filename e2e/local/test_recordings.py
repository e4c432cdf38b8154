"""Whole recordings through a whole stack with a sync API: real Triton, real nginx, real speech."""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import assemblyai as aai
import httpx2
import jiwer
import pytest
from assemblyai.sync.v1 import SyncTranscriber
from running_stack import AUDIO, RATE, LocalStack, metric, pcm_of
from streamingstack_bench.wire_client import wire_client
from whisper_normalizer.english import EnglishTextNormalizer

pytestmark = pytest.mark.stack

MANIFEST = [json.loads(line) for line in (AUDIO / "manifest.jsonl").read_text().splitlines()]
ENGLISH = {Path(entry["file"]).stem: entry["reference"] for entry in MANIFEST if entry["file"].startswith("en_")}
RECORDING = AUDIO / "en_derived_pauses_1688.wav"
# How much worse than live a whole recording may be: it is heard in other windows.
MARGIN = 0.05
normal = EnglishTextNormalizer()


@pytest.fixture
async def http(sync_stack: LocalStack) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(
        base_url=f"http://127.0.0.1:{8083 + sync_stack.offset}",
        headers={"Authorization": sync_stack.api_key},
        timeout=90,
        trust_env=False,
    ) as client:
        yield client


async def transcribed(http: httpx2.AsyncClient, recording: Path) -> dict[str, Any]:
    """As a patient client: a machine that is busy with live sessions says 503 or 504, and is asked again."""
    audio = await asyncio.to_thread(recording.read_bytes)
    async with asyncio.timeout(240):
        while True:
            answer = await http.post("/transcribe", files={"audio": (recording.name, audio, "audio/wav")})
            if answer.status_code not in (503, 504):
                break
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def live(stack: LocalStack, recording: Path) -> list[str]:
    """The finals of a live session in a burst."""
    async with wire_client(stack.url, key=stack.api_key, format_turns="true") as client:
        assert (await client.next())["type"] == "Begin"  # type: ignore[index]
        pcm = pcm_of(recording)
        reading = asyncio.create_task(client.rest(240))
        for start in range(0, len(pcm), 2 * RATE // 10):
            await client.raw(pcm[start : start + 2 * RATE // 10])
        await client.say("Terminate")
        assert (await reading)[0] == 1000
    return list(client.finals)


async def test_recordings_say_what_was_said_as_well_as_live(sync_stack: LocalStack, http: httpx2.AsyncClient) -> None:
    said, heard, heard_live = [], [], []
    for stem, reference in ENGLISH.items():
        body = await transcribed(http, AUDIO / f"{stem}.wav")
        words = body["words"]
        assert body["text"] == " ".join(word["text"] for word in words)
        assert all(one["start"] <= one["end"] for one in words)
        assert all(one["end"] <= after["start"] for one, after in itertools.pairwise(words))
        assert words[-1]["end"] <= body["audio_duration_ms"]
        said.append(normal(reference))
        heard.append(normal(body["text"]))
        heard_live.append(normal(" ".join(await live(sync_stack, AUDIO / f"{stem}.wav"))))
    assert jiwer.wer(said, heard) <= jiwer.wer(said, heard_live) + MARGIN
    assert jiwer.wer(said, heard) <= 0.2


async def test_the_same_recording_says_the_same_alone_and_in_company(http: httpx2.AsyncClient) -> None:
    alone = (await transcribed(http, RECORDING))["words"]
    together = await asyncio.gather(*(transcribed(http, RECORDING) for _ in range(3)))
    assert [body["words"] for body in together] == [alone] * 3


async def test_a_live_session_says_the_same_beside_recordings(sync_stack: LocalStack, http: httpx2.AsyncClient) -> None:
    alone = await live(sync_stack, RECORDING)
    recordings = [asyncio.create_task(transcribed(http, RECORDING)) for _ in range(3)]
    assert await live(sync_stack, RECORDING) == alone
    assert len({(await one)["text"] for one in recordings}) == 1


async def test_the_official_sdk_transcribes_with_a_key_and_not_without(sync_stack: LocalStack) -> None:
    url = f"http://127.0.0.1:{8083 + sync_stack.offset}"

    def transcribe(key: str) -> str:
        client = aai.Client(settings=aai.Settings(api_key=key, sync_base_url=url))
        text: str = SyncTranscriber(client=client).transcribe(str(RECORDING)).text
        return text

    assert await asyncio.to_thread(transcribe, sync_stack.api_key)
    with pytest.raises(aai.AssemblyAIError, match="invalid API key"):
        await asyncio.to_thread(transcribe, "somebody-else")


async def test_every_recording_is_metered_by_the_licence_proxy(
    sync_stack: LocalStack, http: httpx2.AsyncClient
) -> None:
    async def audio_seconds() -> float:
        return await metric(sync_stack, 9089, "streaming_sync_audio_seconds_total")

    async def told() -> float:
        return await metric(sync_stack, 8082, "license_proxy_usage_events_accepted_total")

    before, told_before = await audio_seconds(), await told()
    body = await transcribed(http, RECORDING)
    assert await audio_seconds() - before == pytest.approx(body["audio_duration_ms"] / 1000)
    deadline = time.monotonic() + 20
    while await told() == told_before:
        assert time.monotonic() < deadline, "no usage reached the licence proxy"
        await asyncio.sleep(0.2)
