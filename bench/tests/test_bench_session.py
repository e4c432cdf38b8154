"""A client session is paced like a microphone, and says what became of it, whatever the server does."""

import asyncio
import json
import time
from uuid import uuid4

import numpy as np
import pytest
from streamingstack_bench import session as session_module
from streamingstack_bench.clips import RATE
from streamingstack_bench.session import Order, Target, play
from streamingstack_bench.showing import final_words
from websockets.http11 import Response

SECOND = np.zeros(RATE, dtype=np.int16)
BEGIN = json.dumps(
    {
        "type": "Begin",
        "id": str(uuid4()),
        "expires_at": 1,
        "configuration": {"model": "universal-streaming-english", "mode": None, "api_version": "1"},
    }
)
TERMINATION = '{"type":"Termination","audio_duration_seconds":1,"session_duration_seconds":1}'


async def until_terminate(connection):
    async for frame in connection:
        if isinstance(frame, str):
            return


async def test_a_session_at_a_real_gateway_gets_the_words_in_real_time(gateway):
    began = time.monotonic()
    session = await play(gateway.target(), np.zeros(4 * RATE, dtype=np.int16))
    took = time.monotonic() - began
    assert (session.fate, session.reason, session.violations) == ("completed", "", [])
    assert [word.text for word in final_words(session.received)] == ["hello", "there", "this", "is", "a", "test"]
    assert took >= 4.0
    assert session.sent_s == 4.0
    assert len(session.late_s) == 40
    assert session.begin_s > 0
    assert session.finished_s is not None
    assert session.finished_s >= 4.0


async def test_formatted_turns_follow_the_rules_too(gateway):
    session = await play(gateway.target(format_turns="true"), np.zeros(2 * RATE, dtype=np.int16))
    assert (session.fate, session.violations) == ("completed", [])
    assert session.received[-2].message["turn_is_formatted"]


async def test_orders_go_out_behind_the_audio_they_name_and_what_begin_tells_is_kept(gateway):
    orders = [Order(1.0, '{"type":"ForceEndpoint"}'), Order(3.0, '{"type":"KeepAlive"}')]
    session = await play(gateway.target(), np.zeros(4 * RATE, dtype=np.int16), orders=orders)
    assert (session.fate, session.violations) == ("completed", [])
    assert [round(at, 1) for at in session.ordered_s] == [pytest.approx(1.0, abs=0.2), pytest.approx(3.0, abs=0.2)]
    first, *_ = (item for item in session.received if item.message.get("end_of_turn"))
    assert session.ordered_s[0] < first.at_s < session.ordered_s[1]
    assert session.configuration["min_turn_silence"] == 400


async def test_a_gateway_that_says_no_refuses(gateway):
    session = await play(gateway.target(end_of_turn_confidence_threshold="7"), SECOND)
    assert session.fate == "refused"
    assert session.reason.startswith("3006 ")
    assert not session.late_s


async def test_a_send_that_was_held_up_counts_as_late(gateway):
    asyncio.get_running_loop().call_later(0.5, time.sleep, 0.35)  # this process had no time for it
    session = await play(gateway.target(), SECOND)
    assert session.fate == "completed"
    assert max(session.late_s) >= 0.2


async def test_nobody_there_is_a_refusal():
    session = await play(Target("ws://127.0.0.1:1", "key", "universal-streaming-english"), SECOND)
    assert (session.fate, session.reason) == ("refused", "no connection: ConnectionRefusedError")


async def test_an_http_error_is_a_refusal(serving):
    def refuse(_connection, request):
        return Response(503, "Busy", request.headers.__class__())

    async with serving(until_terminate, process_request=refuse) as target:
        session = await play(target, SECOND)
    assert (session.fate, session.reason) == ("refused", "HTTP 503")


async def test_a_close_before_begin_is_a_refusal(serving):
    async with serving(lambda connection: connection.close(1008, "no")) as target:
        session = await play(target, SECOND)
    assert (session.fate, session.reason) == ("refused", "closed 1008 no")


async def test_no_begin_in_time_is_a_refusal(serving, monkeypatch):
    monkeypatch.setattr(session_module, "OPEN_SECONDS", 0.3)

    async with serving(until_terminate) as target:
        session = await play(target, SECOND)
    assert (session.fate, session.reason) == ("refused", "no Begin within 0 s")


async def test_an_error_in_the_middle_breaks_the_session(serving):
    async def handler(connection):
        await connection.send(BEGIN)
        await connection.recv()
        await connection.send('{"type":"Error","error_code":3005,"error":"Session Cancelled"}')
        await connection.close(3005, "See Error message for details")

    async with serving(handler) as target:
        session = await play(target, SECOND)
    assert (session.fate, session.reason) == ("broken", "3005 Session Cancelled")
    assert session.sent_s < 1.0


async def test_a_lost_connection_breaks_the_session(serving):
    async def handler(connection):
        await connection.send(BEGIN)
        await connection.recv()
        connection.transport.abort()

    async with serving(handler) as target:
        session = await play(target, SECOND)
    assert (session.fate, session.reason) == ("broken", "connection lost")


async def test_a_close_without_termination_breaks_the_session(serving):
    async def handler(connection):
        await connection.send(BEGIN)
        await until_terminate(connection)
        await connection.close(1000)

    async with serving(handler) as target:
        session = await play(target, SECOND)
    assert (session.fate, session.reason) == ("broken", "closed 1000")


async def test_no_termination_in_time_breaks_the_session(serving, monkeypatch):
    monkeypatch.setattr(session_module, "FINISH_SECONDS", 0.3)

    async def handler(connection):
        await connection.send(BEGIN)
        await connection.wait_closed()

    async with serving(handler) as target:
        session = await play(target, SECOND)
    assert (session.fate, session.reason) == ("broken", "no Termination within 0 s of Terminate")


async def test_a_termination_nobody_asked_for_breaks_the_session(serving):
    async def handler(connection):
        await connection.send(BEGIN)
        await connection.recv()
        await connection.send(TERMINATION)
        await connection.wait_closed()

    async with serving(handler) as target:
        session = await play(target, SECOND)
    assert (session.fate, session.reason) == ("broken", "Termination before Terminate")


async def test_a_server_that_breaks_a_rule_is_noted_and_the_session_goes_on(serving):
    async def handler(connection):
        await connection.send(BEGIN)
        await connection.send('{"type":"Warning","warning_code":1,"warning":"x"}')
        await until_terminate(connection)
        await connection.send(TERMINATION)
        await connection.close(1000, "Session Ended")

    async with serving(handler) as target:
        session = await play(target, SECOND)
    assert session.fate == "completed"
    assert session.violations == ["Warning is sent only to clients that asked for it"]


async def test_a_server_that_leaves_closing_to_the_client_breaks_a_rule(serving, monkeypatch):
    monkeypatch.setattr(session_module, "CLOSE_SECONDS", 0.3)

    async def handler(connection):
        await connection.send(BEGIN)
        await until_terminate(connection)
        await connection.send(TERMINATION)
        await connection.wait_closed()

    async with serving(handler) as target:
        session = await play(target, SECOND)
    assert session.fate == "completed"
    assert session.violations == ["the server closes after Termination"]
