"""Recognisers that break, are full or slow; licences, usage, clients that leave, the end of the process."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import grpc
import httpx2
import numpy as np
import pytest
from scripted_sync_api import ENGLISH, SPOKEN, TEXT, UNIVERSAL_3, Stack, wav
from stand_in_proxy import Proxy
from streamingstack.asr.v1 import recognizer_pb2 as pb
from streamingstack.asr.v1 import recognizer_pb2_grpc as rpc
from streamingstack_bench.peer import Delivery, opening, play
from streamingstack_bench.scripted import Script, serve_scripted

ONE_PLACE = 1


@contextlib.asynccontextmanager
async def live_session(port: int) -> AsyncIterator[None]:
    """A live session on the recogniser at `port`, from Ready on."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = rpc.RecognizerServiceStub(channel).Recognize()
        await call.write(pb.RecognizeRequest(open=opening()))
        assert (await call.read()).WhichOneof("message") == "ready"
        yield
        call.cancel()


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error_code"]


@pytest.mark.parametrize("replacing", [False, True])
async def test_a_recording_of_the_longest_kind_is_heard_whole(stack: Any, replacing: bool) -> None:
    script = Script.of("music " * 200 + "| | | | " + "speech " * 60, word_ms=380, gap_ms=20)
    models = [UNIVERSAL_3 if replacing else ENGLISH]
    async with stack(script, models=models, replacing=replacing) as running:
        answer = await running.send(wav(120.0))
        assert answer.json()["text"].split() == ["music"] * 200 + ["speech"] * 60


async def test_where_no_recogniser_has_a_place_the_client_is_told_when_to_come_back(stack: Any) -> None:
    async with stack(capacity=ONE_PLACE, queue_seconds=0.3) as running:
        async with live_session(running.recogniser.port):
            answer = await running.send(wav(6.0))
            assert code(answer) == (503, "capacity_exceeded")
            assert answer.headers["retry-after"].isdigit()
        assert (await running.send(wav(6.0))).json()["text"] == TEXT


async def test_a_recording_waits_in_line_for_a_place(stack: Any) -> None:
    async with stack(capacity=ONE_PLACE) as running:
        async with live_session(running.recogniser.port):
            waiting = asyncio.create_task(running.send(wav(6.0)))
            await asyncio.sleep(0.5)
            assert not waiting.done()
        assert (await waiting).json()["text"] == TEXT


async def test_a_recording_gives_its_place_to_a_live_session_and_is_heard_afterwards(stack: Any) -> None:
    async with stack(capacity=ONE_PLACE, delay_seconds=0.3) as running:
        heard = asyncio.create_task(running.send(wav(6.0)))
        while not running.recogniser.slots.bulk:
            await asyncio.sleep(0.01)
        async with live_session(running.recogniser.port):
            assert running.recogniser.slots.bulk == 0
        assert (await heard).json()["text"] == TEXT
        assert 'streams_ended_early_total{reason="gave way"} 1.0' in await running.metrics()


async def test_the_deadline_is_kept(stack: Any) -> None:
    async with stack(delay_seconds=5.0, inference_seconds=1.0) as running:
        assert code(await running.send(wav(6.0))) == (504, "inference_timeout")


async def lose_the_stream(running: Stack) -> None:
    """The recogniser's model server dies under a recording, and comes back."""
    while not running.recogniser.slots.bulk:
        await asyncio.sleep(0.01)
    await running.recogniser.suspend("the model server is away")
    while running.recogniser.slots.bulk:
        await asyncio.sleep(0.01)
    await running.recogniser.serve()


@pytest.mark.parametrize(("losses", "status"), [(1, 200), (2, 500)])
async def test_a_recogniser_that_breaks_is_replaced_once(stack: Any, losses: int, status: int) -> None:
    async with stack(delay_seconds=0.5) as running:
        sent = asyncio.create_task(running.send(wav(6.0)))
        for _ in range(losses):
            await lose_the_stream(running)
        answer = await sent
        assert answer.status_code == status
        assert answer.json().get("text", TEXT) == TEXT
        assert answer.json().get("error_code", "inference_error") == "inference_error"


