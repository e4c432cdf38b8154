"""Turns of Universal-3, rule by rule."""

from typing import Any

import pytest
from streaming_gateway.turns import Decide, Send, TurnConfig, Universal3Turns
from streaming_gateway.turns.text import is_finished
from streamingstack.asr.v1 import recognizer_pb2 as pb

MS = 16
CONTINUE, END = pb.DECISION_CONTINUE, pb.DECISION_END_SEGMENT


def machine(**changes: Any) -> Universal3Turns:
    settings: dict[str, Any] = {"family": "universal-3", "min_turn_silence": 128, "max_turn_silence": 1536}
    return Universal3Turns(TurnConfig(**{**settings, **changes}))


def spelled(text: str, start_ms: int = 1000) -> list[pb.Word]:
    starts = [(t, (start_ms + 100 * place) * MS) for place, t in enumerate(text.split())]
    return [pb.Word(text=t, start_sample=start, end_sample=start + 90 * MS, confidence=0.9) for t, start in starts]


def started(at_ms: int) -> pb.RecognizeResponse:
    return pb.RecognizeResponse(speech_started=pb.SpeechStarted(at_sample=at_ms * MS, confidence=0.75))


def words(text: str, through_ms: int) -> pb.RecognizeResponse:
    return pb.RecognizeResponse(words=pb.Words(tentative=spelled(text), through_sample=through_ms * MS))


def checkpoint(silence_ms: int, text: str) -> pb.RecognizeResponse:
    asked = pb.Checkpoint(id=1, at_sample=9000 * MS, silence_ms=silence_ms, words=spelled(text))
    return pb.RecognizeResponse(checkpoint=asked)


def finalized(text: str) -> pb.RecognizeResponse:
    return pb.RecognizeResponse(finalized=pb.Finalized(id=1, at_sample=9000 * MS, words=spelled(text)))


def sent(turns: Universal3Turns, *events: pb.RecognizeResponse) -> list[dict[str, Any]]:
    return [effect.message for event in events for effect in turns.event(event) if isinstance(effect, Send)]


def decided(turns: Universal3Turns, event: pb.RecognizeResponse) -> int:
    (decision,) = (effect.decision for effect in turns.event(event) if isinstance(effect, Decide))
    return int(decision)


@pytest.mark.parametrize(
    ("silence_ms", "text", "decision"),
    [
        (128, "We are done.", END),
        (128, "Are we done?", END),
        (128, "终于好了。", END),
        (128, 'He said "stop!"', END),
        (128, "We are", CONTINUE),
        (128, "Well...", CONTINUE),
        (128, "", CONTINUE),
        (1536, "We are", END),
        (1536, "", END),
    ],
)
def test_a_finished_sentence_ends_at_the_short_silence_anything_at_the_long_one(
    silence_ms: int, text: str, decision: int
) -> None:
    turns = machine()
    turns.event(started(1000))
    assert decided(turns, checkpoint(silence_ms, text)) == decision


def test_the_voice_is_told_with_the_first_words_and_never_for_noise() -> None:
    turns = machine()
    assert sent(turns, started(500), checkpoint(1536, "")) == []
    voice, turn = sent(turns, started(1000), checkpoint(128, "We are"))
    assert voice == {"type": "SpeechStarted", "timestamp": 1000, "confidence": 0.75}
    assert (turn["turn_order"], turn["end_of_turn"], turn["transcript"]) == (0, False, "We are")
    assert [m["type"] for m in sent(turns, started(2000), checkpoint(128, "We are done."))] == ["Turn"]
    assert [m["type"] for m in sent(turns, started(9000), finalized("More."))] == ["SpeechStarted", "Turn"]


def test_the_end_of_a_turn_is_formatted_sure_and_its_own_utterance() -> None:
    turns = machine()
    _, ended = sent(turns, started(1000), checkpoint(128, "We are done."))
    assert (ended["turn_is_formatted"], ended["end_of_turn_confidence"]) == (True, 1)
    assert ended["utterance"] == ended["transcript"] == "We are done."
    assert all(word["word_is_final"] for word in ended["words"])


def test_one_early_partial_comes_at_the_delay_and_more_only_with_continuous_partials() -> None:
    events = [started(1000), *(words("We are " + "so " * n, 1000 + 250 * n) for n in range(1, 30))]
    assert [m["type"] for m in sent(machine(), *events)] == ["SpeechStarted", "Turn"]
    continuous = sent(machine(continuous_partials=True), *events)
    assert [m["type"] for m in continuous] == ["SpeechStarted", "Turn", "Turn", "Turn"]
    early = sent(machine(interruption_delay=0), *events[:3])
    assert [m["type"] for m in early] == ["SpeechStarted", "Turn"]


