"""Checks of the protocol: parameters that are refused, and those that are taken."""

import json
from typing import Any

import pytest
from conversations import refusal, session, utterances
from streamingstack_bench.wire_client import wire_client

UNIVERSAL_3: dict[str, Any] = {"speech_model": "universal-3-5-pro"}
MANY = json.dumps(["term"] * 101)
# What Pipecat 1.14 sends to a Universal-Streaming model.
PIPECAT = {
    "sample_rate": 16_000,
    "encoding": "pcm_s16le",
    "speech_model": "universal-streaming-english",
    "formatted_finals": "true",
    "end_of_turn_confidence_threshold": 1.0,
    "min_turn_silence": 160,
    "format_turns": "true",
}
# And to its own default, a Universal-3 model.
PIPECAT_3: dict[str, Any] = {
    "sample_rate": 16_000,
    "encoding": "pcm_s16le",
    "speech_model": "universal-3-6-pro",
    "formatted_finals": "true",
    "format_turns": "true",
    "continuous_partials": "true",
    "min_turn_silence": 100,
    "max_turn_silence": 100,
}


def row(number: int, text: str, **query: Any) -> Any:
    """A query that is refused with a text that says so."""
    return pytest.param(query, text, marks=pytest.mark.check(number), id="-".join((str(number), *query)))


@pytest.mark.parametrize(
    ("query", "text"),
    [
        row(16, "Invalid 'speech_model': Input should be 'universal-streaming-english' or ", speech_model="nope"),
        row(18, "Invalid 'sample_rate'", sample_rate=7000),
        row(19, "Invalid 'sample_rate'", sample_rate="abc"),
        row(20, "Invalid 'sample_rate'", sample_rate=200_000),
        row(22, "not a valid Encoding", encoding="flac"),
        row(24, "Invalid 'format_turns'", format_turns="maybe"),
        row(25, "Invalid 'end_of_turn_confidence_threshold'", end_of_turn_confidence_threshold=1.5),
        row(26, "Invalid 'vad_threshold'", vad_threshold=-0.1),
        row(27, "Invalid 'keyterms_prompt': Value error, Max 100 items", keyterms_prompt=MANY),
        row(29, "Invalid 'keyterms_prompt': Value error, Invalid JSON array", keyterms_prompt="abc"),
        row(30, "Invalid 'keyterms': Value error, Invalid JSON array", keyterms="abc"),
        row(31, "Invalid 'inactivity_timeout'", inactivity_timeout=4),
        row(31, "Invalid 'inactivity_timeout'", inactivity_timeout=3601),
        row(34, "Invalid 'prompt'", prompt="x"),
        row(37, "Invalid 'max_speakers'", max_speakers=11, speaker_labels="true"),
        row(42, "Invalid 'redact_pii'", redact_pii="true"),
    ],
)
async def test_a_wrong_value_is_refused_before_begin(plain_stack: Any, query: dict[str, Any], text: str) -> None:
    code, said, kinds = await refusal(plain_stack.url + "/v3/ws", **query)
    assert (code, kinds) == (3006, ["Error"])
    assert text in said


@pytest.mark.parametrize(
    ("query", "text"),
    [
        row(32, "prompt exceeds maximum length of 1750 characters (got 1751)", prompt="x" * 1751),
        row(33, "agent_context exceeds maximum length of 1750 characters (got 1800)", agent_context="x" * 1800),
        row(35, "Invalid 'mode'", mode="fast"),
        row(36, "Invalid 'language_codes.0'", language_codes='["xx"]'),
        row(36, "Invalid 'language_codes'", language_codes=json.dumps(["en", "es", "de", "fr", "it", "pt"] * 2)),
        row(38, "Invalid 'interruption_delay'", interruption_delay=1001),
    ],
)
async def test_a_wrong_value_for_universal_3_is_refused_before_begin(
    stack: Any, query: dict[str, Any], text: str
) -> None:
    async with stack(replacing=True) as running:
        code, said, kinds = await refusal(running.url, **UNIVERSAL_3, **query)
    assert (code, kinds) == (3006, ["Error"])
    assert text in said


