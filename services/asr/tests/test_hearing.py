"""What is asked of the engine, and what becomes of its answers."""

from dataclasses import dataclass, field, replace

import pytest
from streaming_asr.agreement import GRID
from streaming_asr.endpointing import Segment
from streaming_asr.engine import SAMPLE_RATE, HeardWord, Hypothesis, Window
from streaming_asr.hearing import SURELY_SPOKEN, SURELY_VOICED, Hearing
from streaming_asr.inbox import Recording
from streamingstack.asr.v1 import recognizer_pb2 as pb

CLEAR = HeardWord("clear", 1 * SAMPLE_RATE, 2 * SAMPLE_RATE, 0.9)
FAINT = HeardWord("faint", 6 * SAMPLE_RATE, 7 * SAMPLE_RATE, 0.4)
END = 8 * SAMPLE_RATE


@dataclass
class Dazzled:
    """Hears a faint word only where no clear one is in the same window."""

    windows: list[tuple[int, int]] = field(default_factory=list)

    async def decode(self, window: Window) -> Hypothesis:
        start, end = window.first_sample, window.first_sample + len(window.pcm)
        self.windows.append((start, end))
        audible = [word for word in (CLEAR, FAINT) if start <= word.start and word.end <= end]
        return Hypothesis(tuple(audible[:1]))

    async def glimpse(self, window: Window) -> Hypothesis | None:
        return await self.decode(window)

    async def end_of_turn(self, window: Window) -> float:
        return 0.5


