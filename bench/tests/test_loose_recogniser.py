"""The loose recogniser says what it was drawn to say, and the shifted script stays a script."""

import asyncio
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from streamingstack.asr.v1 import recognizer_pb2 as pb
from streamingstack_bench.loose_recogniser import Looseness, LooseStream
from streamingstack_bench.peer import opening
from streamingstack_bench.scripted import Script, shifted

SCRIPT = Script.of("one two three four five")


@given(st.lists(st.integers(-200, 200), max_size=6))
def test_shifted_words_keep_their_texts_and_their_order(shifts_ms):
    moved = shifted(SCRIPT.words, shifts_ms)
    assert [word.text for word in moved] == [word.text for word in SCRIPT.words]
    edges = [edge for word in moved for edge in (word.start_ms, word.end_ms)]
    assert all(one <= two for one, two in pairwise([0, *edges]))
    assert all(abs(new.start_ms - old.start_ms) <= 200 for new, old in zip(moved, SCRIPT.words, strict=True))


def heard(looseness: Looseness, **resume) -> list[pb.RecognizeResponse]:
    """All that is said of the script's first 1.7 s."""

    async def run() -> list[pb.RecognizeResponse]:
        stream = LooseStream(SCRIPT, opening(**resume), looseness, replacing=False)
        await stream.rest()
        for first in range(0, 27_200, 1_600):
            stream.take(pb.RecognizeRequest(audio=pb.Audio(first_sample=first, pcm=bytes(2 * 1_600))))
            await stream.rest()
        await stream.die()
        return list(stream.out)

    return asyncio.run(run())


def words(responses) -> list[tuple[int, list[str], list[str]]]:
    told = [response.words for response in responses if response.HasField("words")]
    return [(w.through_sample // 16, [f.text for f in w.final], [t.text for t in w.tentative]) for w in told]


def test_words_are_final_and_tentative_as_drawn():
    looseness = Looseness(finals=(0, 1), tentatives=(2, 1))
    assert words(heard(looseness)) == [(800, [], ["one"]), (1200, ["one"], ["two"]), (1600, [], ["two", "three"])]


def test_only_whole_words_become_final():
    assert words(heard(Looseness(finals=(9,), tentatives=(0,)))) == [
        (t, [w], []) for t, w in ((800, "one"), (1200, "two"), (1600, "three"))
    ]


def test_a_silent_message_is_left_out():
    assert words(heard(Looseness(finals=(9,), tentatives=(0,), silent=(True, False)))) == [(1200, ["one", "two"], [])]


def test_a_word_that_is_timed_too_early_is_not_heard_before_it_is_spoken():
    early = words(heard(Looseness(shifts_ms=(-200,), finals=(0,), tentatives=(9,))))
    assert early[1] == (1200, [], ["one", "two", "three"])
