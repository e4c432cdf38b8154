"""`vad_threshold` over a real socket: what is less surely a voice than it says is silence."""

from typing import Any

import pytest
from conversations import session
from streamingstack_bench.scripted import Script, ScriptWord

NEAR = 0.01


@pytest.mark.parametrize(
    ("model", "query", "threshold"),
    [
        ("universal-streaming-english", {}, 0.4),
        ("universal-streaming-multilingual", {}, 0.4),
        ("universal-3-5-pro", {}, 0.3),
        ("universal-3-5-pro", {"mode": "min_latency"}, 0.3),
        ("universal-3-5-pro", {"mode": "max_accuracy"}, 0.3),
        ("u3-rt-pro", {}, 0.3),
        ("universal-streaming-english", {"vad_threshold": 0.6}, 0.6),
        ("universal-3-5-pro", {"vad_threshold": 0.6, "mode": "min_latency"}, 0.6),
    ],
    ids=str,
)
async def test_a_voice_is_what_reaches_the_threshold(
    stack: Any, model: str, query: dict[str, Any], threshold: float
) -> None:
    universal3 = model.startswith(("universal-3", "u3"))
    words = [
        ScriptWord("murmur", 500, 1500, voice=threshold - NEAR),
        ScriptWord("voice", 5000, 6000, voice=threshold + NEAR),
    ]
    async with stack(Script(words), replacing=universal3) as running:
        client = await session(running.url, 9000, universal3=universal3, speech_model=model, **query)
    assert client.messages[0]["configuration"]["vad_threshold"] == threshold
    assert client.finals == ["voice"]


@pytest.mark.parametrize(("threshold", "turns"), [(0.3, ["one hum two"]), (0.5, ["one hum", "two"])])
async def test_a_murmur_holds_a_turn_open_where_it_is_a_voice(stack: Any, threshold: float, turns: list[str]) -> None:
    words = [ScriptWord("one", 500, 760), ScriptWord("hum", 880, 4000, voice=0.4), ScriptWord("two", 4300, 4560)]
    async with stack(Script(words)) as running:
        assert (await session(running.url, 7000, vad_threshold=threshold)).finals == turns
