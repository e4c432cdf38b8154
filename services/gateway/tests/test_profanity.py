"""filter_profanity: profane words are shown as ***, in the language that is spoken, once and for all."""

from typing import Any

import pytest
from streaming_gateway.turns import Send, TurnConfig, Universal3Turns, UniversalTurns
from streaming_gateway.turns.profanity import masked
from streamingstack.asr.v1 import recognizer_pb2 as pb
from test_turns_universal import checkpoint, finalized, sent, started, word, words

CONFIG: dict[str, Any] = {"min_turn_silence": 400, "max_turn_silence": 1280, "filter_profanity": True}


@pytest.mark.parametrize(
    ("text", "language", "shown"),
    [
        ("shit", "en", "***"),
        ("Shit,", "en", "***,"),
        ("“Shit!”", "", "“***!”"),
        ("ship", "en", "ship"),
        ("assess", "en", "assess"),
        ("Scunthorpe.", "en", "Scunthorpe."),
        ("ficken", "de", "***"),
        # Fat in German, with in Spanish: harmless in one language and not in another.
        ("dick", "de", "dick"),
        ("dick", "en", "***"),
        ("con", "es", "con"),
        ("con", "fr", "***"),
        ("shit", "xh", "shit"),
        ("…", "en", "…"),
        ("", "en", ""),
    ],
)
def test_a_word_is_masked_in_its_language_and_keeps_its_punctuation(text: str, language: str, shown: str) -> None:
    assert masked(text, language) == shown


def test_universal_streaming_masks_partials_finals_and_the_formatted_turn() -> None:
    machine = UniversalTurns(TurnConfig(family="universal", format_turns=True, **CONFIG))
    first = word("Oh", 1000, 1200)
    profane = word("shit!", 1200, 1500)
    told = sent(machine, started(1000), words(first, tentative=(profane,)), words(profane), checkpoint(1280))
    assert [[each["text"] for each in turn["words"]] for turn in told] == [["oh", "***"], ["oh", "***"]] * 1 + [
        ["oh", "***"],
        ["Oh", "***!"],
    ]
    assert [turn["transcript"] for turn in told] == ["oh", "oh ***", "oh ***", "Oh ***!"]
    assert told[2]["utterance"] == "oh ***"


def test_a_turn_of_nothing_else_is_a_turn() -> None:
    universal = UniversalTurns(TurnConfig(family="universal", **CONFIG))
    assert sent(universal, started(1000), words(word("Shit.", 1000, 1500)), finalized())[-1]["transcript"] == "***"
    third = Universal3Turns(TurnConfig(family="universal-3", **CONFIG))
    ended = pb.RecognizeResponse(finalized=pb.Finalized(id=1, at_sample=96_000, words=[word("Shit.", 1000, 1500)]))
    told = [effect.message for effect in third.event(ended) if isinstance(effect, Send)]
    assert told[-1]["transcript"] == told[-1]["utterance"] == "***."


def test_the_language_heard_last_decides_and_what_was_shown_stays() -> None:
    machine = UniversalTurns(TurnConfig(family="universal", **CONFIG))
    shown = sent(machine, started(1000), words(word("dick", 1000, 1500)))
    assert shown[-1]["transcript"] == "***"
    shown = sent(machine, checkpoint(400, word("ist", 1500, 1700), language="de"), words(word("dick", 1700, 2000)))
    assert shown[-1]["transcript"] == "*** ist dick"


def test_steering_names_the_language_until_one_is_heard() -> None:
    machine = UniversalTurns(TurnConfig(family="universal", language="de", **CONFIG))
    assert sent(machine, started(1000), words(word("dick", 1000, 1500)))[-1]["transcript"] == "dick"


def test_a_filter_that_comes_in_mid_turn_masks_the_formatted_message_whole() -> None:
    """A word that is final never changes in plain messages; the formatted one is written anew."""
    unasked = TurnConfig(family="universal", format_turns=True, min_turn_silence=400, max_turn_silence=1280)
    machine = UniversalTurns(unasked)
    assert sent(machine, started(1000), words(word("Shit,", 1000, 1500)))[-1]["transcript"] == "shit"
    machine.update(10, TurnConfig(family="universal", format_turns=True, **CONFIG))
    told = sent(machine, words(word("oh", 1500, 1700), word("shit.", 1700, 2000)), checkpoint(1280))
    assert [turn["transcript"] for turn in told] == ["shit oh ***", "shit oh ***", "***, oh ***."]


def test_a_word_is_looked_up_once_and_what_was_harmless_stays_in_the_formatted_message() -> None:
    machine = UniversalTurns(TurnConfig(family="universal", format_turns=True, language="de", **CONFIG))
    told = sent(
        machine, started(1000), words(word("Dick.", 1000, 1500)), checkpoint(400, language="en"), checkpoint(1280)
    )
    assert [turn["transcript"] for turn in told][-2:] == ["dick", "Dick."]


def test_nothing_is_masked_unasked() -> None:
    machine = UniversalTurns(TurnConfig(family="universal", min_turn_silence=400, max_turn_silence=1280))
    assert sent(machine, started(1000), words(word("shit", 1000, 1500)))[-1]["transcript"] == "shit"