async def test_a_route_that_nobody_serves_is_an_error_and_no_other_model_s_words(stack: Any) -> None:
    lost = {**ENGLISH, "route": "no-such-route"}
    async with stack(models=[lost]) as running:
        assert code(await running.send(wav(6.0))) == (500, "inference_error")


async def test_a_client_that_leaves_frees_its_place(stack: Any) -> None:
    async with stack(delay_seconds=5.0) as running:
        sent = asyncio.create_task(running.send(wav(6.0)))
        while not running.recogniser.slots.bulk:
            await asyncio.sleep(0.01)
        sent.cancel()
        async with asyncio.timeout(5):
            while running.recogniser.slots.active:
                await asyncio.sleep(0.02)
        assert "requests_active 0.0" in await running.metrics()


async def test_a_client_that_leaves_in_mid_upload_frees_its_place(plain_stack: Stack) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", plain_stack.running.port)
    head = ["POST /transcribe HTTP/1.1", "Host: here", "Authorization: x", "Content-Length: 5000"]
    writer.write("\r\n".join([*head, "Content-Type: multipart/form-data; boundary=b", "", "--b\r\n"]).encode())
    async with asyncio.timeout(5):
        while "requests_active 1.0" not in await plain_stack.metrics():
            await asyncio.sleep(0.02)
        writer.close()
        while "requests_active 0.0" not in await plain_stack.metrics():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "sent", [b"", b"POST /transcribe HTTP/1.1\r\nHost: here\r\nAuthor"], ids=["nothing", "half a head"]
)
async def test_a_client_that_ends_no_request_is_hung_up_on(plain_stack: Stack, sent: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", plain_stack.running.port)
    writer.write(sent)
    async with asyncio.timeout(20):
        assert await reader.read() == b""
    writer.close()


async def test_an_upload_that_pauses_for_too_long_is_ended(stack: Any) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"--b\r\n"
        await asyncio.sleep(1)
        yield b"--b--\r\n"

    headers = {"Authorization": "x", "Content-Type": "multipart/form-data; boundary=b"}
    async with stack(quiet_seconds=0.3) as running:
        answer = await running.client.post(f"{running.url}/transcribe", content=body(), headers=headers)
        assert code(answer) == (408, "request_timeout")


async def test_more_requests_than_fit_into_memory_are_refused(stack: Any) -> None:
    async with stack(max_requests=1, delay_seconds=1.0) as running:
        first = asyncio.create_task(running.send(wav(6.0)))
        while not running.recogniser.slots.bulk:
            await asyncio.sleep(0.01)
        assert code(await running.send(wav(6.0))) == (503, "capacity_exceeded")
        assert (await first).status_code == 200


async def test_keys_are_compared_where_there_are_any_and_read_again(stack: Any, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"{sha256(b'first').hexdigest()} shop max_sessions=2\n")

    async def status(running: Stack, authorization: str) -> int:
        return (await running.send(wav(6.0), headers={"Authorization": authorization})).status_code

    async with stack(api_keys_file=file) as running:
        assert [await status(running, key) for key in ("first", "Bearer first", "second")] == [200, 200, 401]
        file.write_text(f"{sha256(b'second').hexdigest()} other\n")
        assert [await status(running, key) for key in ("first", "second")] == [401, 200]


async def test_every_recording_is_metered_once_with_its_length_and_tenant(
    stack: Any, proxy: Proxy, tmp_path: Path
) -> None:
    async with stack(license_endpoint=proxy.url, spool_dir=tmp_path) as running:
        async with asyncio.timeout(10):
            while not running.running.api.ready:
                await asyncio.sleep(0.02)
        proxy.away = True
        sent = [(await running.send(wav(seconds))).json()["session_id"] for seconds in (6.0, 2.5)]
        assert (await running.send(wav(0.01))).status_code == 400
        proxy.away = False
    events = {session: proxy.usage[session] for session in sent}
    assert len(proxy.usage) == 2, "what was refused is not metered"
    assert [events[session]["audio_ms"] for session in sent] == [6000, 2500]
    assert {(event["tenant"], event["model"], event["ended"]) for event in events.values()} == {
        ("open", "universal-streaming-english", True)
    }


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"state": "Failed"}, (403, "license_not_valid")),
        ({"models": ["universal-3-5-pro"]}, (403, "license_not_valid")),
        ({"session_limit": 0}, (503, "capacity_exceeded")),
    ],
)
async def test_without_a_licence_nothing_is_heard(
    stack: Any, proxy: Proxy, said: dict[str, Any], status: tuple[int, str]
) -> None:
    for name, value in said.items():
        setattr(proxy, name, value)
    async with stack(license_endpoint=proxy.url) as running:
        async with asyncio.timeout(10):
            while not running.running.api.ready:
                await asyncio.sleep(0.02)
        assert code(await running.send(wav(6.0))) == status


