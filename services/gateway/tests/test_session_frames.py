"""Frames against RFC 6455: each ends its own connection by the code of its section 7.4.1, and nobody else's."""

import asyncio
import random
from typing import Any

import pytest
from leftovers import leaving_nothing
from raw_websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, closed_with, frame, upgrade
from streamingstack_bench.wire_client import wire_client

LONG = 6000
FINALS = ["hello there this is a test", "done"]
PROTOCOL_ERROR, INVALID_DATA, TOO_BIG = 1002, 1007, 1009
KEEP_ALIVE = b'{"type":"KeepAlive"}'

AGAINST_THE_RFC = {
    "text that is no UTF-8": (frame(TEXT, b"\xff\xfe\xfd"), INVALID_DATA),
    "text that ends within a character": (frame(TEXT, "é".encode()[:1]), INVALID_DATA),
    "text with a surrogate": (frame(TEXT, b"\xed\xa0\x80"), INVALID_DATA),
    "text whose fragments are no UTF-8 together": (
        frame(TEXT, b"\xc3", final=False) + frame(CONTINUATION, b"\xc3"),
        INVALID_DATA,
    ),
    **{f"opcode {code:#x} of a message": (frame(code), PROTOCOL_ERROR) for code in range(0x3, 0x8)},
    **{f"opcode {code:#x} of a control frame": (frame(code), PROTOCOL_ERROR) for code in range(0xB, 0x10)},
    **{f"reserved bits {bits:03b}": (frame(TEXT, KEEP_ALIVE, reserved=bits), PROTOCOL_ERROR) for bits in (1, 2, 4, 7)},
    "a ping with a reserved bit": (frame(PING, reserved=4), PROTOCOL_ERROR),
    "a message without a mask": (frame(BINARY, bytes(3200), masked=False), PROTOCOL_ERROR),
    "a ping without a mask": (frame(PING, masked=False), PROTOCOL_ERROR),
    "a ping of 126 bytes": (frame(PING, bytes(126)), PROTOCOL_ERROR),
    "a pong of 70,000 bytes": (frame(PONG, bytes(70_000)), PROTOCOL_ERROR),
    "a close of 126 bytes": (frame(CLOSE, b"\x03\xe8" + bytes(124)), PROTOCOL_ERROR),
    "a ping in fragments": (frame(PING, final=False), PROTOCOL_ERROR),
    "a close in fragments": (frame(CLOSE, b"\x03\xe8", final=False), PROTOCOL_ERROR),
    "a close of one byte": (frame(CLOSE, b"\x03"), PROTOCOL_ERROR),
    "a close with a code that is nobody's": (frame(CLOSE, (999).to_bytes(2)), PROTOCOL_ERROR),
    "a close with a code that is never sent": (frame(CLOSE, (1006).to_bytes(2)), PROTOCOL_ERROR),
    "a close whose reason is no UTF-8": (frame(CLOSE, b"\x03\xe8\xff"), INVALID_DATA),
    "a continuation of nothing": (frame(CONTINUATION, bytes(3200)), PROTOCOL_ERROR),
    "a message within a message": (
        frame(BINARY, bytes(3200), final=False) + frame(TEXT, KEEP_ALIVE),
        PROTOCOL_ERROR,
    ),
    "a close within a message": (frame(BINARY, bytes(3200), final=False) + frame(CLOSE, b"\x03\xe8"), PROTOCOL_ERROR),
    "a length of 2**63 and nothing after it": (frame(BINARY, length=2**63), TOO_BIG),
    "a length beyond the limit and nothing after it": (frame(BINARY, length=256 * 1024 + 1), TOO_BIG),
    "fragments beyond the limit together": (
        frame(BINARY, bytes(200_000), final=False) + frame(CONTINUATION, bytes(100_000), final=False),
        TOO_BIG,
    ),
}


SOUND = [
    *[frame(BINARY, bytes(3200))] * 6,
    frame(BINARY, bytes(1600), final=False) + frame(PING, b"now?") + frame(CONTINUATION, bytes(1600)),
    frame(TEXT, KEEP_ALIVE),
    frame(TEXT, b'{"type":"ForceEndpoint"}'),
    frame(PING),
    frame(PONG, bytes(125)),
]
# Until the server closes: text of so many bytes a fragment, and never the last one.
FRAGMENTS_WITHOUT_END = {"empty": b"", "of one byte": b" "}


