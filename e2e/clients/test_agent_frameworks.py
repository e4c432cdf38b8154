"""LiveKit's plugin and Pipecat's service, unchanged, as an agent has them."""

from pathlib import Path
from typing import Any

import pytest
from client_runs import (
    LIVEKIT,
    OLD_LIVEKIT,
    OLD_PIPECAT,
    OLDEST_LIVEKIT,
    OLDEST_PIPECAT,
    PIPECAT,
    Client,
    Told,
    run_client,
)
from streamingstack_bench.scripted import Script, ScriptWord

ENGLISH = "universal-streaming-english"
MANY = " ".join(f"word{number}" for number in range(20))  # without a pause, for seven seconds
FINALS = ["Hello there, this is a test.", "Done."]
SAID = "You don't mean that you thought me so silly?"
# Where the recording of the fixture says it, near enough for its voice and the script's to stop together.
STARTS_MS, WORD_MS, GAP_MS = (300, 4630), 220, 30


def spoken_twice() -> Script:
    """What the fixture `utterances` says, at its places."""
    words = [
        ScriptWord(word, start, start + WORD_MS)
        for begin in STARTS_MS
        for start, word in zip(range(begin, begin + 9000, WORD_MS + GAP_MS), SAID.split(), strict=False)
    ]
    return Script(words)


@pytest.mark.check(104)
@pytest.mark.parametrize("client", [LIVEKIT, OLD_LIVEKIT], ids=lambda client: client.name)
async def test_livekit_gets_one_final_transcript_a_turn(plain_stack: Any, recording: Path, client: Client) -> None:
    told = await run_client(client, plain_stack.url, audio=recording, model=ENGLISH, format_turns=True)
    ended_well(told)
    assert told.texts("final_transcript") == FINALS
    assert len(told.of("end_of_speech")) == 2
    assert told.texts("preflight_transcript") == ["hello there this is a test", "done"]
    assert told.texts("interim_transcript")[0] == "hello"
    await plain_stack.is_empty()


async def test_livekit_1_2_is_content_where_the_vendor_s_own_name_leads_here(
    stack: Any, certificates: Any, recording: Path
) -> None:
    async with stack(**certificates.settings) as running:
        told = await run_client(
            OLDEST_LIVEKIT, running.url, audio=recording, authority=certificates.authority, format_turns=True
        )
    ended_well(told)
    assert told.texts("final_transcript") == FINALS
    assert told.of("interim_transcript")


@pytest.mark.parametrize(("silence", "turns"), [(160, ["Hello there.", "Done."]), (400, ["Hello there. Done."])])
async def test_livekit_1_2_is_heard_by_its_own_name_of_the_shorter_silence(
    stack: Any, certificates: Any, recording: Path, silence: int, turns: list[str]
) -> None:
    """`min_end_of_turn_silence_when_confident` is what it calls `min_turn_silence`: a pause of 280 ms is between."""
    words = [ScriptWord("Hello", 300, 600), ScriptWord("there.", 640, 900), ScriptWord("Done.", 1180, 1500)]
    sure = Script(words, eot_scores={1: 0.9, 2: 0.9})
    async with stack(sure, **certificates.settings) as running:
        told = await run_client(
            OLDEST_LIVEKIT,
            running.url,
            audio=recording,
            authority=certificates.authority,
            format_turns=True,
            min_end_of_turn_silence_when_confident=silence,
        )
    ended_well(told)
    assert told.texts("final_transcript") == turns


async def test_livekit_as_it_comes_asks_for_universal_3(stack: Any, recording: Path) -> None:
    async with stack(replacing=True) as running:
        told = await run_client(LIVEKIT, running.url, audio=recording)
    ended_well(told)
    assert told.texts("final_transcript") == FINALS
    assert len(told.of("start_of_speech")) == 2