async def test_before_any_verdict_on_the_licence_nothing_is_heard(stack: Any, proxy: Proxy) -> None:
    proxy.away = True
    async with stack(license_endpoint=proxy.url) as running:
        assert code(await running.send(wav(6.0))) == (503, "capacity_exceeded")
        assert (await running.client.get(f"{running.url}/readyz")).status_code == 503


async def test_a_pod_that_leaves_ends_what_it_has_begun(stack: Any) -> None:
    async with stack(delay_seconds=0.5) as running:
        sent = asyncio.create_task(running.send(wav(6.0)))
        while not running.recogniser.slots.bulk:
            await asyncio.sleep(0.01)
        draining = asyncio.create_task(running.running.api.drain(0.0, 20.0))
        async with asyncio.timeout(5):
            while (await running.client.get(f"{running.url}/readyz")).status_code == 200:
                await asyncio.sleep(0.01)
        assert code(await running.send(wav(6.0))) == (503, "capacity_exceeded")
        assert (await sent).json()["text"] == TEXT
        await draining


async def test_paths_and_methods_that_are_none_are_told_in_the_same_form(plain_stack: Stack) -> None:
    assert code(await plain_stack.client.get(f"{plain_stack.url}/transcribe")) == (405, "method_not_allowed")
    assert code(await plain_stack.client.post(f"{plain_stack.url}/v2/transcript")) == (404, "not_found")


async def test_a_live_session_beside_recordings_hears_what_it_hears_alone(stack: Any) -> None:
    """Its words, their order and its checkpoints, with as many recordings beside it as the pod takes."""

    async def events(port: int) -> list[tuple[Any, ...]]:
        result = await play(f"127.0.0.1:{port}", np.zeros(16_000 * 8, np.int16), how=Delivery(100, 4.0))
        words = [(w.text, w.start_sample, w.end_sample, w.index) for s in result.segments() for w in s]
        return [*words, *((c.at_sample, c.silence_ms, c.segment) for c in result.of("checkpoint"))]

    async with serve_scripted(SPOKEN) as alone:
        expected = await events(alone.port)
    async with stack(capacity=4, max_requests=8) as running:
        recordings = [asyncio.create_task(running.send(wav(60.0))) for _ in range(6)]
        while not running.recogniser.slots.bulk:
            await asyncio.sleep(0.01)
        assert await events(running.recogniser.port) == expected
        assert {(await one).json()["text"] for one in recordings} == {TEXT}


async def test_a_process_says_what_is_wrong_with_its_environment(stack: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match=r"127\.0\.0\.1"):
            async with stack(port=taken.getsockname()[1]):
                pass
    with pytest.raises(ValueError, match="AAI_ASR_ENDPOINT"):
        async with stack(asr_endpoint="nowhere"):
            pass
    with pytest.raises(ValueError, match="default speech model"):
        async with stack(default_speech_model="none"):
            pass
    with pytest.raises(ValueError, match="name at least one model"):
        async with stack(models=[]):
            pass
