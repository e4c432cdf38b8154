"""Turns of Universal-Streaming, rule by rule."""

from typing import Any

import pytest
from streaming_gateway.turns import Decide, Send, TurnConfig, UniversalTurns, checkpoints_ms
from streaming_gateway.turns.text import plain
from streamingstack.asr.v1 import recognizer_pb2 as pb

MS = 16
CONTINUE, END = pb.DECISION_CONTINUE, pb.DECISION_END_SEGMENT


def config(**changes: Any) -> TurnConfig:
    settings: dict[str, Any] = {"family": "universal", "min_turn_silence": 400, "max_turn_silence": 1280}
    return TurnConfig(**{**settings, **changes})


def word(text: str, start_ms: int, end_ms: int) -> pb.Word:
    return pb.Word(text=text, start_sample=start_ms * MS, end_sample=end_ms * MS, confidence=0.9)


def started(at_ms: int) -> pb.RecognizeResponse:
    return pb.RecognizeResponse(speech_started=pb.SpeechStarted(at_sample=at_ms * MS, confidence=0.9))


def stopped(at_ms: int) -> pb.RecognizeResponse:
    return pb.RecognizeResponse(speech_stopped=pb.SpeechStopped(at_sample=at_ms * MS))


def words(*final: pb.Word, tentative: tuple[pb.Word, ...] = (), score: float = 0.1) -> pb.RecognizeResponse:
    return pb.RecognizeResponse(words=pb.Words(final=final, tentative=tentative, eot_score=score, through_sample=10))


def checkpoint(silence_ms: int, *heard: pb.Word, score: float = 0.1, at_ms: int = 5000, **more: Any) -> Any:
    asked = pb.Checkpoint(id=1, at_sample=at_ms * MS, silence_ms=silence_ms, words=heard, eot_score=score, **more)
    return pb.RecognizeResponse(checkpoint=asked)


def finalized(*heard: pb.Word, at_ms: int = 6000) -> pb.RecognizeResponse:
    return pb.RecognizeResponse(finalized=pb.Finalized(id=1, at_sample=at_ms * MS, words=heard, eot_score=0.2))


def sent(machine: UniversalTurns, *events: pb.RecognizeResponse) -> list[dict[str, Any]]:
    return [effect.message for event in events for effect in machine.event(event) if isinstance(effect, Send)]


def decided(machine: UniversalTurns, event: pb.RecognizeResponse) -> int:
    (decision,) = (effect.decision for effect in machine.event(event) if isinstance(effect, Decide))
    return int(decision)


def spoken(machine: UniversalTurns) -> UniversalTurns:
    """A machine that heard "Hello, world." for a second."""
    for event in (started(1000), words(word("Hello,", 1000, 1500), word("world.", 1500, 2000)), stopped(2000)):
        machine.event(event)
    return machine


HELLO = "hello world"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (400, 1280, (160, 400, 640, 880, 1120, 1280)),
        (160, 400, (160, 400)),
        (800, 3600, (160, 800, 1040, 1280, 1520, 1760, 2000, 2240, 2480, 2720, 2960, 3200, 3440, 3600)),
        (100, 100, (100,)),
        (1280, 400, (160, 400)),
        (0, 0, (1,)),
        (400, 10**9, (160, *range(400, 60_000, 240), 60_000)),
    ],
)
def test_checkpoints_lie_at_the_pause_the_silences_and_every_240_ms_between(
    low: int, high: int, expected: tuple[int, ...]
) -> None:
    assert checkpoints_ms(config(min_turn_silence=low, max_turn_silence=high)) == expected


def test_universal3_is_asked_at_the_two_silences_only() -> None:
    assert checkpoints_ms(config(family="universal-3", min_turn_silence=128, max_turn_silence=1536)) == (128, 1536)
    assert checkpoints_ms(config(family="universal-3", min_turn_silence=100, max_turn_silence=100)) == (100,)


