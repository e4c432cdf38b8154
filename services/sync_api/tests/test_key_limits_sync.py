"""Recordings and live sessions, counted together: for the limits of their key, and for the licence."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx2
import pytest
from license_proxy_process import license_proxy_process
from scripted_gateway import scripted_gateway
from scripted_sync_api import TEXT, Stack, wav
from stand_in_proxy import ready
from streaming_sync_api.audio import Recording, read_recording
from streamingstack_bench.wire_client import wire_client

SLOW = 2.0
TOO_MANY = (429, "too_many_requests")
FULL = (503, "capacity_exceeded")


def keys_in(folder: Path, *lines: str) -> Path:
    file = folder / "keys"
    written = [line.partition(" ") for line in lines]
    file.write_text("".join(f"{sha256(key.encode()).hexdigest()} {key} {limits}\n" for key, _, limits in written))
    return file


async def send(running: Stack, key: str | bytes = "small", audio: bytes = b"") -> httpx2.Response:
    return await running.send(audio or wav(6.0), headers={"Authorization": key})  # type: ignore[dict-item]


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error_code"]


@contextlib.asynccontextmanager
async def in_work(running: Stack, key: str = "small") -> AsyncIterator[None]:
    """A recording that a recogniser has begun to hear; at the end it was heard."""
    sent = asyncio.create_task(send(running, key))
    while not running.recogniser.slots.bulk:
        await asyncio.sleep(0.01)
    yield
    assert (await sent).json()["text"] == TEXT


async def test_beyond_its_sessions_a_key_is_told_when_to_come_back_and_others_are_heard(
    stack: Any, tmp_path: Path
) -> None:
    keys = keys_in(tmp_path, "small max_sessions=1", "large")
    async with stack(api_keys_file=keys, delay_seconds=SLOW) as running:
        async with in_work(running):
            refused = await send(running)
            assert code(refused) == TOO_MANY
            assert 1 <= int(refused.headers["retry-after"]) <= 60
            assert (await send(running, "large")).status_code == 200
        assert (await send(running)).status_code == 200


async def test_a_key_s_slow_uploads_take_no_more_places_than_its_sessions(stack: Any, tmp_path: Path) -> None:
    keys = keys_in(tmp_path, "small max_sessions=2", "large")
    head = ["POST /transcribe HTTP/1.1", "Host: here", "Authorization: small", "Content-Length: 5000"]
    async with stack(api_keys_file=keys, max_requests=3) as running:
        writers = []
        for _ in range(2):
            _, writer = await asyncio.open_connection("127.0.0.1", running.running.port)
            writer.write("\r\n".join([*head, "Content-Type: multipart/form-data; boundary=b", "", "--b\r\n"]).encode())
            writers.append(writer)
        async with asyncio.timeout(5):
            while "requests_active 2.0" not in await running.metrics():
                await asyncio.sleep(0.02)
        assert code(await send(running)) == TOO_MANY
        assert (await send(running, "large")).status_code == 200
        for writer in writers:
            writer.close()


async def test_new_recordings_of_a_minute_are_counted_and_refused_ones_are_not(stack: Any, tmp_path: Path) -> None:
    async with stack(api_keys_file=keys_in(tmp_path, "small max_new_per_minute=2")) as running:
        assert (await send(running, audio=wav(0.01))).status_code == 400
        assert [(await send(running)).status_code for _ in range(4)] == [200, 200, 429, 429]
        assert 50 <= int((await send(running)).headers["retry-after"]) <= 60


@contextlib.asynccontextmanager
async def beside_a_gateway(stack: Any, folder: Path, keys: Path, **claims: Any) -> AsyncIterator[tuple[Stack, Any]]:
    """A sync API and a gateway of one stack, before its licence proxy."""
    async with license_proxy_process(folder / "proxy", **claims) as proxy:
        usual: dict[str, Any] = {"api_keys_file": keys, "license_endpoint": proxy.url}
        async with stack(delay_seconds=SLOW, **usual) as running, scripted_gateway(**usual) as gateway:
            await ready(gateway)
            async with asyncio.timeout(10):
                while not running.running.api.ready:
                    await asyncio.sleep(0.02)
            yield running, gateway


async def first(gateway: Any) -> tuple[str, int | None]:
    async with wire_client(gateway.url, key="small") as client:
        message = await client.next() or {}
        return message["type"], message.get("error_code")


@pytest.mark.parametrize(
    ("limits", "claims", "refusal"),
    [("max_sessions=1", {}, TOO_MANY), ("", {"session_limit": 1}, FULL)],
    ids=["of the key", "of the licence"],
)
async def test_the_last_place_is_a_session_s_or_a_recording_s(
    stack: Any, tmp_path: Path, limits: str, claims: dict[str, Any], refusal: tuple[int, str]
) -> None:
    keys = keys_in(tmp_path, f"small {limits}")
    async with beside_a_gateway(stack, tmp_path, keys, **claims) as (running, gateway):
        async with in_work(running):
            assert await first(gateway) == ("Error", 3009)
        async with asyncio.timeout(5):
            while (await first(gateway))[0] != "Begin":
                await asyncio.sleep(0.1)
        await gateway.is_empty()
        async with wire_client(gateway.url, key="small") as session:
            assert (await session.next() or {})["type"] == "Begin"
            assert code(await send(running)) == refusal
            await session.terminate()
        async with asyncio.timeout(5):
            while (await send(running)).status_code != 200:
                await asyncio.sleep(0.1)


async def test_a_key_with_letters_of_any_alphabet_is_the_gateway_s_key_here_too(stack: Any, tmp_path: Path) -> None:
    async with stack(api_keys_file=keys_in(tmp_path, "schlüssel")) as running:
        for sent, status in (("schlüssel", 200), ("Bearer schlüssel", 200), ("schlussel", 401)):
            assert (await send(running, sent.encode())).status_code == status


async def test_the_deadline_counts_what_reading_the_audio_takes(stack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(*audio: Any) -> Recording:
        time.sleep(1.5)
        return read_recording(*audio)

    monkeypatch.setattr("streaming_sync_api.service.read_recording", slowly)
    async with stack(inference_seconds=0.5) as running:
        began = time.monotonic()
        assert code(await send(running, "x")) == (504, "inference_timeout")
        assert time.monotonic() - began < 1.4
