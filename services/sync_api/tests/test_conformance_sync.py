"""Checks 107 to 115 of the protocol: one test each, named by its number."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx2
import pytest
from scripted_sync_api import SPOKEN, TEXT, Stack, wav
from streamingstack_bench.scripted import serve_scripted

SIX_KEYS = {"text", "words", "confidence", "audio_duration_ms", "session_id", "request_time_ms"}


def refused(answer: httpx2.Response, status: int, code: str) -> None:
    """Both forms of an error, merged."""
    body = answer.json()
    assert (answer.status_code, body["status"], body["error_code"]) == (status, status, code)
    assert body["title"].lower().replace(" ", "_") == code
    assert body["detail"] == body["message"]
    assert body["detail"]


@pytest.mark.check(107)
async def test_107_a_wav_and_a_config_are_answered_with_six_keys_and_whole_milliseconds(plain_stack: Stack) -> None:
    answer = await plain_stack.send(wav(6.0), {"prompt": "Restaurants."})
    assert answer.status_code == 200
    body = answer.json()
    assert body.keys() == SIX_KEYS
    assert (body["text"], body["audio_duration_ms"]) == (TEXT, 6000)
    assert isinstance(body["audio_duration_ms"], int)
    assert UUID(body["session_id"])
    assert body["request_time_ms"] > 0
    times = [(word["text"], word["start"], word["end"]) for word in body["words"]]
    assert times == [(word.text, word.start_ms, word.end_ms) for word in SPOKEN.words]
    assert all(isinstance(word[edge], int) for word in body["words"] for edge in ("start", "end"))
    assert body["confidence"] == pytest.approx(0.9)


@pytest.mark.check(108)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": ""}, 401),
        ({"Authorization": "self-hosted"}, 200),
        ({"Authorization": "Bearer anything"}, 200),
        ({"Authorization": "x", "X-AAI-Model": "no-such-model"}, 200),
    ],
)
async def test_108_any_authorization_that_is_not_empty_is_taken(
    plain_stack: Stack, headers: dict[str, str], status: int
) -> None:
    answer = await plain_stack.send(wav(6.0), headers=headers)
    assert answer.status_code == status
    if status == 401:
        refused(answer, 401, "unauthorized")


@pytest.mark.check(109)
@pytest.mark.parametrize(
    ("audio", "audio_type"),
    [
        (b"ID3" + bytes(2000), "audio/mpeg"),
        (wav(1.0, subtype="PCM_U8"), "audio/wav"),
        (wav(1.0, rate=11_025), "audio/wav"),
        (wav(1.0, subtype="FLOAT"), "audio/wav"),
        (wav(1.0, kind="FLAC"), "audio/wav"),
        (wav(1.0, channels=3), "audio/wav"),
    ],
    ids=["mpeg", "8-bit", "11025 Hz", "float", "FLAC called WAV", "three channels"],
)
async def test_109_other_audio_than_16_bit_pcm_of_usual_rates_is_unsupported(
    plain_stack: Stack, audio: bytes, audio_type: str
) -> None:
    refused(await plain_stack.send(audio, audio_type=audio_type), 415, "unsupported_media_type")


@pytest.mark.check(110)
async def test_110_too_short_too_long_and_too_large_recordings_are_refused(plain_stack: Stack) -> None:
    refused(await plain_stack.send(wav(0.05)), 400, "audio_too_short")
    refused(await plain_stack.send(wav(121.0, rate=8000)), 413, "audio_too_large")
    refused(await plain_stack.send(bytes(42_000_000)), 413, "audio_too_large")


@pytest.mark.check(110)
async def test_110_a_body_over_the_cap_is_refused_before_it_was_sent(plain_stack: Stack) -> None:
    headers = {"Authorization": "x", "Content-Type": "multipart/form-data; boundary=b", "Content-Length": "99999999"}
    reader, writer = await asyncio.open_connection("127.0.0.1", plain_stack.running.port)
    lines = [f"{name}: {value}" for name, value in {"Host": "here", **headers}.items()]
    writer.write("\r\n".join(["POST /transcribe HTTP/1.1", *lines, "", "--b\r\n"]).encode())
    assert b" 413 " in await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    del headers["Content-Length"]  # sent in chunks, its size is not known before
    audio = b'--b\r\nContent-Disposition: form-data; name="audio"\r\nContent-Type: audio/wav\r\n\r\n'

    async def body() -> AsyncIterator[bytes]:
        yield audio
        for _ in range(60):
            yield bytes(1_000_000)

    answer = await plain_stack.client.post(f"{plain_stack.url}/transcribe", content=body(), headers=headers)
    refused(answer, 413, "audio_too_large")


@pytest.mark.check(111)
async def test_111_a_form_needs_audio_and_a_config_of_json_whose_unknown_fields_are_ignored(plain_stack: Stack) -> None:
    headers = {"Authorization": "x"}
    answer = await plain_stack.client.post(
        f"{plain_stack.url}/transcribe", files={"config": (None, "{}")}, headers=headers
    )
    refused(answer, 400, "bad_request")
    assert "audio" in answer.json()["detail"]
    for config in ("not json", "[]", '"text"', "{"):
        refused(await plain_stack.send(wav(1.0), config), 400, "bad_request")
    assert (await plain_stack.send(wav(1.0), {"no_such_field": 1})).status_code == 200


@pytest.mark.check(112)
@pytest.mark.parametrize(
    ("config", "status"),
    [
        ({}, 400),
        ({"sample_rate": 16_000}, 400),
        ({"channels": 1}, 400),
        ({"sample_rate": 16_000, "channels": 1}, 200),
        ({"sample_rate": 48_000, "channels": 2}, 200),
        ({"sample_rate": 8000, "channels": 1}, 200),
    ],
)
async def test_112_raw_pcm_needs_its_rate_and_channels(plain_stack: Stack, config: dict[str, int], status: int) -> None:
    frames = 6 * config.get("sample_rate", 16_000)
    answer = await plain_stack.send(bytes(2 * frames * config.get("channels", 1)), config, audio_type="audio/pcm")
    assert answer.status_code == status
    if status == 400:
        refused(answer, 400, "bad_audio")
    else:
        assert (answer.json()["text"], answer.json()["audio_duration_ms"]) == (TEXT, 6000)


@pytest.mark.check(112)
async def test_112_half_a_frame_is_malformed(plain_stack: Stack) -> None:
    answer = await plain_stack.send(bytes(32_002), {"sample_rate": 16_000, "channels": 2}, audio_type="audio/pcm")
    refused(answer, 400, "bad_audio")


@pytest.mark.check(113)
@pytest.mark.parametrize(
    "config",
    [
        {"word_boost": ["Fandango"]},
        {"keyterms_prompt": ["Fandango"]},
        {"language_code": "en"},
        {"language_code": ["en", "es"]},
        {"language_codes": ["es"]},
        {"conversation_context": "Where to?"},
        {"conversation_context": ["Where to?", "To Rome."], "timestamps": True, "language_code": None},
    ],
)
async def test_113_old_and_new_names_of_fields_are_taken(plain_stack: Stack, config: dict[str, Any]) -> None:
    answer = await plain_stack.send(wav(6.0), config)
    assert (answer.status_code, answer.json()["text"]) == (200, TEXT)


@pytest.mark.check(114)
async def test_114_ready_means_warm_and_the_other_probes_always_answer(stack: Any) -> None:
    async with serve_scripted(SPOKEN) as other:
        free = other.port
    async with stack(asr_endpoint=f"127.0.0.1:{free}", queue_seconds=0) as cold:
        for path, status in (("/readyz", 503), ("/healthz", 200), ("/v1/warm", 200)):
            assert (await cold.client.get(cold.url + path)).status_code == status
        refusal = await cold.send(wav(1.0))
        refused(refusal, 503, "capacity_exceeded")
        assert int(refusal.headers["retry-after"]) > 0
        async with serve_scripted(SPOKEN, port=free):
            async with asyncio.timeout(20):
                while (await cold.client.get(f"{cold.url}/readyz")).status_code != 200:
                    await asyncio.sleep(0.05)
            assert (await cold.client.get(f"{cold.url}/healthz")).status_code == 200


@pytest.mark.check(115)
@pytest.mark.parametrize("path", ["/v1/transcribe/live", "/v1/transcribe/stream", "/v1/transcribe"])
async def test_115_a_recording_is_taken_in_chunks_while_it_is_made(plain_stack: Stack, path: str) -> None:
    head = (
        b'--b\r\nContent-Disposition: form-data; name="config"\r\nContent-Type: application/json\r\n\r\n'
        + json.dumps({"sample_rate": 16_000, "channels": 1}).encode()
        + b'\r\n--b\r\nContent-Disposition: form-data; name="audio"; filename="audio.pcm"\r\n'
        + b"Content-Type: audio/pcm\r\n\r\n"
    )

    async def body() -> AsyncIterator[bytes]:
        yield head
        for _ in range(60):
            yield bytes(3200)
            await asyncio.sleep(0.001)
        yield b"\r\n--b--\r\n"

    headers = {"Authorization": "x", "Content-Type": "multipart/form-data; boundary=b"}
    answer = await plain_stack.client.post(plain_stack.url + path, content=body(), headers=headers)
    assert answer.status_code == 200
    assert answer.json().keys() == SIX_KEYS
    assert (answer.json()["text"], answer.json()["audio_duration_ms"]) == (TEXT, 6000)
