"""Every way a session is refused or ended: the Error, its code, the close with the same code."""

import asyncio
import hashlib
import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from conversations import refusal
from streamingstack_bench.scripted import Script
from streamingstack_bench.wire_client import WireClient, wire_client
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus


@pytest.fixture
async def client(plain_stack: Any) -> AsyncIterator[WireClient]:
    """A session that has begun."""
    async with wire_client(plain_stack.url + "/v3/ws") as opened:
        await opened.next()
        yield opened


async def refused(running: Any, reason: str) -> float:
    """How many sessions the gateway says it refused; raises KeyError where it does not know the reason."""
    return await metric(running, f'streaming_gateway_sessions_refused_total{{reason="{reason}"}}')


async def metric(running: Any, series: str) -> float:
    async with httpx2.AsyncClient() as http:
        lines = (await http.get(running.metrics)).text.splitlines()
    counts = dict(line.rsplit(maxsplit=1) for line in lines if not line.startswith("#"))
    return float(counts[series])


@pytest.mark.parametrize(
    ("query", "code", "text"),
    [
        ({"speech_model": "universal-3-5-pro"}, 3006, "Invalid 'speech_model'"),
        ({"keyterms_prompt": '["fine", "\\ud800"]'}, 3006, "Invalid 'keyterms_prompt.1': Value error, Invalid Unicode"),
        ({"redact_pii_policies": '["\\udfff"]'}, 3006, "Invalid 'redact_pii_policies.0'"),
        ({"key": None, "sample_rate": 7000}, 1008, "Missing"),
    ],
)
async def test_a_client_is_refused_before_begin(plain_stack: Any, query: dict[str, Any], code: int, text: str) -> None:
    got, said, kinds = await refusal(plain_stack.url + "/v3/ws", **query)
    assert (got, kinds) == (code, ["Error"])
    assert text in said