def test_an_early_partial_without_words_is_tried_again() -> None:
    turns = machine()
    assert sent(turns, started(1000), words("", 1800)) == []
    assert [m["type"] for m in sent(turns, words("We", 2500))] == ["SpeechStarted", "Turn"]


def test_the_early_partial_is_one_even_where_its_text_changes() -> None:
    turns = machine()
    events = [started(1000), words("We", 1800), words("We are", 2200), words("We are here", 3400)]
    assert [m["type"] for m in sent(turns, *events)] == ["SpeechStarted", "Turn"]


@pytest.mark.parametrize(
    ("changed_at_ms", "turns_seen"),
    [
        (500, [1, 1]),  # before the first voice: in force for it
        (1500, [0, 1]),  # in mid-turn: for the next
    ],
)
def test_a_change_of_the_pace_counts_from_the_next_turn(changed_at_ms: int, turns_seen: list[int]) -> None:
    turns = machine(interruption_delay=1000)
    faster = TurnConfig("universal-3", 128, 1536, interruption_delay=0)
    seen = []
    for place, begin in enumerate((1000, 10_000)):
        if place == 0 and changed_at_ms < begin:
            turns.update(changed_at_ms * MS, faster)
        sent(turns, started(begin))
        if place == 0 and changed_at_ms > begin:
            turns.update(changed_at_ms * MS, faster)
        early = sent(turns, words("We are", begin + 800))
        seen.append(sum(m["type"] == "Turn" for m in early))
        sent(turns, finalized("We are here."))
    assert seen == turns_seen


def test_a_change_of_a_silence_counts_at_once() -> None:
    turns = machine(min_turn_silence=128, max_turn_silence=1536)
    turns.event(started(1000))
    turns.update(2000 * MS, TurnConfig("universal-3", 128, 400))
    assert decided(turns, checkpoint(400, "We are")) == END


def test_a_silence_without_an_end_shows_what_was_heard_once() -> None:
    turns = machine()
    first = sent(turns, started(1000), checkpoint(128, "We are"))
    assert [m["type"] for m in first] == ["SpeechStarted", "Turn"]
    assert sent(turns, checkpoint(128, "We are")) == []
    (again,) = sent(turns, checkpoint(128, "We were"))
    assert (again["transcript"], again["end_of_turn"], again["utterance"]) == ("We were", False, "")


def test_a_turn_that_was_shown_for_nothing_is_taken_back_and_goes_on_with_the_next_words() -> None:
    turns = machine()
    assert [m["type"] for m in sent(turns, started(1000), words("Hm?", 2000))] == ["SpeechStarted", "Turn"]
    (taken_back,) = sent(turns, checkpoint(1536, ""))
    assert (taken_back["turn_order"], taken_back["words"], taken_back["end_of_turn"]) == (0, [], False)
    (ended,) = sent(turns, started(9000), finalized("We are done."))
    assert (ended["turn_order"], ended["end_of_turn"]) == (0, True)
    assert [m["type"] for m in sent(turns, started(20_000), finalized("More."))] == ["SpeechStarted", "Turn"]


def test_with_both_silences_alike_every_pause_ends_the_turn() -> None:
    turns = machine(min_turn_silence=100, max_turn_silence=100)
    turns.event(started(1000))
    assert decided(turns, checkpoint(100, "We are")) == END


def test_a_minute_of_speech_is_a_turn() -> None:
    turns = machine()
    turns.event(started(1000))
    capped = pb.Checkpoint(id=1, at_sample=61_000 * MS, words=spelled("and so"), reason=pb.CHECKPOINT_REASON_CAP)
    effects = turns.event(pb.RecognizeResponse(checkpoint=capped))
    assert [type(effect) for effect in effects] == [Send, Send, Decide]
    assert effects[1].message["end_of_turn"]  # type: ignore[union-attr]


def test_without_partials_the_voice_is_told_with_the_end() -> None:
    turns = machine(include_partial_turns=False)
    assert sent(turns, started(1000), words("We", 3000), checkpoint(128, "We are")) == []
    ended = sent(turns, checkpoint(1536, "We are"))
    assert [m["type"] for m in ended] == ["SpeechStarted", "Turn"]


@pytest.mark.parametrize(
    ("text", "finished"),
    [("Yes.", True), ("Yes.”", True), ("Yes…", False), ("Yes..", False), ("Yes,", False), ("", False), ("是？", True)],
)
def test_a_sentence_ends_by_its_mark(text: str, finished: bool) -> None:
    assert is_finished(text) is finished