async def code_after(port: int, said: bytes, **query: Any) -> int | None:
    """How the server closes on a session that has spoken well before it says this."""
    reader, writer = await upgrade(port, **query)
    writer.write(frame(BINARY, bytes(3200)) + frame(TEXT, KEEP_ALIVE) + said)
    try:
        async with asyncio.timeout(10):
            return await closed_with(reader)
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("what", AGAINST_THE_RFC)
async def test_a_frame_against_the_rfc_ends_its_own_session_by_code(plain_stack: Any, what: str) -> None:
    said, code = AGAINST_THE_RFC[what]
    async with leaving_nothing(plain_stack), wire_client(plain_stack.url) as neighbour:
        await neighbour.audio(LONG // 2)
        assert await code_after(plain_stack.running.port, said) == code
        await neighbour.audio(LONG // 2)
        assert await neighbour.terminate() == (1000, "Session Ended")
    assert neighbour.finals == FINALS


@pytest.mark.parametrize("size", FRAGMENTS_WITHOUT_END)
async def test_a_message_of_fragments_without_end_ends_1009(plain_stack: Any, size: str) -> None:
    endless = frame(TEXT, final=False) + frame(CONTINUATION, FRAGMENTS_WITHOUT_END[size], final=False) * 10_000
    async with leaving_nothing(plain_stack), wire_client(plain_stack.url) as neighbour:
        assert await code_after(plain_stack.running.port, endless) == TOO_BIG
        await neighbour.audio(LONG)
        assert await neighbour.terminate() == (1000, "Session Ended")
    assert neighbour.finals == FINALS


async def test_fragments_and_pings_between_them_are_one_message(plain_stack: Any) -> None:
    async with wire_client(plain_stack.url) as client:

        async def pieces() -> Any:
            for start in range(0, len(terminate), 3):  # within characters, too
                yield terminate[start : start + 3]
                await client.connection.ping()

        terminate = '{"type":"Terminate","why":"été"}'
        for second in range(6):
            await client.connection.send([bytes(8000)] * 4 if second % 2 else bytes(32_000))
        client.rules.audio_ms = LONG
        await client.connection.send(pieces())
        assert await client.rest() == (1000, "Session Ended")
    assert client.finals == FINALS


def any_frame(chance: random.Random) -> bytes:
    """Mostly what clients send; of each twenty one that is nearly right, or no frame at all."""
    if chance.random() >= 0.05:
        return chance.choice(SOUND)
    payload = chance.randbytes(chance.randrange(120))
    match chance.randrange(6):
        case 0:
            return payload
        case 1:
            return frame(chance.randrange(16), payload)
        case 2:
            return frame(TEXT, payload, final=chance.random() < 0.5)
        case 3:
            return frame(BINARY, payload, reserved=chance.randrange(8))
        case 4:
            return frame(BINARY, payload, masked=False)
        case _:
            return frame(BINARY, payload, length=chance.randrange(2 ** chance.randrange(64)))


async def frames_of(port: int, seed: int) -> int | None:
    """Twenty frames and a Terminate, however they are cut; how the server closes."""
    chance = random.Random(seed)
    said = b"".join(any_frame(chance) for _ in range(20)) + frame(TEXT, b'{"type":"Terminate"}')
    reader, writer = await upgrade(port, encoding=chance.choice(["pcm_s16le", "pcm_mulaw"]))
    cuts = sorted(chance.sample(range(len(said)), 5))
    for start, end in zip([0, *cuts], [*cuts, len(said)], strict=True):
        writer.write(said[start:end])
        await asyncio.sleep(0)
    closed = asyncio.create_task(closed_with(reader))
    try:
        await asyncio.wait({closed}, timeout=1)
        if not closed.done():
            writer.write_eof()  # a frame that was cut short is waited for no longer
        async with asyncio.timeout(20):
            return await closed
    finally:
        writer.transport.abort()


async def test_frames_of_any_kind_end_by_code_and_harm_nobody(stack: Any) -> None:
    async with (
        stack(max_sessions=300, capacity=300) as running,
        leaving_nothing(running),
        wire_client(running.url) as neighbour,
    ):
        await neighbour.next()
        codes: list[int | None] = []
        for first in range(0, 200, 20):
            codes += await asyncio.gather(*(frames_of(running.running.port, first + number) for number in range(20)))
        await neighbour.audio(LONG)
        assert await neighbour.terminate() == (1000, "Session Ended")
    assert neighbour.finals == FINALS
    known = {1000, 1005, PROTOCOL_ERROR, INVALID_DATA, TOO_BIG, 3006, 3007}
    assert set(codes) - {None} <= known, sorted(set(map(str, codes)))
    assert {1000, PROTOCOL_ERROR, INVALID_DATA} <= set(codes), "the frames are of every kind"
