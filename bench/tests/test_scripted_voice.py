"""A scripted voice, looked up quickly, is the voice that its words say; long scripts are heard word for word."""

import asyncio
from bisect import bisect_left
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streaming_asr.engine import VAD_FRAME, Window
from streamingstack_bench.long_script import long_script, quiet_end
from streamingstack_bench.peer import opening, play
from streamingstack_bench.scripted import (
    PER_MS,
    SILENCE,
    VOICE,
    Script,
    ScriptedEngine,
    ScriptedVoice,
    ScriptWord,
    serve_scripted,
)

SPANS = st.lists(st.tuples(st.integers(0, 400), st.integers(20, 600)), max_size=12)


def spoken(spans: list[tuple[int, int]]) -> Script:
    words, at = [], 0
    for number, (gap, length) in enumerate(spans):
        words.append(ScriptWord(f"w{number}", at + gap, at + gap + length))
        at += gap + length
    return Script(words)


@given(SPANS, st.integers(0, 40))
def test_a_frame_has_a_voice_where_a_word_or_a_pause_under_120_ms_covers_its_middle(
    spans: list[tuple[int, int]], first: int
) -> None:
    script = spoken(spans)
    covered: list[tuple[int, int]] = []
    for word in script.words:
        if covered and word.start_ms - covered[-1][1] < 120:
            covered[-1] = (covered[-1][0], word.end_ms)
        else:
            covered.append((word.start_ms, word.end_ms))
    stream = ScriptedVoice(script).open(first * VAD_FRAME)
    heard = [*asyncio.run(stream.probabilities(np.zeros(7 * VAD_FRAME, np.int16)))]
    heard += asyncio.run(stream.probabilities(np.zeros(13 * VAD_FRAME, np.int16)))
    middles = [(first + number) * VAD_FRAME + VAD_FRAME // 2 for number in range(20)]
    assert [one == VOICE for one in heard] == [
        any(start * PER_MS <= middle < end * PER_MS for start, end in covered) for middle in middles
    ]


def test_words_may_be_spoken_more_or_less_surely() -> None:
    words = [ScriptWord("a", 0, 320), ScriptWord("b", 352, 640, voice=0.35), ScriptWord("c", 960, 1280, voice=0.5)]
    stream = ScriptedVoice(Script(words)).open(0)
    heard = asyncio.run(stream.probabilities(np.zeros(40 * VAD_FRAME, np.int16)))
    assert heard == [VOICE] * 11 + [0.35] * 9 + [SILENCE] * 10 + [0.5] * 10


@pytest.mark.parametrize(
    ("steering", "heard"),
    [
        ({}, ["ostrich", "hears"]),
        ({"keyterms": ("IBAN",), "prompt": "About banks."}, ["ostrich", "hears"]),
        ({"keyterms": ("IBAN", "Ostrava")}, ["Ostrava", "hears"]),
        ({"prompt": "A trip to Ostrava."}, ["Ostrava", "hears"]),
    ],
)
def test_a_word_that_may_be_misheard_comes_right_where_it_is_named(steering: dict[str, Any], heard: list[str]) -> None:
    script = Script([ScriptWord("Ostrava", 0, 100, misheard="ostrich"), ScriptWord("hears", 100, 200)])
    window = Window(np.zeros(300 * PER_MS, np.int16), 0, **steering)
    assert [word.text for word in asyncio.run(ScriptedEngine(script).decode(window)).words] == heard


def test_the_language_is_the_first_one_steered_to() -> None:
    engine = ScriptedEngine(Script([], language="en"))
    languages = [
        asyncio.run(engine.decode(Window(np.zeros(0, np.int16), 0, language_codes=codes))).language
        for codes in ((), ("de",), ("fr", "de"))
    ]
    assert languages == ["en", "de", "fr"]


@given(SPANS, st.integers(0, 6000), st.integers(0, 6000))
def test_the_engine_hears_the_words_that_begin_in_its_window(
    spans: list[tuple[int, int]], begin: int, length: int
) -> None:
    script, first = spoken(spans), begin * PER_MS
    heard = asyncio.run(ScriptedEngine(script).decode(Window(np.zeros(length * PER_MS, np.int16), first)))
    assert [word.text for word in heard.words] == [
        word.text for word in script.words if begin <= word.start_ms < begin + length
    ]


def test_the_score_is_that_of_the_last_word_heard_whole() -> None:
    script = Script([ScriptWord("a", 0, 100), ScriptWord("b", 200, 300)], eot_score=0.1, eot_scores={0: 0.5, 1: 0.9})
    assert [script.score_at(ms * PER_MS) for ms in (99, 100, 299, 300, 9000)] == [0.1, 0.5, 0.5, 0.9, 0.9]


def test_a_long_script_is_the_same_for_the_same_seed_and_ends_before_its_audio() -> None:
    script = long_script(600)
    assert script == long_script(600)
    assert script.words != long_script(600, seed=2).words
    assert 597_000 - 60_000 < script.words[-1].end_ms <= 597_000
    gaps = [after.start_ms - before.end_ms for before, after in zip(script.words, script.words[1:], strict=False)]
    assert min(gaps) > 0
    assert sum(gap > 1280 for gap in gaps) > 50, "turns"
    again = [before.text == after.text for before, after in zip(script.words, script.words[1:], strict=False)]
    assert sum(again) > 20, "words that are said twice"


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_recogniser_hears_a_long_script_word_for_word(seed: int) -> None:
    script = long_script(90, seed=seed)
    async with serve_scripted(script) as server:
        played = await play(f"127.0.0.1:{server.port}", np.zeros(90 * 1000 * PER_MS, np.int16), opened=opening())
    heard = [word.text for segment in played.segments() for word in segment]
    assert heard == [word.text for word in script.words]


def test_words_between_two_positions_are_those_that_start_there() -> None:
    script = long_script(30)
    starts = [word.start_ms for word in script.words]
    cut = starts[len(starts) // 2]
    assert len(script.words[script.between(0, cut * PER_MS)]) == bisect_left(starts, cut)
    parts = script.between(0, cut * PER_MS), script.between(cut * PER_MS, 10**9)
    assert [word for part in parts for word in script.words[part]] == script.words


@pytest.mark.parametrize("seconds", [10, 60, 599])
def test_a_quiet_end_lies_in_a_pause_that_ends_turns(seconds: int) -> None:
    script = long_script(600)
    end = 1000 * quiet_end(script, seconds)
    assert seconds * 1000 - 30_000 < end <= seconds * 1000
    assert max(word.end_ms for word in script.words if word.start_ms < end) < end - 1280
    assert quiet_end(script, 1) == 0