@pytest.mark.parametrize("place", ["gateway.resolve", "link.opener.RecognizerStream", "gateway.Session"])
async def test_what_nobody_foresaw_before_begin_is_refused_3005_logged_without_its_text_and_leaves_nothing(
    plain_stack: Any, place: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise KeyError("fnordlings")

    with monkeypatch.context() as patch:
        patch.setattr(f"streaming_gateway.{place}", fail)
        code, said, kinds = await refusal(plain_stack.url, keyterms_prompt='["fnordlings"]')
    assert (code, said, kinds) == (3005, "Session Cancelled: An error occurred", ["Error"])
    async with httpx2.AsyncClient() as http:
        assert 'sessions_refused_total{reason="internal"} 1.0' in (await http.get(plain_stack.metrics)).text
    logged = "".join(capfd.readouterr())
    assert "session could not begin" in logged
    assert "KeyError" in logged
    assert "fnordlings" not in logged
    await plain_stack.is_empty()
    async with wire_client(plain_stack.url) as client:
        assert await client.terminate() == (1000, "Session Ended")


async def test_with_a_key_file_only_its_keys_open_and_it_is_read_again(stack: Any, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    digest = hashlib.sha256(b"first").hexdigest()
    keys.write_text(f"# keys\n{digest} team\n")
    async with stack(api_keys_file=keys) as running:
        for key in ("first", "Bearer first"):
            async with wire_client(running.url, key=key) as opened:
                assert (await opened.next() or {})["type"] == "Begin"
        for wrong in ("second", digest):
            assert (await refusal(running.url, key=wrong))[:2] == (1008, "Unauthorized Connection: Invalid API key")
        keys.write_text(f"{hashlib.sha256(b'second').hexdigest()}\n")
        os.utime(keys, (1, 1))
        async with wire_client(running.url, key="second") as opened:
            assert (await opened.next() or {})["type"] == "Begin"
        assert (await refusal(running.url, key="first"))[0] == 1008
        keys.write_text("not a hash\n")
        async with wire_client(running.url, key="second") as opened:
            assert (await opened.next() or {})["type"] == "Begin"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{not json", "Invalid JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ('{"type":"Bogus"}', "Invalid Message Type: Bogus"),
        ('{"type":"terminate"}', "Invalid Message Type: terminate"),
        ("[]", "Invalid Message: []"),
        ("{}", "Invalid Message: {}"),
        ("5", "Invalid Message: 5"),
        ('{"type":7}', "Invalid Message"),
        (r'{"type":"\ud800"}', "Invalid Message Type: ?"),
        (r'{"type":"UpdateConfiguration","keyterms_prompt":["\ud800"]}', "Invalid 'keyterms_prompt.0'"),
        (r'{"type":"UpdateConfiguration","prompt":"\udc00"}', "Invalid 'prompt'"),
        (r'{"type":"UpdateConfiguration","agent_context":"\udc00"}', "Invalid 'agent_context'"),
        ('{"terminate_session":true}', "Invalid Message"),
        ("[" * 100_000, "Invalid JSON"),
        ("1" * 5000, "Invalid JSON"),
        ('{"type":"UpdateConfiguration","max_turn_silence":"x"}', "Invalid 'max_turn_silence'"),
        (json.dumps({"type": "UpdateConfiguration", "keyterms_prompt": ["x"] * 101}), "Invalid 'keyterms_prompt'"),
        ("UklGRiQAAABXQVZF", "Invalid JSON"),
    ],
)
async def test_a_text_that_means_nothing_ends_the_session_3006(client: WireClient, text: str, said: str) -> None:
    await client.connection.send(text)
    code, _ = await client.rest()
    assert code == 3006
    assert said in client.messages[-1]["error"]


async def test_what_is_harmless_is_ignored(client: WireClient) -> None:
    await client.raw(b"")
    await client.raw(bytes(3201))
    await client.say("KeepAlive")
    await client.say("UpdateConfiguration", some_new_field=1, keyterms_prompt=None)
    await client.raw(bytes(640))
    assert await client.terminate() == (1000, "Session Ended")


async def test_a_frame_beyond_a_second_ends_the_session_3007(client: WireClient) -> None:
    await client.raw(bytes(32_000))
    await client.raw(bytes(1600))
    await client.raw(bytes(38_400))
    assert (await client.rest())[0] == 3007
    assert "1200.0 ms. Expected between 50 and 1000 ms" in client.messages[-1]["error"]


async def test_short_frames_as_a_habit_end_the_session_3007(client: WireClient) -> None:
    async def talk() -> None:
        while True:
            await client.raw(bytes(640))
            await asyncio.sleep(0.02)

    talking = asyncio.create_task(talk())
    code, _ = await client.rest()
    await asyncio.gather(talking, return_exceptions=True)
    assert code == 3007
    assert "20.0 ms" in client.messages[-1]["error"]


async def test_a_frame_beyond_the_message_limit_closes_1009_and_harms_nobody_else(plain_stack: Any) -> None:
    async with wire_client(plain_stack.url) as other, wire_client(plain_stack.url) as client:
        await client.next()
        await client.raw(bytes(300_000))
        assert (await client.rest())[0] == 1009
        assert await other.terminate() == (1000, "Session Ended")


async def test_too_much_unheard_audio_ends_the_session_3007(stack: Any) -> None:
    async with stack(asr_endpoint="127.0.0.1:9", max_backlog_seconds=20) as running, wire_client(running.url) as client:
        await client.audio(21_000, chunk_ms=1000)
        assert (await client.rest())[0] == 3007
    assert "too much audio buffered" in client.messages[-1]["error"]


async def test_silence_of_the_client_ends_the_session_when_it_asked_for_that(plain_stack: Any) -> None:
    async with wire_client(plain_stack.url, inactivity_timeout=5) as client:
        await client.next()
        await asyncio.sleep(1)
        await client.say("KeepAlive")
        since = time.monotonic()
        assert (await client.rest())[0] == 3006
        assert 4.5 <= time.monotonic() - since <= 8
    assert "No messages received for 5 seconds" in client.messages[-1]["error"]


async def test_the_longest_session_tells_its_open_turn_and_ends_3008(stack: Any) -> None:
    async with stack(max_session_seconds=2) as running, wire_client(running.url) as client:
        await client.audio(1500)
        assert (await client.rest())[0] == 3008
    assert len(client.finals) == 1
    assert client.messages[-1]["error"] == "Session Expired: Maximum session duration exceeded"


async def test_beyond_capacity_a_client_is_refused_3009_and_welcome_again_later(stack: Any) -> None:
    async with stack(max_sessions=1) as running, wire_client(running.url) as first:
        await first.next()
        assert await refused(running, "capacity") == 0.0
        assert (await refusal(running.url))[:2] == (3009, "Unauthorized Connection: Too many concurrent sessions")
        assert await refused(running, "capacity") == 1.0
        assert await refused(running, "recognizers") == 0.0
        await first.terminate()
        async with wire_client(running.url) as second:
            assert (await second.next() or {})["type"] == "Begin"


async def test_full_recognisers_refuse_3009_and_the_session_counts_once_on_either_side(stack: Any) -> None:
    async with stack(capacity=1) as running, wire_client(running.url) as first:
        await first.next()
        await first.audio(500)
        while not running.recogniser.slots.active:
            await asyncio.sleep(0.02)
        assert (await refusal(running.url))[0] == 3009
        assert (await refused(running, "recognizers"), await refused(running, "capacity")) == (1.0, 0.0)
        full = running.recogniser.registry.get_sample_value("streaming_asr_streams_refused_total", {"reason": "full"})
        assert full == 1.0, "it was asked several times"


async def test_a_gateway_that_holds_as_much_audio_as_it_may_refuses_3009_for_that_reason(stack: Any) -> None:
    async with stack(budget_bytes=96_000) as running, wire_client(running.url) as first:
        await first.next()
        await first.audio(3_000)
        while await metric(running, "gateway_audio_held_bytes") < 96_000:
            await asyncio.sleep(0.02)
        assert (await refusal(running.url))[0] == 3009
        assert await refused(running, "budget") == 1.0


async def test_a_listed_model_without_recogniser_is_refused_3006(stack: Any) -> None:
    models = json.dumps([{"speech_model": "universal-streaming-english", "route": "unheard-of"}])
    async with stack(models=models) as running:
        code, said, kinds = await refusal(running.url)
    assert (code, kinds) == (3006, ["Error"])
    assert "Invalid 'speech_model'" in said


async def test_a_model_of_the_wrong_family_ends_3005(stack: Any) -> None:
    models = json.dumps([{"speech_model": "universal-streaming-english", "route": "u3-pro"}])
    async with stack(replacing=True, models=models) as running, wire_client(running.url) as client:
        await client.audio(2000)
        assert (await client.rest())[0] == 3005


async def test_no_recogniser_for_too_long_ends_3005(stack: Any) -> None:
    async with stack(asr_endpoint="127.0.0.1:9", buffer_seconds=1) as running, wire_client(running.url) as client:
        await client.audio(1000)
        code, _ = await client.rest()
    assert code == 3005
    assert client.messages[-1]["error"] == "Session Cancelled: An error occurred"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/v3/ws/health", 200, marks=pytest.mark.check(1)),
        ("/v3/health", 200),
        ("/readyz", 200),
        pytest.param("/v3/ws", 426, marks=pytest.mark.check(13)),
        ("/", 426),
        ("/v2/realtime/ws", 410),
        ("/nowhere", 404),
    ],
)
async def test_plain_requests_have_plain_answers(plain_stack: Any, path: str, status: int) -> None:
    async with httpx2.AsyncClient(base_url=plain_stack.http) as http:
        answer = await http.get(path)
    assert answer.status_code == status
    async with wire_client(plain_stack.url) as client:
        assert await client.terminate() == (1000, "Session Ended")


