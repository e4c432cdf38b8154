"""Clients of every family and encoding that send anything at all: each session keeps the rules and ends by a code."""

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from encoded import encoded
from leftovers import leaving_nothing
from streamingstack_bench.wire_client import wire_client
from websockets.exceptions import ConnectionClosed

LONG = 6000
FINALS = {False: ["hello there this is a test", "done"], True: ["Hello there, this is a test.", "Done."]}
ENGLISH, MULTILINGUAL = "universal-streaming-english", "universal-streaming-multilingual"
Audio = Callable[[random.Random], Iterator[bytes]]


def raw_audio(bytes_a_millisecond: int) -> Audio:
    """Silence, in frames of 50 to 1000 ms."""

    def frames(chance: random.Random) -> Iterator[bytes]:
        while True:
            yield bytes(bytes_a_millisecond * chance.randrange(50, 1000))

    return frames


def slices_of(codec: str, container: str, rate: int) -> Audio:
    """Speech as an encoder made it, over and over, cut anywhere; of each fifty slices one is of another place."""
    whole = encoded(codec, container, rate)[0]

    def slices(chance: random.Random) -> Iterator[bytes]:
        start = 0
        while True:
            end = start + chance.randrange(1, 10_000)
            yield whole[start:end]
            start = end if end < len(whole) else 0
            if chance.random() < 0.02:
                start = chance.randrange(len(whole))

    return slices


def opus_packets(chance: random.Random) -> Iterator[bytes]:
    """One packet each; of each fifty one with the begin of another before it."""
    packets = encoded("libopus", "ogg", 48_000)[1]
    while True:
        spoilt = packets[0][: chance.randrange(1, 10)] if chance.random() < 0.02 else b""
        yield spoilt + chance.choice(packets)


@dataclass(frozen=True)
class Kind:
    """One way to open a session, and what its audio looks like."""

    name: str
    audio: Audio
    query: dict[str, Any] = field(default_factory=dict)
    universal3: bool = False


S16LE = raw_audio(32)
U3 = {"speech_model": "universal-3-5-pro"}
KINDS = [
    Kind("English", S16LE),
    Kind("English, formatted", S16LE, {"speech_model": ENGLISH, "format_turns": "true"}),
    Kind("Multilingual", S16LE, {"speech_model": MULTILINGUAL, "language_detection": "true", "format_turns": "1"}),
    Kind("Universal-3", S16LE, U3, universal3=True),
    Kind("Universal-3, every partial", S16LE, {**U3, "continuous_partials": "true", "interruption_delay": 0,
         "format_turns": "true"}, universal3=True),
    Kind("μ-law", raw_audio(8), {"encoding": "pcm_mulaw", "sample_rate": 8000, "format_turns": "true"}),
    Kind("96 kHz", raw_audio(192), {"sample_rate": 96_000}),
    Kind("Opus", opus_packets, {"encoding": "opus"}),
    Kind("Ogg Opus", slices_of("libopus", "ogg", 48_000), {"encoding": "ogg_opus"}),
    Kind("AAC", slices_of("aac", "adts", 44_100), {"encoding": "aac", "format_turns": "true"}),
    Kind("AAC to Universal-3", slices_of("aac", "adts", 16_000), {**U3, "encoding": "aac"}, universal3=True),
]  # fmt: skip


def words(chance: random.Random) -> str:
    """JSON that is nearly right, JSON that is not, and no JSON."""
    kinds = ["Terminate", "ForceEndpoint", "KeepAlive", "UpdateConfiguration", "Bogus", "", "terminate", None, 7]
    fields = ["max_turn_silence", "min_turn_silence", "keyterms_prompt", "vad_threshold", "mode", "prompt", "type",
              "language_codes", "agent_context", "interruption_delay", "include_partial_turns"]  # fmt: skip
    values: list[Any] = [
        None, 0, -1, 10**400, 0.5, 400, True, "x", "\ud800", [], {}, ["x"] * 101, "y" * 5000, [[[]]], ["en"],
        float("nan"),
    ]  # fmt: skip
    match chance.randrange(6):
        case 0:
            return "".join(chr(chance.randrange(32, 0x2FFF)) for _ in range(chance.randrange(60)))
        case 1:
            return chance.choice(["[", '{"a":', '"\\u']) * chance.randrange(30_000)
        case 2:
            return json.dumps(chance.choice(values))
        case _:
            message = {"type": chance.choice(kinds)}
            message |= {chance.choice(fields): chance.choice(values) for _ in range(chance.randrange(3))}
            return json.dumps(message)


def anything(audio: Iterator[bytes], chance: random.Random) -> str | bytes:
    """A frame: mostly audio and harmless orders; of each fifteen one that may be anything."""
    dice = chance.random()
    if dice < 0.75:
        return next(audio)
    if dice < 0.93:
        return json.dumps(
            chance.choice(
                [
                    {"type": "KeepAlive"},
                    {"type": "ForceEndpoint"},
                    {"type": "UpdateConfiguration", "max_turn_silence": chance.randrange(100, 2000)},
                    {"type": "UpdateConfiguration", "min_turn_silence": chance.randrange(0, 2000), "unknown": [None]},
                    {"type": "UpdateConfiguration", "keyterms_prompt": chance.choice([None, [], ["Helstone"]])},
                ]
            )
        )
    return chance.randbytes(chance.randrange(4000)) if dice < 0.95 else words(chance)


async def fuzz(url: str, kind: Kind, seed: int) -> int:
    """Send until the server ends the session; the code that it closes with. Every message passes the rules."""
    chance = random.Random(f"{kind.name} {seed}")
    async with wire_client(url, universal3=kind.universal3, **kind.query) as client:
        client.rules.audio_ms = None  # only the gateway knows how long such audio is
        audio = kind.audio(chance)
        listening = asyncio.create_task(client.rest(30))
        try:
            for _ in range(chance.randrange(60)):
                await client.connection.send(anything(audio, chance))
            await client.say("Terminate")
        except ConnectionClosed:
            pass
        return (await listening)[0]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_clients_that_send_anything_end_by_code_and_harm_nobody(stack: Any, kind: Kind) -> None:
    query: dict[str, Any] = {"universal3": True, **U3} if kind.universal3 else {}
    async with (
        stack(replacing=kind.universal3, max_sessions=60, capacity=60) as running,
        leaving_nothing(running, **query),
        wire_client(running.url, **query) as kept,
    ):
        await kept.next()
        codes: list[int] = []
        for first in range(0, 60, 20):
            codes += await asyncio.gather(*(fuzz(running.url, kind, first + number) for number in range(20)))
        await kept.audio(LONG)
        assert await kept.terminate() == (1000, "Session Ended")
    assert kept.finals == FINALS[kind.universal3]
    assert set(codes) <= {1000, 3006, 3007}, sorted(set(codes))
    assert {1000, 3006} <= set(codes)
