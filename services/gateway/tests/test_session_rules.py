"""The twelve rules that break real clients, and the life of a session, over real sockets."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from streamingstack_bench.scripted import Script
from streamingstack_bench.wire_client import wire_client

LONG = 6000  # milliseconds that hold the default script and its silences


@pytest.mark.parametrize("path", ["/", "/v3/ws"])
async def test_both_paths_open_a_session_and_begin_is_first_and_quick(plain_stack: Any, path: str) -> None:
    since = time.monotonic()
    async with wire_client(plain_stack.url + path, sample_rate=16000) as client:
        begin = await client.next()
        assert begin is not None
        assert begin["type"] == "Begin"
        assert time.monotonic() - since < 1
        assert abs(begin["expires_at"] - time.time() - 10_800) < 30
        assert begin["configuration"]["model"] == "universal-streaming-english"


async def test_the_models_file_says_which_model_a_client_gets_that_names_none(stack: Any, tmp_path: Path) -> None:
    file = tmp_path / "models.json"

    def write(*marked: bool) -> None:
        named = [("universal-streaming-english", "en-default"), ("universal-streaming-multilingual", "ml-default")]
        entries = [
            {"speech_model": name, "route": route, "default": mark}
            for (name, route), mark in zip(named, marked, strict=True)
        ]
        file.with_suffix(".new").write_text(json.dumps(entries))
        file.with_suffix(".new").replace(file)

    async def given(running: Any) -> str:
        async with wire_client(running.url + "/v3/ws") as client:
            begin = await client.next()
            assert begin is not None
            return str(begin["configuration"]["model"])

    write(False, True)
    async with stack(models_file=file) as running:
        assert await given(running) == "universal-streaming-multilingual"
        write(True, False)
        assert await given(running) == "universal-streaming-english"


async def test_begin_does_not_wait_for_a_recogniser(stack: Any) -> None:
    async with stack(asr_endpoint="127.0.0.1:9") as running:
        since = time.monotonic()
        async with wire_client(running.url + "/v3/ws") as client:
            await client.next()
            assert time.monotonic() - since < 1


async def test_a_session_shows_partials_and_ends_turns_and_the_server_closes_1000(plain_stack: Any) -> None:
    async with wire_client(plain_stack.url + "/v3/ws") as client:
        await client.audio(LONG)
        assert await client.terminate() == (1000, "Session Ended")
    assert client.finals == ["hello there this is a test", "done"]
    assert any(not turn["end_of_turn"] for turn in client.turns)
    assert client.messages[-1]["type"] == "Termination"
    assert client.messages[-1]["audio_duration_seconds"] == 6


async def test_with_format_turns_every_turn_ends_twice(plain_stack: Any) -> None:
    async with wire_client(plain_stack.url + "/v3/ws", format_turns="True") as client:
        await client.audio(LONG)
        await client.terminate()
    assert client.finals == ["Hello there, this is a test.", "Done."]
    assert [turn["turn_order"] for turn in client.turns if turn["end_of_turn"]] == [0, 0, 1, 1]


async def test_universal3_tells_the_voice_and_replaces_its_partials(stack: Any) -> None:
    async with (
        stack(replacing=True) as running,
        wire_client(running.url + "/v3/ws", universal3=True, speech_model="universal-3-5-pro") as client,
    ):
        await client.audio(LONG)
        await client.terminate()
    assert client.finals == ["Hello there, this is a test.", "Done."]


async def test_terminate_right_after_begin_ends_clean_and_soon(plain_stack: Any) -> None:
    async with wire_client(plain_stack.url) as client:
        await client.next()
        since = time.monotonic()
        assert await client.terminate() == (1000, "Session Ended")
        assert time.monotonic() - since < 2
    assert client.messages[-1] == {"type": "Termination", "audio_duration_seconds": 0, "session_duration_seconds": 1}


async def test_terminate_in_mid_speech_tells_the_open_turn(plain_stack: Any) -> None:
    async with wire_client(plain_stack.url) as client:
        await client.audio(1500)
        await client.terminate()
    assert len(client.finals) == 1


async def test_nothing_counts_after_terminate(plain_stack: Any) -> None:
    async with wire_client(plain_stack.url) as client:
        await client.audio(1000)
        await client.say("Terminate")
        await client.say("Terminate")
        await client.connection.send("{not json")
        await client.connection.send(bytes(320_000 // 4))
        assert await client.rest() == (1000, "Session Ended")


async def test_force_endpoint_ends_the_open_turn_and_none_where_none_is_open(plain_stack: Any) -> None:
    async with wire_client(plain_stack.url) as client:
        await client.say("ForceEndpoint")
        await client.audio(300)
        await client.say("ForceEndpoint")
        await client.audio(1200)
        await client.say("ForceEndpoint")
        first = await client.until(lambda m: m.get("end_of_turn", False))
        assert first["turn_order"] == 0
        await client.audio(LONG - 1500)
        await client.terminate()
    assert " ".join(client.finals) == "hello there this is a test done"


async def test_an_update_changes_where_turns_end(stack: Any) -> None:
    script = Script.of("One two three | | four five six")
    for update, turns in (({}, 2), ({"max_turn_silence": 5000}, 1)):
        async with stack(script) as running, wire_client(running.url, max_turn_silence=1280) as client:
            await client.say("UpdateConfiguration", **update)
            await client.audio(5000)
            await client.terminate()
        assert len(client.finals) == turns


async def test_no_speech_is_no_turn(stack: Any) -> None:
    async with stack(Script([])) as running, wire_client(running.url) as client:
        await client.audio(10_000)
        await client.terminate()
    assert [message["type"] for message in client.messages] == ["Begin", "Termination"]


@pytest.mark.check(65)
async def test_a_burst_and_small_and_large_chunks_give_the_same_turns(plain_stack: Any) -> None:
    heard = []
    for chunk in (50, 100, 1000):
        async with wire_client(plain_stack.url) as client:
            await client.audio(LONG, chunk_ms=chunk)
            await client.terminate()
        heard.append([turn["words"] for turn in client.turns if turn["end_of_turn"]])
    assert heard[0] == heard[1] == heard[2]


async def test_heartbeats_come_only_to_those_who_ask(plain_stack: Any) -> None:
    opted = frozenset({"Heartbeat"})
    async with (
        wire_client(plain_stack.url, session_heartbeat="true", opted_in=opted) as client,
        wire_client(plain_stack.url) as silent,
    ):
        await client.audio(1000)
        beat = await client.until(lambda m: m["type"] == "Heartbeat", 8)
        assert beat["total_audio_received_ms"] == 1000
        assert 4500 <= beat["total_duration_ms"] <= 7500
        await silent.terminate()
        assert [m["type"] for m in silent.messages] == ["Begin", "Termination"]


async def test_without_partials_only_ends_of_turn_come(plain_stack: Any) -> None:
    async with wire_client(plain_stack.url, include_partial_turns="false") as client:
        await client.audio(LONG)
        await client.terminate()
    assert all(turn["end_of_turn"] for turn in client.turns)
    assert client.finals == ["hello there this is a test", "done"]


async def test_language_comes_with_the_multilingual_model_when_asked_for(plain_stack: Any) -> None:
    for model, known in (("universal-streaming-multilingual", True), ("universal-streaming-english", False)):
        async with wire_client(plain_stack.url, speech_model=model, language_detection="true") as client:
            await client.audio(LONG)
            await client.terminate()
        assert all(("language_code" in turn) is known for turn in client.turns if turn["end_of_turn"])


@pytest.mark.parametrize(("encoding", "rate"), [("pcm_s16le", 48_000), ("pcm_s16le", 8000), ("pcm_mulaw", 8000)])
async def test_other_rates_and_mulaw_are_heard_on_the_same_clock(plain_stack: Any, encoding: str, rate: int) -> None:
    async with wire_client(plain_stack.url, sample_rate=rate, encoding=encoding) as client:
        width = 1 if encoding == "pcm_mulaw" else 2
        client.rules.audio_ms = LONG
        for _ in range(LONG // 100):
            await client.connection.send(b"\xff" * (rate // 10 * width))
        await client.terminate()
    assert client.finals == ["hello there this is a test", "done"]
    assert client.messages[-1]["audio_duration_seconds"] == 6


async def test_twenty_sessions_at_once_keep_their_own(stack: Any) -> None:
    async def one(url: str) -> tuple[str, list[str]]:
        async with wire_client(url) as client:
            await client.audio(LONG)
            await client.terminate()
        return client.messages[0]["id"], client.finals

    async with stack() as running:
        results = await asyncio.gather(*(one(running.url) for _ in range(20)))
        await running.is_empty()
    assert len({session for session, _ in results}) == 20
    assert all(finals == ["hello there this is a test", "done"] for _, finals in results)