@pytest.mark.parametrize(
    "query",
    [
        pytest.param({"keyterms_prompt": json.dumps(["x" * 60])}, marks=pytest.mark.check(28)),
        pytest.param({"keyterms": '["Ostrava"]'}, marks=pytest.mark.check(30)),
        pytest.param({"inactivity_timeout": 5}, marks=pytest.mark.check(31)),
        pytest.param({"min_turn_silense": 9}, marks=pytest.mark.check(39)),
        pytest.param(PIPECAT, marks=pytest.mark.check(41)),
    ],
    ids=str,
)
async def test_what_clients_send_opens_a_session_without_a_warning(plain_stack: Any, query: dict[str, Any]) -> None:
    client = await session(plain_stack.url, 6000, **query)
    assert {message["type"] for message in client.messages} == {"Begin", "Turn", "Termination"}
    assert len(client.finals) == 2


@pytest.mark.check(41)
async def test_what_pipecat_sends_to_universal_3_ends_a_turn_at_every_pause(stack: Any) -> None:
    async with stack(utterances("one two", 400, "three.", 400, "four"), replacing=True) as running:
        client = await session(running.url, 6000, universal3=True, **PIPECAT_3)
    assert {message["type"] for message in client.messages} == {"Begin", "SpeechStarted", "Turn", "Termination"}
    told = client.messages[0]["configuration"]
    assert (told["model"], told["min_turn_silence"], told["max_turn_silence"]) == ("universal-3-6-pro", 100, 100)
    assert client.finals == ["one two", "three.", "four"]


@pytest.mark.check(36)
async def test_languages_are_taken_for_universal_3(stack: Any) -> None:
    async with stack(replacing=True) as running:
        client = await session(running.url, 6000, language_codes='["en","es"]', **UNIVERSAL_3)
    assert len(client.finals) == 2


async def test_an_operator_s_own_defaults_of_universal_3_are_told_and_end_turns(stack: Any) -> None:
    """Two words with 700 ms between them: one turn by the built-in silence, two by a shorter one."""
    script, heard = utterances("one", 700, "two"), []
    for chosen in ({}, {"universal3_max_turn_silence": 500, "universal3_vad_threshold": 0.25}):
        async with stack(script, replacing=True, **chosen) as running:
            client = await session(running.url, 4000, **UNIVERSAL_3)
        told = client.messages[0]["configuration"]
        heard.append((told["max_turn_silence"], told["vad_threshold"], client.finals))
    assert heard == [(1536, 0.3, ["one two"]), (500, 0.25, ["one", "two"])]


@pytest.mark.check(17)
@pytest.mark.parametrize("default", ["universal-streaming-english", "universal-streaming-multilingual"])
async def test_who_names_no_model_gets_the_configured_default(stack: Any, default: str) -> None:
    async with stack(default_speech_model=default) as running, wire_client(running.url) as client:
        begin = await client.next()
    assert begin is not None
    assert begin["configuration"]["model"] == default


@pytest.mark.check(23)
@pytest.mark.parametrize(
    ("spelling", "formats"), [("True", True), ("true", True), ("1", True), ("False", False), ("0", False)]
)
async def test_format_turns_in_every_spelling(plain_stack: Any, spelling: str, formats: bool) -> None:
    client = await session(plain_stack.url, 6000, format_turns=spelling)
    assert any(turn["turn_is_formatted"] for turn in client.turns) is formats
    assert client.messages[0]["configuration"]["format_turns"] is formats


@pytest.mark.check(40)
@pytest.mark.parametrize(
    ("query", "turns"),
    [
        ({}, ["one two three"]),
        ({"min_end_of_turn_silence_when_confident": 160}, ["one two", "three"]),
        ({"min_turn_silence": 160}, ["one two", "three"]),
        ({"min_end_of_turn_silence_when_confident": 160, "min_turn_silence": 400}, ["one two three"]),
    ],
    ids=str,
)
async def test_the_old_name_of_min_turn_silence_means_the_same(
    stack: Any, query: dict[str, Any], turns: list[str]
) -> None:
    async with stack(utterances("one two", 300, "three", eot_score=0.9)) as running:
        client = await session(running.url, 4000, **query)
    assert client.finals == turns
