"""When partials of Universal-3 come, over a real socket.

Whoever speaks here leaves no pause between words, so that a partial ends where the audio does that it was heard in.
"""

from typing import Any

import pytest
from conversations import Listening, trickle
from streamingstack_bench.scripted import Script, ScriptWord
from streamingstack_bench.wire_client import WireClient, wire_client

U3: dict[str, Any] = {"speech_model": "universal-3-5-pro"}
FRAME_MS = 32
# Decodes for partials lie so far apart; under load every other one is left out.
GRID_MS = 800


def unbroken(seconds: int, start_ms: int = 500) -> Script:
    return Script([ScriptWord(f"w{at}", at, at + 100) for at in range(start_ms, start_ms + 1000 * seconds, 100)])


async def told(stack: Any, script: Script, audio_ms: int, **query: Any) -> WireClient:
    """A session that is heard as it is spoken."""
    query = {**U3, **query}
    async with (
        stack(script, replacing=True) as running,
        wire_client(running.url, universal3=True, **query) as client,
    ):
        listening = Listening(client)
        await trickle(client, audio_ms)
        await client.say("Terminate")
        assert await listening.end() == (1000, "Session Ended")
    return client


def partials(client: WireClient) -> list[int]:
    """Where the partials of the first turn end, in milliseconds."""
    shown = [turn for turn in client.turns if not turn["end_of_turn"] and turn["turn_order"] == 0]
    return [turn["words"][-1]["end"] for turn in shown]


@pytest.mark.parametrize(
    ("query", "delay_ms", "continuous"),
    [
        ({}, 500, True),
        ({"mode": "balanced"}, 500, True),
        ({"mode": "min_latency"}, 0, True),
        ({"mode": "max_accuracy"}, 500, True),
        ({"mode": "min_latency", "interruption_delay": 1000}, 1000, True),
        ({"interruption_delay": 0, "continuous_partials": "false"}, 0, False),
        ({"interruption_delay": 500, "continuous_partials": "false"}, 500, False),
        ({"interruption_delay": 1000, "continuous_partials": "true"}, 1000, True),
        ({"speech_model": "u3-rt-pro"}, 500, False),
    ],
    ids=str,
)
async def test_the_early_partial_comes_at_its_delay_and_others_every_three_seconds(
    stack: Any, query: dict[str, Any], delay_ms: int, continuous: bool
) -> None:
    client = await told(stack, unbroken(10, 700), 10_000, **query)
    shown = partials(client)
    due = client.messages[1]["timestamp"] + delay_ms + 256
    assert client.messages[1]["timestamp"] == pytest.approx(700, abs=FRAME_MS)
    for at in shown:
        assert due <= at <= due + GRID_MS
        due = at + 3000
    assert len(shown) == (3 if continuous else 1)


@pytest.mark.parametrize(
    ("query", "silence_ms"),
    [({}, 128), ({"mode": "max_accuracy"}, 800), ({"mode": "max_accuracy", "min_turn_silence": 300}, 300)],
    ids=str,
)
async def test_a_silence_shows_what_is_new_once_it_is_min_turn_silence(
    stack: Any, query: dict[str, Any], silence_ms: int
) -> None:
    """The early partial is over when the voice stops, after a second."""
    once = {"interruption_delay": 0, "continuous_partials": "false", **query}
    for heard_ms, shown in ((silence_ms - 2 * FRAME_MS, [800]), (silence_ms + 2 * FRAME_MS, [800, 1500])):
        client = await told(stack, unbroken(1), 1500 + heard_ms, **once)
        assert partials(client) == shown
        assert len(client.finals) == 1


async def test_a_minute_of_unbroken_speech_is_a_turn_and_the_rest_another(stack: Any) -> None:
    client = await told(stack, unbroken(63), 66_000)
    ended = [turn["words"] for turn in client.turns if turn["end_of_turn"]]
    assert len(ended) == 2
    assert ended[0][-1]["end"] == pytest.approx(60_000, abs=100)  # of a segment, half a second of lead included
    assert [word["text"] for words in ended for word in words] == [f"w{at}" for at in range(500, 63_500, 100)]
    assert [message["type"] for message in client.messages].count("SpeechStarted") == 2