@pytest.mark.parametrize(
    ("preset", "silence_ms", "score", "decision"),
    [
        # threshold, min, max as the presets have them: aggressive, balanced, conservative.
        ((0.4, 160, 400), 160, 0.4, END),
        ((0.4, 160, 400), 160, 0.39, CONTINUE),
        ((0.4, 160, 400), 400, 0.0, END),
        ((0.4, 400, 1280), 160, 1.0, CONTINUE),
        ((0.4, 400, 1280), 400, 0.4, END),
        ((0.4, 400, 1280), 640, 0.3, CONTINUE),
        ((0.4, 400, 1280), 1280, 0.0, END),
        ((0.7, 800, 3600), 800, 0.7, END),
        ((0.7, 800, 3600), 3360, 0.69, CONTINUE),
        ((0.7, 800, 3600), 3600, 0.0, END),
        # 0 ends on silence alone, 1 never by the score.
        ((0.0, 400, 1280), 400, 0.0, END),
        ((1.0, 400, 1280), 400, 1.0, CONTINUE),
        ((1.0, 400, 1280), 1280, 0.0, END),
        # The acoustic rule simply comes first.
        ((0.9, 1000, 300), 300, 0.0, END),
    ],
)
def test_a_turn_ends_when_the_score_and_the_silence_say_so(
    preset: tuple[float, int, int], silence_ms: int, score: float, decision: int
) -> None:
    threshold, low, high = preset
    machine = spoken(
        UniversalTurns(config(end_of_turn_confidence_threshold=threshold, min_turn_silence=low, max_turn_silence=high))
    )
    assert decided(machine, checkpoint(silence_ms, score=score)) == decision


def test_a_segment_without_words_ends_at_the_last_checkpoint_and_makes_no_turn() -> None:
    machine = UniversalTurns(config())
    machine.event(started(1000))
    machine.event(stopped(1500))
    assert decided(machine, checkpoint(400, score=1.0)) == CONTINUE
    assert [effect for effect in machine.event(checkpoint(1280)) if isinstance(effect, Send)] == []
    (message,) = sent(spoken(machine), finalized())
    assert message["turn_order"] == 0


def test_the_cap_always_ends_the_segment_with_its_words() -> None:
    machine = spoken(UniversalTurns(config()))
    effects = machine.event(checkpoint(0, word("and", 4800, 5000), reason=pb.CHECKPOINT_REASON_CAP))
    assert [type(effect) for effect in effects] == [Send, Decide]
    assert effects[0].message["transcript"] == "hello world and"  # type: ignore[union-attr]


def test_less_than_80_ms_of_speech_is_no_reason_to_end_early() -> None:
    machine = UniversalTurns(config(end_of_turn_confidence_threshold=0))
    for event in (started(1000), words(word("Ah", 1000, 1070)), stopped(1070)):
        machine.event(event)
    assert decided(machine, checkpoint(400, score=1)) == CONTINUE


def test_but_the_longest_silence_ends_it_because_its_words_were_shown() -> None:
    machine = UniversalTurns(config())
    sent(machine, started(1000), words(word("Ah", 1000, 1070)), stopped(1070))
    shown, answered = machine.event(checkpoint(1280, score=0))
    assert isinstance(shown, Send)
    assert (shown.message["end_of_turn"], shown.message["transcript"]) == (True, "ah")
    assert isinstance(answered, Decide)
    assert answered.decision == END


def test_final_words_and_only_the_first_tentative_one_are_shown() -> None:
    tentative = (word("Tw", 2000, 2200), word("at", 2200, 2300))
    (message,) = sent(UniversalTurns(config()), words(word("Table", 1000, 1500), tentative=tentative))
    assert message["transcript"] == "table"
    assert [(w["text"], w["word_is_final"]) for w in message["words"]] == [("table", True), ("tw", False)]
    assert (message["words"][0]["start"], message["words"][0]["end"]) == (1000, 1500)


def test_nothing_new_is_nothing_sent() -> None:
    machine = UniversalTurns(config())
    heard = words(tentative=(word("Table,", 1000, 1500),))
    assert len(sent(machine, heard)) == 1
    assert sent(machine, heard, words(tentative=(word("table", 1000, 1600), word("for", 1600, 1700)))) == []


def test_an_unfinished_first_word_shows_with_an_empty_transcript() -> None:
    (message,) = sent(UniversalTurns(config()), words(tentative=(word("please", 0, 100),)))
    assert message["transcript"] == ""
    assert len(message["words"]) == 1