@pytest.mark.parametrize("client", [LIVEKIT, OLD_LIVEKIT], ids=lambda client: client.name)
async def test_livekit_ends_a_turn_midway_and_changes_its_options(stack: Any, utterances: Path, client: Client) -> None:
    async with stack(Script.of(MANY)) as running:
        told = await run_client(
            client,
            running.url,
            audio=utterances,
            speed=4.0,
            midway={"max_turn_silence": 3000, "keyterms_prompt": ["Helstone"]},
            model=ENGLISH,
            format_turns=True,
        )
    ended_well(told)
    assert len(told.texts("final_transcript")) == 2
    assert " ".join(told.texts("final_transcript")) == MANY


@pytest.mark.parametrize("client", [LIVEKIT, OLD_LIVEKIT], ids=lambda client: client.name)
async def test_livekit_learns_the_code_of_a_refusal(plain_stack: Any, recording: Path, client: Client) -> None:
    told = await run_client(client, plain_stack.url, audio=recording, speed=1.0, model="u3-rt-pro")
    assert told.code != 0
    assert {(error["kind"], error["code"]) for error in told.of("error")} == {("APIStatusError", 3006)}


@pytest.mark.check(105)
@pytest.mark.parametrize("client", [PIPECAT, OLD_PIPECAT], ids=lambda client: client.name)
async def test_pipecat_gets_a_formatted_final_when_its_voice_activity_stops(
    stack: Any, utterances: Path, client: Client
) -> None:
    async with stack(spoken_twice()) as running:
        told = await run_client(client, running.url + "/v3/ws", audio=utterances, speed=2.0, model=ENGLISH)
        await running.is_empty()
    ended_well(told)
    finals = told.of("transcription")
    assert " ".join(final["text"] for final in finals) == f"{SAID} {SAID}"
    assert all(final["formatted"] and final["finalized"] for final in finals), "each answers a ForceEndpoint"
    assert 2 <= len(finals) <= len(told.of("voice_stopped"))
    assert told.of("interim")


async def test_pipecat_0_0_85_gets_a_formatted_final_when_the_voice_activity_of_its_transport_stops(
    stack: Any, utterances: Path
) -> None:
    async with stack(spoken_twice()) as running:
        told = await run_client(OLDEST_PIPECAT, running.url + "/v3/ws", audio=utterances, speed=2.0)
        await running.is_empty()
    ended_well(told)
    assert " ".join(told.texts("transcription", formatted=True)) == f"{SAID} {SAID}"
    assert len(told.of("transcription")) <= len(told.of("voice_stopped"))


async def test_pipecat_as_it_comes_asks_for_universal_3(stack: Any, utterances: Path) -> None:
    async with stack(spoken_twice(), replacing=True) as running:
        told = await run_client(PIPECAT, running.url + "/v3/ws", audio=utterances, speed=2.0, model="universal-3-6-pro")
    ended_well(told)
    assert " ".join(told.texts("transcription", formatted=True)) == f"{SAID} {SAID}"


@pytest.mark.parametrize("client", [PIPECAT, OLD_PIPECAT], ids=lambda client: client.name)
async def test_pipecat_may_leave_the_ends_of_turns_to_universal_3(stack: Any, utterances: Path, client: Client) -> None:
    async with stack(spoken_twice(), replacing=True) as running:
        told = await run_client(
            client,
            running.url + "/v3/ws",
            audio=utterances,
            speed=2.0,
            model="u3-rt-pro",
            vad_force_turn_endpoint=False,
        )
    ended_well(told)
    assert told.texts("transcription", finalized=True, formatted=True) == [SAID, SAID]
    # The order of the last two is Pipecat's own, and another in each version.
    of_a_turn = ["turn_started", "transcription", "turn_stopped"]
    kinds = [event["event"] for event in told.events if event["event"] in of_a_turn]
    assert [kinds[0], kinds[3]] == ["turn_started"] * 2
    assert sorted(kinds[:3]) == sorted(kinds[3:]) == sorted(of_a_turn)


def ended_well(told: Told) -> None:
    """To its end, and nobody was told of any trouble."""
    assert told.code == 0, told.log
    assert told.of("error") == []
    assert "ERROR" not in told.log, "what a framework only logs"
    assert told.one("completed")
