"""What clients may wish for besides, over real sockets: compressed audio, a route, silences, clean words."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from encoded import encoded
from stack_model.api import load_stack
from stack_model.catalogue import dump_models, gateway_models
from streamingstack_bench.scripted import Script
from streamingstack_bench.wire_client import wire_client
from websockets.asyncio.client import connect

U3PRO = Path(__file__).parents[3] / "examples" / "u3pro.yaml"
WHOLE_MS = 6000  # of the script
FINALS = ["hello there this is a test", "done"]
OGG, PACKETS = encoded("libopus", "ogg", 48_000)
ADTS, _ = encoded("aac", "adts", 44_100)


def slices(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize(
    ("encoding", "messages"),
    [
        ("opus", list(PACKETS)),
        ("ogg_opus", slices(OGG, 1000)),
        ("ogg_opus", slices(OGG, 250_000)),
        ("aac", slices(ADTS, 777)),
        ("aac", slices(ADTS, 250_000)),
    ],
)
async def test_compressed_audio_is_heard_on_the_same_clock(
    plain_stack: Any, encoding: str, messages: list[bytes]
) -> None:
    async with wire_client(plain_stack.url, encoding=encoding, sample_rate=24_000) as client:
        client.rules.audio_ms = 10_200
        for message in messages:
            await client.connection.send(message)
        await client.terminate()
    assert client.messages[0]["configuration"]["encoding"] == encoding
    assert client.finals == FINALS
    assert client.messages[-1]["audio_duration_seconds"] == 10


@pytest.mark.parametrize("encoding", ["opus", "ogg_opus", "aac"])
async def test_audio_that_cannot_be_decoded_ends_its_own_session_only(plain_stack: Any, encoding: str) -> None:
    async with (
        wire_client(plain_stack.url, encoding="opus") as neighbour,
        wire_client(plain_stack.url, encoding=encoding) as client,
    ):
        neighbour.rules.audio_ms = 10_200
        await client.connection.send(b"\xff" * 100_000)
        code, reason = await client.rest()
        for packet in PACKETS:
            await neighbour.connection.send(packet)
        await neighbour.terminate()
    assert (code, reason) == (3006, "See Error message for details")
    assert "Failed to decode" in client.messages[-1]["error"]
    assert neighbour.finals == FINALS


async def test_a_message_with_minutes_of_audio_lets_the_neighbours_speak(plain_stack: Any) -> None:
    """Two bytes of Opus are up to 120 ms: a message of 30,000 packets in Ogg would hold the loop for seconds."""
    gaps: list[float] = []

    async def watch() -> None:
        loop = asyncio.get_running_loop()
        while True:
            since = loop.time()
            await asyncio.sleep(0.005)
            gaps.append(loop.time() - since)

    async with wire_client(plain_stack.url, encoding="ogg_opus") as client:
        begin = OGG[: OGG.index(b"OggS", OGG.index(b"OpusTags"))]
        serial = begin[14:18]
        body = bytes([0x1B, 0x03 | 0x40]) * 255  # code 3: three frames of 20 ms, all lost, in two bytes
        page = b"OggS\x00\x00" + bytes(8) + serial + bytes(8) + bytes([255]) + bytes([2] * 255) + body
        watcher = asyncio.create_task(watch())
        await client.connection.send(begin)
        await client.connection.send(page * 30)
        code, _ = await client.rest(60)
        await asyncio.sleep(0.02)  # the last gap counts too, and there is one
        watcher.cancel()
    assert code in (3006, 3007)
    assert max(gaps) < 1


async def told_model(url: str, query: str, route: str) -> str:
    """The model that Begin names for a client with a header of its own, or why there is no session."""
    headers = {"Authorization": "self-hosted", "X-Model-Version": route}
    async with connect(f"{url}/v3/ws{query}", additional_headers=headers, compression=None) as connection:
        first = json.loads(await connection.recv())
    return str(first["configuration"]["model"] if first["type"] == "Begin" else first["error"])


@pytest.mark.parametrize(
    ("query", "header", "answer"),
    [
        ("", "ml-default", "universal-streaming-multilingual"),
        ("?speech_model=universal-streaming-english", "en-default", "universal-streaming-english"),
        ("", "", "universal-streaming-english"),
        ("?speech_model=universal-streaming-english", "ml-default", "Invalid 'X-Model-Version': Input should be 'en-d"),
        ("", "nope", "Invalid 'X-Model-Version': Input should be 'en-default' or 'ml-default'"),
    ],
)
async def test_a_client_s_own_x_model_version_chooses_or_agrees(
    plain_stack: Any, query: str, header: str, answer: str
) -> None:
    assert answer in await told_model(plain_stack.url, query, header)


@pytest.mark.parametrize(
    ("query", "header", "answer"),
    [
        ("?speech_model=universal-3-5-pro", "universal-3-5-pro", "universal-3-5-pro"),
        ("?speech_model=u3-rt-pro", "universal-3-5-pro", "u3-rt-pro"),
        ("", "universal-3-5-pro", "universal-3-5-pro"),
        ("", "u3-pro", "universal-3-5-pro"),
        ("?speech_model=universal-3-5-pro", "en-default", "Input should be 'u3-pro' or 'universal-3-5-pro', or leave"),
        ("", "en-default", "Input should be 'u3-pro' or 'universal-3-5-pro', or leave"),
    ],
)
async def test_each_route_of_a_model_names_it(stack: Any, query: str, header: str, answer: str) -> None:
    """As the stacks of examples/ have it: the recogniser's own route, and the vendor's name for it as an alias."""
    (model,) = [each for each in gateway_models(load_stack(U3PRO)) if each.family == "universal-3"]
    async with stack(replacing=True, models=dump_models([model])) as running:
        assert answer in await told_model(running.url, query, header)


async def test_heartbeats_that_are_switched_on_tell_of_the_time_since(plain_stack: Any) -> None:
    """On, off and on again: neither comes at once, and neither tells of the voice and the audio before it."""
    opted = frozenset({"Heartbeat"})
    async with wire_client(plain_stack.url, opted_in=opted) as client:
        await client.audio(WHOLE_MS)
        for seconds_off in (5.2, 0.2):
            await asyncio.sleep(seconds_off)
            await client.say("UpdateConfiguration", session_heartbeat=True)
            since = time.monotonic()
            beat = await client.until(lambda message: message["type"] == "Heartbeat", 8)
            assert 4.5 <= time.monotonic() - since <= 7
            assert beat["total_audio_received_ms"] == WHOLE_MS
            assert beat["realtime_factor"] == 0
            assert beat["max_speech_probability"] == 0
            await client.say("UpdateConfiguration", session_heartbeat=False)
        await client.terminate()


async def test_silence_is_acknowledged_to_those_who_ask(stack: Any) -> None:
    async with stack(replacing=True) as running:
        query: dict[str, Any] = {"speech_model": "universal-3-5-pro", "universal3": True}
        opted = frozenset({"Silence"})
        async with wire_client(running.url, acknowledge_silence="true", opted_in=opted, **query) as client:
            await client.audio(8000)
            await client.terminate()
        async with wire_client(running.url, opted_in=opted, **query) as other:
            await other.audio(3000)
            await other.until(lambda m: m["type"] == "Turn")
            assert not any(message["type"] == "Silence" for message in other.messages)
            await other.say("UpdateConfiguration", acknowledge_silence=True)
            await other.audio(8000)
            await other.terminate()
    told = [message for message in client.messages if message["type"] == "Silence"]
    assert told
    assert all(message["end_ms"] - message["start_ms"] == 1000 for message in told)
    assert any(message["type"] == "Silence" for message in other.messages)


async def test_silence_is_not_acknowledged_to_universal_streaming(plain_stack: Any) -> None:
    async with wire_client(plain_stack.url, acknowledge_silence="true") as client:
        await client.audio(8000)
        await client.terminate()
    assert not any(message["type"] == "Silence" for message in client.messages)


async def test_profanity_is_filtered_from_the_start_or_by_an_update(stack: Any) -> None:
    script = Script.of("Shit happens here. | | Shit again. | |")
    async with stack(script) as running:
        async with wire_client(running.url, filter_profanity="true", format_turns="true") as client:
            await client.audio(8000)
            await client.terminate()
        assert client.messages[0]["configuration"]["filter_profanity"] is True
        assert "shit" not in json.dumps(client.messages).lower()
        assert client.turns[-1]["transcript"] == "*** again."
        async with wire_client(running.url, format_turns="true") as other:
            await other.audio(2500)
            await other.until(lambda m: m.get("transcript", "").startswith("shit happens"))
            await other.say("UpdateConfiguration", filter_profanity=True)
            await other.audio(5500)
            await other.terminate()
    ended = [turn["transcript"] for turn in other.turns if turn["end_of_turn"]]
    assert ended == ["shit happens here", "*** happens here.", "*** again", "*** again."]
