"""Clients that vanish, do not read, or come in thousands: nothing is left behind, nobody else notices."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest
from conversations import Listening
from leftovers import leaving_nothing
from raw_websocket import masked_text, upgrade
from streamingstack_bench.scripted import Script
from streamingstack_bench.wire_client import WireClient, wire_client
from websockets.asyncio.client import connect

Prepare = Callable[[WireClient], Awaitable[None]]


async def nothing(client: WireClient) -> None:
    """Vanish before Begin is read."""


async def begun(client: WireClient) -> None:
    await client.next()


async def in_speech(client: WireClient) -> None:
    await client.audio(900)
    await client.until(lambda m: m["type"] == "Turn")


async def in_silence(client: WireClient) -> None:
    await client.audio(6000)
    await client.until(lambda m: m.get("end_of_turn", False))


async def with_backlog(client: WireClient) -> None:
    await client.audio(60_000, chunk_ms=1000)


async def after_force_endpoint(client: WireClient) -> None:
    await client.audio(900)
    await client.say("ForceEndpoint")


async def after_terminate(client: WireClient) -> None:
    await client.audio(900)
    await client.say("Terminate")


async def after_a_mistake(client: WireClient) -> None:
    await client.connection.send("{not json")


@pytest.mark.parametrize("politely", [True, False], ids=["close", "abort"])
@pytest.mark.parametrize(
    "state",
    [nothing, begun, in_speech, in_silence, with_backlog, after_force_endpoint, after_terminate, after_a_mistake],
)
async def test_a_client_that_vanishes_leaves_nothing(plain_stack: Any, state: Prepare, politely: bool) -> None:
    async with leaving_nothing(plain_stack), wire_client(plain_stack.url + "/v3/ws") as client:
        await state(client)
        if politely:
            await client.connection.close()
        else:
            client.connection.transport.abort()
    async with wire_client(plain_stack.url) as other:
        assert await other.terminate() == (1000, "Session Ended")


async def test_a_client_that_vanishes_while_no_recogniser_answers_leaves_nothing(stack: Any) -> None:
    async with stack(asr_endpoint="127.0.0.1:9") as running:
        for _ in range(5):
            async with wire_client(running.url) as client:
                await client.audio(1000)
                client.connection.transport.abort()
        await running.is_empty()


async def test_a_client_that_never_answers_the_close_is_cut_off(plain_stack: Any) -> None:
    reader, writer = await upgrade(plain_stack.running.port)
    writer.write(masked_text(b'{"type":"Terminate"}'))
    async with asyncio.timeout(10):
        while await reader.read(65536):
            pass
    writer.close()
    await plain_stack.is_empty()


async def test_a_client_that_does_not_read_is_ended_and_harms_nobody(stack: Any) -> None:
    script = Script.of("unreadable " * 900, start_ms=100, word_ms=150, gap_ms=0)
    async with stack(script, max_unread_bytes=16_384) as running, leaving_nothing(running):
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", running.running.port))
        slow.setblocking(False)
        # Nothing is read from here on: the library's own queue is one message.
        async with connect(running.url, sock=slow, additional_headers={"Authorization": "x"}, max_queue=1,
                           compression=None, close_timeout=0.1) as deaf:  # fmt: skip
            async with asyncio.timeout(10):
                while not running.sessions:
                    await asyncio.sleep(0.01)
            sending = asyncio.create_task(speak(deaf))
            async with wire_client(running.url) as other:
                listening = Listening(other)
                spoken_ms = await speak_while(other, lambda: running.sessions > 1)
                await other.say("Terminate")
                assert await listening.end() == (1000, "Session Ended")
            begun = sum(word.start_ms < spoken_ms for word in script.words)
            assert " ".join(other.finals).lower() == " ".join(["unreadable"] * begun)
            async with httpx2.AsyncClient() as http:
                assert (
                    'code="3005",model="universal-streaming-english",reason="slow_reader"} 1.0'
                    in (await http.get(running.metrics)).text
                )
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)


async def speak_while(client: WireClient, goes_on: Callable[[], bool]) -> int:
    """In real time, for three seconds at least; returns the milliseconds that were said."""
    said_ms = 0
    async with asyncio.timeout(60):
        while said_ms < 3000 or goes_on():
            await client.audio(100)
            said_ms += 100
            await asyncio.sleep(0.1)
    return said_ms


async def speak(connection: Any) -> None:
    for _ in range(280):
        await connection.send(bytes(16_000))


async def test_orders_without_end_at_one_place_are_one(plain_stack: Any) -> None:
    async with wire_client(plain_stack.url) as client:
        await client.audio(900)
        for number in range(1500):
            await client.say("ForceEndpoint")
            await client.say("UpdateConfiguration", min_turn_silence=200 + number % 7)
        await client.audio(5100)
        assert await client.terminate() == (1000, "Session Ended")
    assert " ".join(client.finals) == "hello there this is a test done"


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("ForceEndpoint", {}),
        ("UpdateConfiguration", {"min_turn_silence": [200, 300]}),
        ("UpdateConfiguration", {"end_of_turn_confidence_threshold": [0.2, 0.3]}),
    ],
)
async def test_orders_without_end_that_nobody_hears_end_the_session_3006(
    stack: Any, kind: str, fields: dict[str, list[Any]]
) -> None:
    async with stack(asr_endpoint="127.0.0.1:9") as running, wire_client(running.url) as client:
        for number in range(501):
            await client.raw(bytes(1600))
            await client.say(kind, **{name: values[number % 2] for name, values in fields.items()})
        assert (await client.rest())[0] == 3006
        assert "at most 500 of ForceEndpoint and UpdateConfiguration may wait" in client.messages[-1]["error"]


async def test_two_thousand_connections_opened_and_dropped_leave_nothing(plain_stack: Any) -> None:
    port = plain_stack.running.port
    async with leaving_nothing(plain_stack), wire_client(plain_stack.url) as kept:
        await kept.next()
        for _ in range(25):
            await wave(port, 80)
        await settled(plain_stack, 1)
        await kept.audio(6000)
        assert await kept.terminate() == (1000, "Session Ended")
        assert kept.finals == ["hello there this is a test", "done"]


async def settled(stack: Any, sessions: int) -> None:
    async with asyncio.timeout(30):
        while stack.sessions > sessions or stack.recogniser.slots.active > sessions:
            await asyncio.sleep(0.05)


async def wave(port: int, count: int) -> None:
    await asyncio.gather(*(drop(port, number) for number in range(count)))


async def drop(port: int, number: int) -> None:
    """Connect, get as far as `number` says, and go: by turns at once, in the request, upgraded, speaking."""
    with contextlib.suppress(ConnectionError):
        if number % 4 < 2:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            if number % 4 == 1:
                writer.write(b"GET /v3/ws HTTP/1.1\r\nHost: x\r\nUpgr")
        else:
            _, writer = await upgrade(port)
            if number % 4 == 3:
                writer.write(masked_text(b'{"type":"KeepAlive"}'))
        if number % 8 < 4:
            writer.transport.abort()
        else:
            writer.close()
        await writer.wait_closed()
