"""Every field of UpdateConfiguration has its effect over a real socket, at its place in the audio.

An update holds from the end of the audio that was sent before it. Each row says where that is: at 1500 ms somebody
speaks the second word, at 1100 ms the silence between the first two is 340 ms old.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from conversations import Listening, session, trickle, utterances
from streaming_gateway.parameters import Tunable
from streamingstack_bench.scripted import Script, ScriptWord
from streamingstack_bench.wire_client import WireClient, wire_client

AUDIO_MS = 7000
U3: dict[str, Any] = {"speech_model": "universal-3-5-pro"}
PLAIN = utterances("one", 600, "two", 600, "three", 600, "four", eot_score=0.6)
SENTENCES = utterances("one.", 600, "two.", 600, "three.", 600, "four.")
BREATHS = utterances("one", 600, "two", 600, "three", 600, "four")
CURSED = utterances("shit one", 2000, "shit two")
NAMED = utterances("Ostrava is far", 400, "and flat", 400, "so Ostrava", misheard={"Ostrava": "Australia"})
BANKS = utterances("IBAN Ostrava now", misheard={"Ostrava": "Australia", "IBAN": "even"})
FAINT = utterances("one", 1500, "two", voice={"one": 0.35, "two": 0.35})
HUM = Script([ScriptWord("one", 500, 760), ScriptWord("hum", 880, 4000, voice=0.35), ScriptWord("two", 4300, 4560)])

WHOLE, FROM_TWO, FROM_ONE = ["one two three four"], ["one two", "three", "four"], ["one", "two", "three", "four"]
FULL, STOPS_AT_TWO = ["one. two. three. four."], ["one. two.", "three.", "four."]
STOPS = ["one.", "two.", "three.", "four."]
UNNAMED = "Australia is far and flat so Australia"
SHOWN: set[str] = set()
Test = TypeVar("Test")


def shows(*fields: str) -> Callable[[Test], Test]:
    """The test shows the effect of these fields."""
    SHOWN.update(fields)
    return lambda test: test


def row(at_ms: int, script: Script, before: list[str], after: list[str], query: dict[str, Any], **update: Any) -> Any:
    """After `query` the final texts are `before`; with the update in the middle, `after`."""
    if before != after:
        SHOWN.update(update)
    said = "-".join([f"{name}={value}" for name, value in update.items()])
    return pytest.param(at_ms, script, before, after, query, update, id=f"{said}-at-{at_ms}")


async def updated(url: str, at_ms: int, update: dict[str, Any], query: dict[str, Any]) -> WireClient:
    """A session that changes its configuration so far into its audio."""
    async with wire_client(url, universal3=query.get("speech_model", "").startswith("universal-3"), **query) as client:
        await client.next()
        await client.audio(at_ms, chunk_ms=50)
        await client.say("UpdateConfiguration", **update)
        client.rules.format_turns = update.get("format_turns", client.rules.format_turns)
        await client.audio(AUDIO_MS - at_ms, chunk_ms=50)
        assert await client.terminate() == (1000, "Session Ended")
    return client


UNIVERSAL = [
    row(1500, PLAIN, WHOLE, FROM_TWO, {"min_turn_silence": 800}, min_turn_silence=400),
    row(1500, PLAIN, WHOLE, FROM_TWO, {"min_turn_silence": 800}, min_end_of_turn_silence_when_confident=400),
    row(1500, PLAIN, FROM_ONE, ["one", "two three four"], {}, min_turn_silence=800),
    row(1500, BREATHS, WHOLE, FROM_TWO, {}, max_turn_silence=400),
    row(1500, PLAIN, WHOLE, FROM_TWO, {"end_of_turn_confidence_threshold": 0.7}, end_of_turn_confidence_threshold=0.5),
    row(1500, PLAIN, FROM_ONE, ["one", "two three four"], {}, end_of_turn_confidence_threshold=1),
    # In a silence that is 340 ms old: passed already, or not reached yet.
    row(1100, PLAIN, WHOLE, FROM_ONE, {"min_turn_silence": 800}, min_turn_silence=300),
    row(1100, BREATHS, WHOLE, FROM_ONE, {}, max_turn_silence=300),
    row(1100, BREATHS, FROM_ONE, WHOLE, {"max_turn_silence": 400}, max_turn_silence=2000),
    row(
        1100,
        PLAIN,
        WHOLE,
        FROM_ONE,
        {"end_of_turn_confidence_threshold": 0.7, "min_turn_silence": 160},
        end_of_turn_confidence_threshold=0.5,
    ),
    # A faint voice is none at 0.4 and one at 0.3: before it speaks, between its words, and while it holds a turn open.
    row(400, FAINT, [], ["one", "two"], {}, vad_threshold=0.3),
    row(1500, FAINT, [], ["two"], {}, vad_threshold=0.3),
    row(1600, HUM, ["one hum two"], ["one hum", "two"], {"vad_threshold": 0.3}, vad_threshold=0.5),
    row(1500, SENTENCES, ["one two three four"], ["one. two. three. four."], {}, format_turns=True),
    row(
        1500,
        SENTENCES,
        ["one. two. three. four."],
        ["one two three four"],
        {"format_turns": "true"},
        format_turns=False,
    ),
    row(2500, CURSED, ["shit one", "shit two"], ["shit one", "*** two"], {}, filter_profanity=True),
    row(2500, CURSED, ["*** one", "*** two"], ["*** one", "shit two"], {"filter_profanity": 1}, filter_profanity=False),
    row(2000, NAMED, [UNNAMED.lower()], ["australia is far and flat so ostrava"], {}, keyterms_prompt=["Ostrava"]),
    row(
        2000,
        NAMED,
        ["ostrava is far and flat so ostrava"],
        ["ostrava is far and flat so australia"],
        {"keyterms": '["Ostrava"]'},
        keyterms_prompt=[],
    ),
    # Of Universal-3 alone, or of nobody: accepted.
    *(
        row(1500, PLAIN, FROM_ONE, FROM_ONE, {}, **update)
        for update in (
            {"mode": "max_accuracy"},
            {"prompt": "Numbers."},
            {"agent_context": "Count to four!"},
            {"language_codes": ["de"]},
            {"continuous_partials": True, "interruption_delay": 0},
            {"acknowledge_silence": True},
            {"turn_left_pad_ms": 300},
        )
    ),
]
UNIVERSAL_3 = [
    row(1500, SENTENCES, FULL, STOPS_AT_TWO, {"min_turn_silence": 800}, min_turn_silence=200),
    row(1100, SENTENCES, FULL, STOPS, {"min_turn_silence": 800}, min_turn_silence=200),
    row(1500, BREATHS, WHOLE, FROM_TWO, {}, max_turn_silence=400),
    row(1100, BREATHS, WHOLE, FROM_ONE, {}, max_turn_silence=300),
    row(1500, FAINT, [], ["two"], {"vad_threshold": 0.4}, vad_threshold=0.3),
    row(2500, CURSED, ["shit one", "shit two"], ["*** one", "*** two"], {}, filter_profanity=True),
    row(2800, CURSED, ["shit one", "shit two"], ["shit one", "*** two"], {}, filter_profanity=True),
    # The preset's silence; over what was said before; under what is said with it.
    row(650, SENTENCES, STOPS, FULL, {}, mode="max_accuracy"),
    row(1500, SENTENCES, FULL, STOPS_AT_TWO, {"mode": "max_accuracy"}, mode="min_latency"),
    row(1500, SENTENCES, FULL, STOPS_AT_TWO, {"min_turn_silence": 800}, mode="balanced"),
    row(650, SENTENCES, STOPS, STOPS, {}, mode="max_accuracy", min_turn_silence=200),
    # From the next transcription on, which is of the whole open turn.
    row(1500, NAMED, [UNNAMED], ["Ostrava is far and flat so Ostrava"], {}, keyterms_prompt=["Ostrava"]),
    row(1500, NAMED, [UNNAMED], ["Ostrava is far and flat so Ostrava"], {}, prompt="A trip to Ostrava."),
    row(1500, NAMED, [UNNAMED], ["Ostrava is far and flat so Ostrava"], {}, agent_context="Where is Ostrava?"),
    row(
        700,
        BANKS,
        ["even Ostrava now"],
        ["IBAN Australia now"],
        {"keyterms_prompt": '["Ostrava"]'},
        keyterms_prompt=["IBAN"],
    ),
    row(
        700,
        BANKS,
        ["IBAN Ostrava now"],
        ["even Ostrava now"],
        {"prompt": "IBAN", "agent_context": "Ostrava"},
        prompt="",
    ),
    row(1500, SENTENCES, STOPS, STOPS, {}, end_of_turn_confidence_threshold=1, format_turns=True, turn_left_pad_ms=300),
]


@pytest.mark.parametrize(("at_ms", "script", "before", "after", "query", "update"), UNIVERSAL)
async def test_an_update_changes_a_session_of_universal_streaming_from_where_it_is_sent(
    stack: Any, at_ms: int, script: Script, before: list[str], after: list[str], query: Any, update: Any
) -> None:
    async with stack(script) as running:
        assert (await session(running.url, AUDIO_MS, **query)).finals == before
        assert (await updated(running.url, at_ms, update, query)).finals == after


@pytest.mark.parametrize(("at_ms", "script", "before", "after", "query", "update"), UNIVERSAL_3)
async def test_an_update_changes_a_session_of_universal_3_from_where_it_is_sent(
    stack: Any, at_ms: int, script: Script, before: list[str], after: list[str], query: Any, update: Any
) -> None:
    async with stack(script, replacing=True) as running:
        assert (await session(running.url, AUDIO_MS, **U3, **query)).finals == before
        assert (await updated(running.url, at_ms, update, {**U3, **query})).finals == after


@shows("language_codes")
@pytest.mark.parametrize(
    ("query", "update", "told"),
    [
        ({}, ["de", "fr"], ["en", "de"]),
        ({"language_codes": '["de"]'}, ["fr"], ["de", "fr"]),
        ({"language_codes": '["de"]'}, [], ["de", "en"]),
    ],
    ids=str,
)
async def test_languages_steer_from_the_next_turn_on(
    stack: Any, query: dict[str, Any], update: list[str], told: list[str]
) -> None:
    async with stack(utterances("one two", 2000, "three"), replacing=True) as running:
        wanted = {**U3, "language_detection": "true", **query}
        client = await updated(running.url, 700, {"language_codes": update}, wanted)
    assert [turn["language_code"] for turn in client.turns if turn["end_of_turn"]] == told


@shows("continuous_partials")
async def test_continuous_partials_begin_with_the_next_turn(stack: Any) -> None:
    assert await partials_by_turn(stack, {"continuous_partials": "false"}, continuous_partials=True) == [1, 2]
    assert await partials_by_turn(stack, {}, continuous_partials=False) == [2, 1]


@shows("interruption_delay")
async def test_another_interruption_delay_counts_from_the_next_turn_on(stack: Any) -> None:
    """Each turn is 1.2 s of speech: at 1000 ms and 256 of them it is over before its early partial is due."""
    script = utterances("one two three four.", 1000, "five six seven eight.", start_ms=480)
    for query, update, seen in (({"interruption_delay": 1000}, 0, [0, 1]), ({"interruption_delay": 0}, 1000, [1, 0])):
        told = await partials_by_turn(stack, query, script=script, interruption_delay=update)
        assert told == seen


async def partials_by_turn(
    stack: Any, query: dict[str, Any], *, script: Script | None = None, **update: Any
) -> list[int]:
    """How many partials two turns have, of 5 s each, when they are heard as they are spoken; updated in the first."""
    talk = script or utterances(" ".join(["word"] * 16) + ".", 1000, " ".join(["more"] * 16) + ".")
    async with (
        stack(talk, replacing=True) as running,
        wire_client(running.url, universal3=True, **U3, **query) as client,
    ):
        listening = Listening(client)
        await trickle(client, 700)
        await client.say("UpdateConfiguration", **update)
        await trickle(client, 13_300)
        await client.say("Terminate")
        assert await listening.end() == (1000, "Session Ended")
    return [sum(turn["turn_order"] == order and not turn["end_of_turn"] for turn in client.turns) for order in (0, 1)]


@shows("session_heartbeat")
async def test_heartbeats_begin_and_end_at_once(plain_stack: Any) -> None:
    opted = frozenset({"Heartbeat"})
    async with (
        wire_client(plain_stack.url, opted_in=opted) as later,
        wire_client(plain_stack.url, opted_in=opted, session_heartbeat="true") as no_more,
    ):
        began = time.monotonic()
        for client in (later, no_more):
            await client.next()
        await later.say("UpdateConfiguration", session_heartbeat=True)
        await no_more.say("UpdateConfiguration", session_heartbeat=False)
        await later.audio(400)
        beat = await later.until(lambda message: message["type"] == "Heartbeat", 9)
        assert 4 <= time.monotonic() - began <= 7
        assert beat["total_audio_received_ms"] == 400
        assert await no_more.terminate() == (1000, "Session Ended")
    assert [message["type"] for message in no_more.messages] == ["Begin", "Termination"]


@shows("acknowledge_silence")
@pytest.mark.parametrize(
    ("query", "wished", "within"), [({}, True, (2000, 7000)), ({"acknowledge_silence": 1}, False, (0, 3000))]
)
async def test_silence_is_acknowledged_from_the_update_on_or_no_more(
    stack: Any, query: dict[str, Any], wished: bool, within: tuple[int, int]
) -> None:
    async with (
        stack(Script([]), replacing=True) as running,
        wire_client(running.url, universal3=True, opted_in=frozenset({"Silence"}), **U3, **query) as client,
    ):
        listening = Listening(client)
        await trickle(client, 3000)
        await asyncio.sleep(1)  # everything until here is heard
        await client.say("UpdateConfiguration", acknowledge_silence=wished)
        await trickle(client, 4000)
        await client.say("Terminate")
        await listening.end()
    told = [(message["start_ms"], message["end_ms"]) for message in client.messages if message["type"] == "Silence"]
    assert told
    assert all(within[0] <= start and end <= within[1] for start, end in told), told


def test_every_field_is_shown() -> None:
    aliases = {"min_end_of_turn_silence_when_confident"}
    without_effect = {"turn_left_pad_ms"}
    assert (Tunable.model_fields.keys() | aliases) - without_effect == SHOWN