async def test_an_upgrade_of_version_2_is_answered_410(plain_stack: Any) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(plain_stack.url + "/v2/realtime/ws")
    assert refused.value.response.status_code == 410


async def test_a_hundred_long_keyterms_fit_into_the_query(plain_stack: Any) -> None:
    terms = json.dumps(["Žluťoučký kůň " + str(number).rjust(30, "x") for number in range(100)])
    async with wire_client(plain_stack.url, keyterms_prompt=terms) as client:
        assert (await client.next() or {})["type"] == "Begin"


async def test_draining_refuses_new_sessions_lets_the_open_ones_go_on_and_closes_the_rest_1001(stack: Any) -> None:
    script = Script.of("one two three four five six seven eight nine ten")
    async with (
        stack(script) as running,
        wire_client(running.url) as ending,
        wire_client(running.url) as open_,
        httpx2.AsyncClient(base_url=running.http) as http,
    ):
        for client in (ending, open_):
            await client.next()
            await client.audio(1500)
        draining = asyncio.create_task(running.running.gateway.drain(2))
        await asyncio.sleep(0.1)
        assert (await http.get("/readyz")).status_code == 503
        assert (await http.get("/v3/ws/health")).status_code == 200
        async with connect(running.url) as late:
            await late.wait_closed()
            assert late.close_code == 1001
        await ending.audio(1000)
        assert await ending.terminate() == (1000, "Session Ended")
        assert (await open_.rest())[0] == 1001
        assert len(open_.finals) == 1
        await draining
        assert running.sessions == 0