def test_formatted_turns_have_a_second_message_in_the_engine_s_spelling() -> None:
    ended, formatted = sent(spoken(UniversalTurns(config(format_turns=True))), finalized())
    assert (ended["transcript"], ended["turn_is_formatted"]) == (HELLO, False)
    assert (formatted["transcript"], formatted["turn_is_formatted"]) == ("Hello, world.", True)
    assert (ended["utterance"], formatted["utterance"]) == (HELLO, "")
    assert ended["turn_order"] == formatted["turn_order"] == 0
    assert ended["end_of_turn_confidence"] == formatted["end_of_turn_confidence"] == 0.2


def test_a_pause_of_160_ms_tells_the_words_since_the_last_pause() -> None:
    machine = spoken(UniversalTurns(config()))
    (pause,) = sent(machine, checkpoint(160))
    assert (pause["utterance"], pause["end_of_turn"]) == (HELLO, False)
    assert sent(machine, checkpoint(400)) == []
    (ended,) = sent(machine, started(3000), stopped(3400), checkpoint(1280, word("again", 3000, 3400)))
    assert (ended["utterance"], ended["transcript"]) == ("again", "hello world again")


def test_language_comes_only_with_an_utterance_or_the_end_and_only_when_known() -> None:
    machine = UniversalTurns(config(report_language=True))
    (partial,) = sent(machine, words(word("Hola", 1000, 1500)))
    (pause,) = sent(machine, checkpoint(160, language="es", language_confidence=0.8))
    (ended,) = sent(machine, finalized())
    assert "language_code" not in partial
    assert (pause["language_code"], pause["language_confidence"]) == ("es", 0.8)
    assert "language_code" not in ended
    silent = UniversalTurns(config())
    assert all("language_code" not in m for m in sent(spoken(silent), checkpoint(1280, language="es")))


def test_a_word_of_punctuation_only_is_not_shown_and_makes_no_turn() -> None:
    machine = UniversalTurns(config())
    assert sent(machine, words(word("—", 1000, 1100), word("...", 1100, 1200)), checkpoint(1280)) == []


def test_a_changed_silence_counts_from_its_place_in_the_audio() -> None:
    machine = spoken(UniversalTurns(config()))
    machine.update(4000 * MS, config(min_turn_silence=160, max_turn_silence=200))
    assert decided(machine, checkpoint(880, at_ms=3000)) == CONTINUE
    assert decided(machine, checkpoint(200, at_ms=4000)) == END


def test_formatting_switched_on_inside_a_turn_counts_for_its_successor_s_audio() -> None:
    machine = spoken(UniversalTurns(config()))
    machine.update(7000 * MS, config(format_turns=True))
    assert len(sent(machine, finalized(at_ms=6000))) == 1
    assert len(sent(machine, finalized(word("Yes.", 7000, 7400), at_ms=7500))) == 2


def test_words_that_touch_within_a_millisecond_never_overlap() -> None:
    machine = UniversalTurns(config())
    near = [pb.Word(text=t, start_sample=s, end_sample=e) for t, s, e in (("a", 8, 31), ("b", 31, 31), ("c", 9, 50))]
    (message,) = sent(machine, words(*near))
    assert [(w["start"], w["end"]) for w in message["words"]] == [(0, 1), (1, 1), (1, 3)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello,", "hello"), ("don’t", "don't"), ("'Tis", "tis"), ("Well-known.", "well-known"), ("3.5", "3.5"),
        ("10,000.", "10,000"), ("U.S.A.", "usa"), ("50%", "50%"), ("—", ""), ("...", ""), ("¿Qué?", "qué"),
        ("AT&T", "at&t"), ("%", ""), ("$5", "$5"),
    ],
)  # fmt: skip
def test_plain_text_is_lower_case_without_punctuation_but_keeps_words_and_numbers_whole(
    text: str, expected: str
) -> None:
    assert plain(text) == expected


def test_changes_of_the_configuration_are_forgotten_with_their_audio_also_in_silence() -> None:
    machine = UniversalTurns(config())
    for at_ms in (1000, 2000, 2000, 90_000):
        machine.update(at_ms * MS, config(min_turn_silence=at_ms))
    assert machine.changes_waiting == 3, "two at one position are one"
    machine.event(pb.RecognizeResponse(progress=pb.Progress(processed_through_sample=61_500 * MS)))
    assert machine.changes_waiting == 2, "something may still be told about the last minute"
    machine.event(pb.RecognizeResponse(progress=pb.Progress(processed_through_sample=151_000 * MS)))
    assert machine.changes_waiting == 0