@pytest.mark.parametrize("replacing", [False, True])
async def test_a_faint_utterance_after_a_clear_one_is_heard(replacing: bool) -> None:
    engine, recording = Dazzled(), Recording(0)
    recording.append(bytes(2 * END))
    hearing = Hearing(pb.Open(route="en-default"), engine, recording, replacing=replacing)
    said = []
    for number, (start, floor, end) in enumerate([(SAMPLE_RATE, 0, 3), (SAMPLE_RATE * 7 // 2, 3 * SAMPLE_RATE, 8)]):
        hearing.begin(Segment(number, start, floor))
        hearing.voiced()
        said.append([word.text for word in await hearing.close(end * SAMPLE_RATE)])
        hearing.end()
    assert said == [["clear"], ["faint"]]
    assert [start for start, _ in engine.windows][-2:] == [
        CLEAR.start - SAMPLE_RATE // 5,
        SAMPLE_RATE * 7 // 2,
    ]


async def test_where_nobody_was_heard_before_an_empty_decode_is_not_done_twice() -> None:
    engine, recording = Dazzled(), Recording(0)
    recording.append(bytes(2 * END))
    hearing = Hearing(pb.Open(route="en-default"), engine, recording, replacing=False)
    hearing.begin(Segment(0, 3 * SAMPLE_RATE, 0))
    hearing.voiced()
    assert await hearing.close(5 * SAMPLE_RATE) == []
    assert len(engine.windows) == 1


@dataclass
class Polyglot:
    """Says in which languages it is to hear."""

    asked: list[tuple[str, ...]] = field(default_factory=list)

    async def decode(self, window: Window) -> Hypothesis:
        self.asked.append(window.language_codes)
        return Hypothesis()

    async def glimpse(self, window: Window) -> Hypothesis | None:
        return await self.decode(window)

    async def end_of_turn(self, window: Window) -> float:
        return 0.5


@pytest.mark.parametrize(
    ("update_at", "heard_in"),
    [
        (0, [("fr",), ("fr",), ("fr",)]),  # before the segment
        (1, [("fr",), ("fr",), ("fr",)]),  # at its start
        (2, [("en",), ("en",), ("fr",)]),  # within it: from the next one on
    ],
)
async def test_other_languages_count_from_the_next_turn_on(update_at: int, heard_in: list[tuple[str, ...]]) -> None:
    engine, recording = Polyglot(), Recording(0)
    recording.append(bytes(2 * END))
    hearing = Hearing(pb.Open(language_codes=["en"]), engine, recording, replacing=True)
    update = pb.Update(at_sample=update_at * SAMPLE_RATE, language_codes=pb.LanguageCodes(codes=["fr"]))
    if update_at == 0:
        hearing.steer(update)
    hearing.begin(Segment(0, SAMPLE_RATE, 0))
    if update_at > 0:
        hearing.steer(update)
    for at in (3, 4):
        hearing.voiced()
        await hearing.close(at * SAMPLE_RATE)
    hearing.end()
    hearing.begin(Segment(1, 5 * SAMPLE_RATE, 4 * SAMPLE_RATE))
    hearing.voiced()
    await hearing.close(6 * SAMPLE_RATE)
    assert engine.asked == heard_in


FRAMES = SURELY_VOICED
DOUBTED = HeardWord("whispered", 3 * SAMPLE_RATE, 4 * SAMPLE_RATE, 0.3)
HEARD = HeardWord("spoken", 3 * SAMPLE_RATE, 4 * SAMPLE_RATE, 0.9)


@dataclass
class InNoise:
    """Takes everything for silence, whatever it would have heard."""

    heard: Hypothesis = field(default_factory=lambda: Hypothesis(doubted=(DOUBTED,)))

    async def decode(self, window: Window) -> Hypothesis:
        return self.heard

    async def glimpse(self, window: Window) -> Hypothesis | None:
        return self.heard

    async def end_of_turn(self, window: Window) -> float:
        return 0.5


def listening(engine: InNoise, *, voiced: int, replacing: bool = False) -> Hearing:
    """A segment from 2.5 s on with so many frames of voice."""
    recording = Recording(0)
    recording.append(bytes(2 * END))
    hearing = Hearing(pb.Open(route="en-default"), engine, recording, replacing=replacing)
    hearing.begin(Segment(0, 5 * SAMPLE_RATE // 2, 0))
    for _ in range(voiced):
        hearing.voiced()
    return hearing


async def shown(hearing: Hearing, at: int) -> tuple[list[str], list[str], list[str]]:
    """Tentative words of a glimpse at `at`; final and tentative ones of a decode at the next grid position."""
    window = hearing.window(at)
    assert window is not None
    hypothesis = await hearing.glimpse(window)
    assert hypothesis is not None
    glimpsed = hearing.tentative(hypothesis, at) or []
    final, tentative = await hearing.commit(window, at + GRID)
    return [w.text for w in glimpsed], [w.text for w in final], [w.text for w in tentative]


@pytest.mark.parametrize(
    ("voiced", "replacing", "seen"),
    [
        (FRAMES, False, ["whispered"]),
        (FRAMES - 1, False, []),  # a cough
        (FRAMES, True, []),  # SpeechStarted is for words alone
    ],
)
async def test_doubted_words_are_shown_where_voice_activity_is_sure_and_are_not_final(
    voiced: int, replacing: bool, seen: list[str]
) -> None:
    hearing = listening(InNoise(), voiced=voiced, replacing=replacing)
    assert await shown(hearing, 6 * SAMPLE_RATE) == (seen, [], seen)
    assert await hearing.close(7 * SAMPLE_RATE) == []


@pytest.mark.parametrize("replacing", [False, True])
@pytest.mark.parametrize("forced", [False, True])
async def test_whoever_spoke_for_a_second_is_not_taken_for_silence_at_a_close(replacing: bool, forced: bool) -> None:
    for voiced, final in ((SURELY_SPOKEN - 1, []), (SURELY_SPOKEN, ["whispered"])):
        hearing = listening(InNoise(), voiced=voiced, replacing=replacing)
        assert [word.text for word in await hearing.close(7 * SAMPLE_RATE, forced=forced)] == final


async def test_a_segment_that_has_words_gets_no_doubted_ones_at_its_close() -> None:
    engine = InNoise(Hypothesis((HEARD,)))
    hearing = listening(engine, voiced=SURELY_SPOKEN)
    assert [word.text for word in await hearing.close(5 * SAMPLE_RATE)] == ["spoken"]
    engine.heard = Hypothesis(doubted=(replace(DOUBTED, start=6 * SAMPLE_RATE, end=7 * SAMPLE_RATE),))
    hearing.voiced()
    assert await hearing.close(8 * SAMPLE_RATE) == []


async def test_a_new_segment_counts_its_voice_anew() -> None:
    hearing = listening(InNoise(), voiced=FRAMES)
    await hearing.close(4 * SAMPLE_RATE)
    hearing.end()
    hearing.begin(Segment(1, 5 * SAMPLE_RATE, 4 * SAMPLE_RATE))
    hearing.voiced()
    assert await shown(hearing, 6 * SAMPLE_RATE) == ([], [], [])


async def test_once_a_word_is_heard_doubt_counts_again() -> None:
    engine = InNoise(Hypothesis((HEARD,)))
    hearing = listening(engine, voiced=FRAMES)
    assert await shown(hearing, 6 * SAMPLE_RATE) == (["spoken"], [], ["spoken"])
    engine.heard = Hypothesis(doubted=(DOUBTED,))
    hearing.voiced()
    assert await shown(hearing, 8 * SAMPLE_RATE - GRID) == ([], [], [])


async def test_the_score_of_a_silence_is_nobodys_who_speaks_on_or_later() -> None:
    recording = Recording(0)
    recording.append(bytes(2 * END))
    hearing = Hearing(pb.Open(route="en-default"), Polyglot(), recording, replacing=False)
    for number, (voice_again, starts) in enumerate([(True, SAMPLE_RATE), (False, 4 * SAMPLE_RATE)]):
        hearing.begin(Segment(number, starts, starts))
        hearing.voiced()
        assert hearing.eot_score == 0.0
        await hearing.close(starts + SAMPLE_RATE)
        assert hearing.eot_score == 0.5
        if voice_again:
            hearing.voiced()
            assert hearing.eot_score == 0.0
            await hearing.close(starts + 2 * SAMPLE_RATE)
        hearing.end()
        assert hearing.eot_score == 0.0
