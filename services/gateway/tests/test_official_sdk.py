"""The official Python SDK, unchanged, completes sessions."""

import asyncio
import threading
import time
from typing import Any

import pytest
from assemblyai.streaming.v3 import (
    BeginEvent,
    StreamingClient,
    StreamingClientOptions,
    StreamingEvents,
    StreamingParameters,
    TerminationEvent,
    TurnEvent,
)

CHUNK = bytes(3200)


class Heard:
    """What the SDK's handlers were called with."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.errors: list[Any] = []
        self.terminated = threading.Event()

    def on_event(self, _: Any, event: Any) -> None:
        self.events.append(event)
        if isinstance(event, TerminationEvent):
            self.terminated.set()

    def on_error(self, _: Any, error: Any) -> None:
        self.errors.append(error)


def session(url: str, seconds: float, **parameters: Any) -> tuple[Heard, float]:
    """Stream silence (the script speaks) and disconnect; returns what was heard and how long the end took."""
    heard = Heard()
    client = StreamingClient(StreamingClientOptions(api_key="self-hosted", api_host=url))
    for kind in (StreamingEvents.Begin, StreamingEvents.Turn, StreamingEvents.Termination):
        client.on(kind, heard.on_event)
    client.on(StreamingEvents.Error, heard.on_error)
    client.connect(StreamingParameters(**parameters))
    client.stream(CHUNK for _ in range(int(seconds * 10)))
    since = time.monotonic()
    client.disconnect(terminate=True)
    return heard, time.monotonic() - since


@pytest.mark.parametrize(
    ("parameters", "finals"),
    [
        ({"format_turns": True}, ["Hello there, this is a test.", "Done."]),
        ({}, ["hello there this is a test", "done"]),
    ],
)
async def test_the_python_sdk_completes_a_session(
    plain_stack: Any, parameters: dict[str, Any], finals: list[str]
) -> None:
    full = {"sample_rate": 16000, "speech_model": "universal-streaming-english", **parameters}
    heard, ending = await asyncio.to_thread(session, plain_stack.url, 6.0, **full)
    assert heard.errors == []
    assert isinstance(heard.events[0], BeginEvent)
    assert heard.terminated.is_set()
    assert ending < 4
    turns = [event for event in heard.events if isinstance(event, TurnEvent)]
    wanted = bool(parameters.get("format_turns"))
    assert [turn.transcript for turn in turns if turn.end_of_turn and turn.turn_is_formatted == wanted] == finals
    assert heard.events[-1].audio_duration_seconds == 6
    await plain_stack.is_empty()


async def test_the_python_sdk_reports_a_refusal(plain_stack: Any) -> None:
    heard, _ = await asyncio.to_thread(
        session, plain_stack.url, 0.1, sample_rate=16000, speech_model="universal-3-5-pro"
    )
    assert [error.code for error in heard.errors] == [3006]
