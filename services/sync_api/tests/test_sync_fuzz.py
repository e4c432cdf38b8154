"""Requests of any kind, over real sockets: each is answered as documented, and the next one is answered as always."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from raw_http import (
    FORM,
    SECONDS,
    Answer,
    answer_to,
    connection,
    form,
    head,
    no_place_is_taken,
    part,
    read_answer,
    request,
)
from scripted_sync_api import ENGLISH, MULTILINGUAL, UNIVERSAL_3, Stack, wav
from streamingstack_bench.scripted import Script

SPOKEN = Script.of("Book a table.")
WAV = wav(2.0, rate=8000)
RIGHT = form(part(b"config", b"{}", b"application/json"), part(b"audio", WAV))
PATHS = st.sampled_from(["/transcribe", "/v1/transcribe", "/v1/transcribe/live", "/v1/transcribe/stream"])
PROPERTY = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture
async def narrow(stack: Any) -> AsyncIterator[Stack]:
    """A sync API with a single place: whatever keeps it is seen by whoever comes next."""
    models = (ENGLISH, MULTILINGUAL, UNIVERSAL_3)
    async with stack(SPOKEN, models=models, max_requests=1, quiet_seconds=0.3) as running:
        yield running


async def answered(running: Stack, sent: bytes) -> Answer:
    """The documented answer to `sent`; then nothing is left of it, and a neighbour gets its words."""
    answer = await answer_to(running.running.port, sent)
    await nothing_is_left(running)
    return answer


async def nothing_is_left(running: Stack) -> None:
    await no_place_is_taken(running)
    neighbour = await answer_to(running.running.port, request(RIGHT))
    assert (neighbour.status, neighbour.body["text"]) == (200, "Book a table.")


# -- bodies ----------------------------------------------------------------------------------------------------------

NAMES = [b"audio", b"config", b"other", b"", b"Audio", b"au\xffdio", b"audio\\", b'audio"; name="config']
KINDS = [
    b"audio/wav", b"AUDIO/X-WAV ; q=1", b"audio/pcm", b"audio/mpeg", b"application/json", b"", b"\xff;", b"x" * 5000,
]  # fmt: skip
CONTENTS = [WAV, wav(0.01), wav(1.0, 48_000, 2), bytes(3201), b"", b"RIFF", b"{}", b"\r\n--bound", b"--bound--"]
DISPOSITIONS = [
    b"form-data; name=audio", b"form-data; name*=utf-8''audio", b"attachment", b"form-data;;;=;name", b"\xff",
]  # fmt: skip


@st.composite
def parts(draw: st.DrawFn) -> bytes:
    """One that is right, mostly."""
    made = part(
        draw(st.sampled_from(NAMES)),
        draw(st.sampled_from(CONTENTS) | st.binary(max_size=200)),
        draw(st.sampled_from(KINDS)),
    )
    more = draw(st.sampled_from(DISPOSITIONS) | st.binary(max_size=30) | st.none())
    named = made.index(b"Content-Disposition")
    match draw(st.sampled_from(["as it is", "one header more", "another name"])), more:
        case "one header more", bytes():
            return made[:named] + b"Content-Disposition: " + more + b"\r\n" + made[named:]
        case "another name", bytes():
            return made[:named] + more + made[made.index(b"\r\n", named) :]
    return made


@st.composite
def spoilt(draw: st.DrawFn, whole: bytes) -> bytes:
    """`whole` with some bytes left out, doubled, or others put among them."""
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(whole)) | st.integers(0, min(len(whole), 200)))
        size = draw(st.integers(1, 60))
        put = draw(st.sampled_from([b"", whole[at : at + size] * 2, b"\r\n", b"--bound"]) | st.binary(max_size=20))
        whole = whole[:at] + put + whole[at + size :]
    return whole


@PROPERTY
@given(path=PATHS, data=st.data())
async def test_a_body_of_any_kind_is_answered(narrow: Stack, path: str, data: st.DataObject) -> None:
    whole = form(*data.draw(st.lists(parts(), max_size=4)))
    body = data.draw(st.just(RIGHT) | spoilt(RIGHT) | spoilt(whole) | st.binary(max_size=300))
    answer = await answered(narrow, request(body, path=path))
    assert answer.status == 200 or body != RIGHT


@PROPERTY
@given(data=st.data())
async def test_a_recording_is_never_longer_than_what_was_sent(narrow: Stack, data: st.DataObject) -> None:
    """Whatever its header says: its length is what is metered."""
    kind = data.draw(st.sampled_from(["WAV", "WAVEX", "RF64", "AIFF", "FLAC", "AU"]))
    channels, subtype = data.draw(st.sampled_from([(1, "PCM_16"), (2, "PCM_16"), (1, "PCM_24")]))
    whole = bytearray(wav(1.0, rate=8000, channels=channels, subtype=subtype, kind=kind))
    for _ in range(data.draw(st.integers(0, 3))):
        value = data.draw(st.binary(min_size=1, max_size=4) | st.sampled_from([b"\xff" * 4, bytes(4), b"\x7f" * 8]))
        at = data.draw(st.integers(0, 120))
        whole[at : at + len(value)] = value
    audio = bytes(whole)[: data.draw(st.sampled_from([len(whole), 44, 60, 3000]))]
    answer = await answered(narrow, request(form(part(b"audio", audio))))
    if answer.status == 200:
        assert 80 <= answer.body["audio_duration_ms"] <= len(audio) / 16


# -- configs ---------------------------------------------------------------------------------------------------------

FIELDS = [
    "language_code", "language_codes", "prompt", "keyterms_prompt", "word_boost", "conversation_context", "sample_rate",
    "channels", "timestamps", "unknown",
]  # fmt: skip
LITERALS = [
    b"NaN", b"-Infinity", b"Infinity", b"1e999", b"-1e999", b"-0", b"-1", b"0.5", b"1.0", b"2", b"8000", b"16000",
    b"true", b"null", b'"16000"', b'"\\ud800"', b'"\\u0000"', b'"\xff"', b'"en"', b'["en", "tr"]', b'["multi"]',
    b"9" * 400, b"-" + b"9" * 4299, b"9" * 4301, b"1" + b"0" * 100_000, b"0." + b"1" * 5000, b"[" * 50_000,
    b"[" * 150 + b"]" * 150, b'{"a":' * 50_000, b'"' + b"x" * 6001 + b'"', b'["' + b"y" * 16_001 + b'"]',
    json.dumps(["x" * 50] * 100).encode(), json.dumps(["en"] * 50_000).encode(),
    json.dumps("\U0001f40c" * 6000).encode(), b"[[]]",
    b'["\\u0000"]', b"[null]", b"[1e400]", b"", b"/**/1",
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
).map(lambda value: json.dumps(value).encode())


@st.composite
def configs(draw: st.DrawFn) -> bytes:
    """An object of known fields, each perhaps twice, with any value; or any value alone."""
    value = st.sampled_from(LITERALS) | JSON
    pair = st.tuples(st.sampled_from(FIELDS), value).map(lambda pair: json.dumps(pair[0]).encode() + b":" + pair[1])
    pairs = draw(st.lists(pair, min_size=1, max_size=4))
    return draw(st.just(b"{" + b",".join(pairs) + b"}") | value)


RATE_OF_4299_DIGITS = b'{"sample_rate":' + b"9" * 4299 + b',"channels":1}'


@PROPERTY
@given(configs(), st.sampled_from([b"audio/wav", b"audio/pcm"]))
@example(RATE_OF_4299_DIGITS, b"audio/pcm")
async def test_a_config_of_any_kind_is_answered(narrow: Stack, config: bytes, kind: bytes) -> None:
    audio = WAV if kind == b"audio/wav" else bytes(32_000)
    body = form(part(b"config", config, b"application/json"), part(b"audio", audio, kind))
    assert (await answered(narrow, request(body))).status in (200, 400, 415)


# -- heads -----------------------------------------------------------------------------------------------------------

CREDENTIALS = [b"self-hosted", b"Bearer x", b"", b"Bearer ", b"\xff\xfe", b"x" * 9000, b"\tx\t", b"Basic Og=="]
TYPES = [
    FORM, b'multipart/form-data; boundary="bound"', b"Multipart/Form-Data;charset=x; boundary=bound", b"text/plain",
    b"",
    b"multipart/form-data", b"multipart/form-data; boundary=", b"multipart/form-data; boundary=" + b"b" * 257,
    b"multipart/form-data; boundary*=utf-8''bound", b'multipart/form-data; boundary="bo\\', b";;;=;\xff", b"\xe9",
    b"multipart/mixed; boundary=bound",
]  # fmt: skip
LENGTHS = [b"0", b"-1", b"+5", b"abc", b"5, 5", b"1" + b"0" * 25, b"99999999", b"\xb2", b""]
SOCKET = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + b"A" * 22 + b"=="
)
ODD = [
    SOCKET,
    b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings", b"Connection: close", b"Expect: 100-continue",
    b"Expect: nothing", b"X-AAI-Model: \xff", b"Content-Encoding: gzip", b"Host: there", b"No colon", b": no name",
    b"Bad Name: x", b"X-Nul: \x00", b" folded", b"X-Long: " + b"x" * 70_000, b"\r\nX: y", b"Trailer: x",
    *[b"X-%d: y" % number for number in range(5)],
]  # fmt: skip
CODINGS = [b"chunked", b"Chunked", b"gzip, chunked", b"identity", b"chunked, chunked", b"\xff"]


@st.composite
def heads(draw: st.DrawFn, size: int) -> bytes:
    """Before a body of `size` bytes; of what it says, some is right."""
    lines = [b"Authorization: " + draw(st.sampled_from(CREDENTIALS)) for _ in range(draw(st.integers(0, 2)))]
    lines += [b"Content-Type: " + draw(st.sampled_from(TYPES)) for _ in range(draw(st.integers(0, 2)))]
    right = str(size).encode()
    near = st.integers(-200, 200).map(lambda off: str(max(0, size + off)).encode())
    lengths = draw(st.lists(st.just(right) | near | st.sampled_from(LENGTHS), max_size=2))
    lines += [b"Content-Length: " + length for length in lengths]
    lines += [b"Transfer-Encoding: " + coding for coding in draw(st.lists(st.sampled_from(CODINGS), max_size=1))]
    lines += draw(st.lists(st.sampled_from(ODD) | st.binary(max_size=20), max_size=2))
    version = draw(st.sampled_from([b"1.1", b"1.1", b"1.1", b"1.0", b"2.0", b"0.9", b"1.1x"]))
    return head(*draw(st.permutations(lines)), path=draw(PATHS), version=version)


SOCKET_WANTED = head(b"Authorization: x", b"Content-Type: " + FORM, SOCKET, b"Content-Length: %d" % len(RIGHT))
LONG_BOUNDARY = head(b"Authorization: x", b"Content-Type: " + TYPES[7], b"Content-Length: %d" % len(RIGHT))


@PROPERTY
@given(heads(len(RIGHT)))
@example(SOCKET_WANTED)
@example(LONG_BOUNDARY)
async def test_a_head_of_any_kind_is_answered(narrow: Stack, start: bytes) -> None:
    await answered(narrow, start + RIGHT)


async def test_a_request_that_offers_a_websocket_is_a_request(narrow: Stack) -> None:
    assert (await answered(narrow, SOCKET_WANTED + RIGHT)).status == 200


async def test_a_request_for_leave_to_send_its_body_is_given_it(narrow: Stack) -> None:
    lines = [b"Authorization: x", b"Content-Type: " + FORM, b"Content-Length: %d" % len(RIGHT), b"Expect: 100-continue"]
    async with asyncio.timeout(SECONDS), connection(narrow.running.port, head(*lines)) as (reader, writer):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(RIGHT)
        assert (await read_answer(reader)).status == 200


# -- uploads that end before or after their time ---------------------------------------------------------------------

CHUNKED = head(b"Authorization: x", b"Content-Type: " + FORM, b"Transfer-Encoding: chunked")


@st.composite
def chunkings(draw: st.DrawFn) -> bytes:
    """The body in chunks, some of which may say another size than theirs, or none."""
    sent, rest = b"", RIGHT
    while rest:
        size = draw(st.integers(1, 20_000))
        chunk, rest = rest[:size], rest[size:]
        told = draw(st.just(b"%x" % len(chunk)) | st.sampled_from([b"0", b"-1", b"fffffffff", b"z", b"", b"%x" % size]))
        sent += told + draw(st.sampled_from([b"\r\n", b"\r\n", b";x=y\r\n", b"\n"])) + chunk + b"\r\n"
    return sent + draw(st.sampled_from([b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"0\r\n", b""]))


@PROPERTY
@given(chunkings())
async def test_a_body_in_chunks_of_any_kind_is_answered(narrow: Stack, chunks: bytes) -> None:
    await answered(narrow, CHUNKED + chunks)


WHOLE = request(RIGHT)
HEAD_SIZE = WHOLE.index(b"\r\n\r\n") + 4


@PROPERTY
@given(st.integers(0, len(WHOLE)) | st.integers(0, HEAD_SIZE), st.sampled_from(["close", "reset", "half a close"]))
async def test_whoever_hangs_up_anywhere_leaves_nothing(narrow: Stack, size: int, how: str) -> None:
    async with connection(narrow.running.port, WHOLE[:size]) as (reader, writer):
        if how == "close":
            writer.close()
        elif how == "half a close":
            writer.write_eof()
            async with asyncio.timeout(SECONDS):
                await reader.read()
    await nothing_is_left(narrow)


@settings(PROPERTY, max_examples=12)
@given(st.integers(HEAD_SIZE, len(WHOLE) - 1))
async def test_whoever_stops_anywhere_is_told_so_in_time(narrow: Stack, size: int) -> None:
    assert (await answered(narrow, WHOLE[:size])).code == "request_timeout"


@settings(PROPERTY, max_examples=12)
@given(st.integers(3, 5000))  # an end of line may be missing after the last boundary
async def test_a_body_longer_than_it_says_is_cut_there_and_the_rest_is_no_request(narrow: Stack, missing: int) -> None:
    sent = request(RIGHT, length=len(RIGHT) - missing)
    async with asyncio.timeout(SECONDS), connection(narrow.running.port, sent) as (reader, _):
        assert (await read_answer(reader)).code == "bad_request"
        if missing > 20:  # of the end of a boundary nobody knows whether it is the begin of a head
            assert (await read_answer(reader)).code == "bad_request"
    await nothing_is_left(narrow)


# -- readers ---------------------------------------------------------------------------------------------------------

# Eight megabytes, text and words: more than the kernel keeps of what nobody reads.
LONG_WORDS = Script.of(" ".join(["x" * 200_000] * 20), word_ms=900, gap_ms=100)


async def unread(running: Stack) -> socket.socket:
    """A client that sent a recording and reads nothing."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(made, ("127.0.0.1", running.running.port))
    await loop.sock_sendall(made, request(form(part(b"audio", wav(21.0, rate=8000)))))
    return made


async def test_whoever_reads_its_answer_slowly_has_no_place_and_gets_it_whole(stack: Any) -> None:
    async with stack(LONG_WORDS, max_requests=1) as running:
        slow = await unread(running)
        await answered_one_more(running, 1)
        assert (await running.send(wav(1.0))).status_code == 200
        reader, writer = await asyncio.open_connection(sock=slow, limit=65_536)
        async with asyncio.timeout(60):
            answer = await read_answer(reader)
        writer.close()
    assert int(answer.headers["content-length"]) > 8_000_000
    assert len(answer.body["words"]) == 20


async def test_those_who_never_read_their_answers_keep_no_places(stack: Any) -> None:
    async with stack(LONG_WORDS, max_requests=1) as running:
        deaf = []
        for number in range(3):
            deaf.append(await unread(running))
            await answered_one_more(running, number + 1)
        assert (await running.send(wav(1.0))).status_code == 200
        for one in deaf:
            one.close()


async def answered_one_more(running: Stack, count: int) -> None:
    """Waits until so many recordings were answered, and no place is taken."""
    async with asyncio.timeout(30):
        while f'answers_total{{code="ok",status="200"}} {count}.0' not in await running.metrics():
            await asyncio.sleep(0.05)
    await no_place_is_taken(running)
