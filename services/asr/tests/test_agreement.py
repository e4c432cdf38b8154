"""Local agreement over an engine that hears a script: an oracle, except that it mishears what the window cuts."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streaming_asr.agreement import GRID, SegmentWords
from streaming_asr.engine import SAMPLE_RATE, HeardWord, Hypothesis
from streaming_asr.windows import LONGEST

MS = SAMPLE_RATE // 1000
CHECKPOINT = 160 * MS


def word(text: str, start_ms: int, end_ms: int) -> HeardWord:
    return HeardWord(text, start_ms * MS, end_ms * MS, 0.9)


def script(gaps_and_lengths: Sequence[tuple[int, int]]) -> list[HeardWord]:
    """Words with names of their own, from pairs (pause before in ms, length in ms)."""
    words, at = [], 500
    for number, (gap, length) in enumerate(gaps_and_lengths):
        words.append(word(f"word{number}", at + gap, at + gap + length))
        at += gap + length
    return words


@dataclass
class Oracle:
    """Hears whole words inside the window, times shifted by a little, and garbles the words that the window cuts."""

    words: Sequence[HeardWord]
    jitter: random.Random = field(default_factory=lambda: random.Random(0))

    def hear(self, start: int, at: int) -> Hypothesis:
        heard = []
        for spoken in self.words:
            if spoken.end <= start or spoken.start >= at:
                continue
            whole = spoken.start >= start and spoken.end <= at
            text = spoken.text if whole else f"cut{self.jitter.randrange(1000)}"
            shift = self.jitter.randrange(-40, 41) * MS
            first, last = max(start, spoken.start + shift), min(at, spoken.end + shift)
            heard.append(HeardWord(text, first, max(first, last), 0.5))
        return Hypothesis(tuple(heard), "en", 1.0)


@dataclass
class Heard:
    final: list[HeardWord] = field(default_factory=list)
    windows: list[tuple[int, int]] = field(default_factory=list)
    closings: list[tuple[int, int]] = field(default_factory=list)
    most_tentative: int = 0


def stream(words: Sequence[HeardWord], *, end: int, segment_pause: int = 400 * MS) -> Heard:
    """Grid decodes, a checkpoint in every pause of 160 ms, a new segment after every longer one."""
    oracle, heard = Oracle(words), Heard()
    segment = SegmentWords(replacing=False, start=0, floor=0)
    closes = pauses(words, end)
    for at in sorted({*range(GRID, end, GRID), *closes}):
        if at not in closes:
            segment.begin_grid(at)
        begin = segment.closing_start(at) if at in closes else segment.window_start(at)
        (heard.closings if at in closes else heard.windows).append((begin, at))
        hypothesis = oracle.hear(begin, at)
        if at not in closes:
            final, tentative = segment.commit(hypothesis, at)
            heard.most_tentative = max(heard.most_tentative, len(tentative))
        else:
            final = segment.close(hypothesis, at)
        heard.final += final
        if at in closes and closes[at] >= segment_pause:
            before = segment.ending([])
            floor = at
            segment = SegmentWords(replacing=False, start=floor, floor=floor, before=before)
    return heard


def pauses(words: Sequence[HeardWord], end: int) -> dict[int, int]:
    """Checkpoint positions with the length of their pause."""
    found = {}
    for this, following in zip(words, [*words[1:], None], strict=True):
        pause = (following.start if following else end) - this.end
        if pause >= CHECKPOINT + 50 * MS:
            found[this.end + CHECKPOINT] = pause
    return found


def texts(words: Sequence[HeardWord]) -> list[str]:
    return [heard.text for heard in words]


SPOKEN = st.lists(
    st.tuples(st.sampled_from([0, 0, 0, 20, 60, 250, 700, 3000]), st.integers(120, 700)), min_size=1, max_size=120
).map(script)


@settings(max_examples=30, deadline=None)
@given(SPOKEN)
def test_every_spoken_word_becomes_final_once_in_order_and_inside_bounded_windows(words: list[HeardWord]) -> None:
    heard = stream(words, end=words[-1].end + 2 * SAMPLE_RATE)
    assert texts(heard.final) == texts(words)
    assert all(at - begin <= LONGEST for begin, at in heard.windows)
    starts = [heard_word.start for heard_word in heard.final]
    assert starts == sorted(starts)


@settings(max_examples=30, deadline=None)
@given(SPOKEN)
def test_a_window_never_goes_back_within_a_segment(words: list[HeardWord]) -> None:
    oracle, segment, begins = Oracle(words), SegmentWords(replacing=False, start=0, floor=0), []
    for at in range(GRID, words[-1].end + SAMPLE_RATE, GRID):
        begins.append(segment.window_start(at))
        segment.commit(oracle.hear(begins[-1], at), at)
    assert begins == sorted(begins)


def test_a_minute_without_a_pause_is_final_within_two_grid_steps_and_a_second() -> None:
    words = script([(0, 300)] * 190)
    oracle, segment = Oracle(words), SegmentWords(replacing=False, start=0, floor=0)
    for at in range(GRID, words[-1].end, GRID):
        segment.commit(oracle.hear(segment.window_start(at), at), at)
        settled = [spoken for spoken in words if spoken.end < at - 2 * GRID - SAMPLE_RATE]
        assert len(segment.final) >= len(settled)
    assert texts(segment.final) == texts(words)[: len(segment.final)]


def test_a_close_takes_what_open_words_and_their_context_need_and_the_decode_before_does_not_change_that() -> None:
    words = script([(0, 300)] * 100)
    oracle, segment = Oracle(words), SegmentWords(replacing=False, start=0, floor=0)
    for at in range(GRID, words[-1].end, GRID):
        begin = segment.window_start(at)
        segment.begin_grid(at)
        coming = segment.coming_start(at)
        segment.commit(oracle.hear(begin, at), at)
        closing = segment.closing_start(at + GRID - 1)
        assert coming in (closing, None)
        assert segment.window_start(at) <= closing
        assert at + GRID - closing < 8 * SAMPLE_RATE
        if at > 10 * SAMPLE_RATE:
            assert coming == closing


def test_words_are_final_only_when_two_decodes_agree() -> None:
    segment = SegmentWords(replacing=False, start=0, floor=0)
    first, second = word("Well", 500, 800), word("then", 800, 1100)
    at = 2400 * MS
    assert segment.commit(Hypothesis((first, second)), at) == ([], [first, second])
    mended = word("than", 800, 1100)
    assert segment.commit(Hypothesis((first, mended)), at + GRID) == ([first], [mended])
    assert segment.commit(Hypothesis((first, second)), at + 2 * GRID) == ([], [second])
    assert segment.commit(Hypothesis((first, second)), at + 3 * GRID) == ([second], [])


def test_a_word_at_the_edge_waits_for_what_comes_behind_it() -> None:
    segment = SegmentWords(replacing=False, start=0, floor=0)
    edge = Hypothesis((word("near", 500, 900),))
    segment.commit(edge, 1600 * MS)
    assert segment.commit(edge, 1800 * MS)[0] == []
    assert texts(segment.commit(edge, 2400 * MS)[0]) == ["near"]


def test_a_glimpse_changes_nothing() -> None:
    segment = SegmentWords(replacing=False, start=0, floor=0)
    heard = Hypothesis((word("one", 500, 900), word("two", 900, 1200)))
    for _ in range(5):
        assert texts(segment.glimpse(heard, 2800 * MS)) == ["one", "two"]
    assert segment.final == []
    assert segment.commit(heard, 2800 * MS)[0] == []


def test_final_words_never_change_whatever_the_engine_says_later() -> None:
    segment = SegmentWords(replacing=False, start=0, floor=0)
    said = segment.close(Hypothesis((word("good", 500, 800), word("morning", 800, 1300))), 1460 * MS)
    later = Hypothesis((word("could", 500, 800), word("mourning", 810, 1310), word("all", 1600, 1900)))
    assert texts(segment.commit(later, 3200 * MS)[1]) == ["all"]
    assert segment.final == said


def test_a_first_word_whose_time_was_rough_is_not_said_twice() -> None:
    segment = SegmentWords(replacing=False, start=0, floor=0)
    segment.close(Hypothesis((word("Why?", 10, 730),)), 1060 * MS)
    later = Hypothesis((word("Why,", 750, 990), word("it", 1390, 1490), word("might", 1490, 1630)))
    assert texts(segment.close(later, 3000 * MS)) == ["it", "might"]


def test_a_true_repetition_is_kept() -> None:
    segment = SegmentWords(replacing=False, start=0, floor=0)
    segment.close(Hypothesis((word("no", 500, 800),)), 960 * MS)
    later = Hypothesis((word("no", 510, 800), word("no", 1300, 1600)))
    assert [(w.text, w.start // MS) for w in segment.close(later, 2000 * MS)] == [("no", 1300)]


@pytest.mark.parametrize(
    ("last_end_ms", "heard_start_ms", "ours"),
    [
        (3000, 4100, True),  # starts in the segment
        (3000, 3050, True),  # begins early, over the pause: the alignment's habit
        (3990, 3700, False),  # the last segment was closed in mid-word: the word is that segment's
    ],
)
def test_a_word_at_the_seam_belongs_to_one_segment(last_end_ms: int, heard_start_ms: int, ours: bool) -> None:
    before = [word("last", last_end_ms - 400, last_end_ms)]
    segment = SegmentWords(replacing=False, start=4000 * MS, floor=4000 * MS, before=before)
    heard = segment.close(Hypothesis((*before, word("seam", heard_start_ms, 4500))), 5000 * MS)
    assert texts(heard) == (["seam"] if ours else [])
    assert all(w.start >= 4000 * MS for w in heard)


def test_the_window_begins_with_the_last_segments_words_after_a_pause_but_they_are_not_said_again() -> None:
    before = [word("far", 3000, 3400), word("near", 6000, 6400), word("nearer", 6400, 6900)]
    segment = SegmentWords(replacing=False, start=8000 * MS, floor=7500 * MS, before=before)
    assert segment.window_start(8500 * MS) == 5800 * MS
    heard = Hypothesis((word("near", 6010, 6400), word("nearer", 6400, 6900), word("new", 8300, 8500)))
    assert texts(segment.close(heard, 8660 * MS)) == ["new"]


@pytest.mark.parametrize(("pause_ms", "begins_ms"), [(1500, 6800), (1510, 9010)])
def test_words_that_a_long_pause_parts_from_the_segment_are_not_decoded_again(pause_ms: int, begins_ms: int) -> None:
    begins = (7500 + pause_ms) * MS
    segment = SegmentWords(replacing=False, start=begins, floor=8000 * MS, before=[word("said", 7000, 7500)])
    assert segment.window_start(begins + GRID) == begins_ms * MS


def test_a_replacing_model_says_the_whole_segment_and_settles_only_what_leaves_the_window() -> None:
    words = script([(0, 300)] * 150)
    oracle, segment = Oracle(words), SegmentWords(replacing=True, start=0, floor=0)
    for at in range(GRID, words[-1].end, GRID):
        begin = segment.window_start(at)
        assert at - begin <= LONGEST
        final, tentative = segment.commit(oracle.hear(begin, at), at)
        assert final == []
        whole = [spoken.text for spoken in words if spoken.end <= at]
        assert texts(tentative)[: len(whole)] == whole
    end = words[-1].end + CHECKPOINT
    assert texts(segment.close(oracle.hear(segment.window_start(end), end), end)) == texts(words)


@pytest.mark.parametrize("replacing", [False, True])
def test_a_long_pause_without_decodes_loses_nothing(replacing: bool) -> None:
    words = [*script([(0, 300)] * 40), word("after", 24_000, 24_400), word("it", 24_400, 24_700)]
    oracle, segment, said = Oracle(words), SegmentWords(replacing=replacing, start=0, floor=0), []
    for at in range(GRID, 30 * SAMPLE_RATE, GRID):
        begin = segment.window_start(at)
        assert at - begin <= LONGEST
        if 13_000 * MS < at < 24_000 * MS:
            continue
        final, _ = segment.commit(oracle.hear(begin, at), at)
        said += final
    closed = segment.close(oracle.hear(segment.window_start(30 * SAMPLE_RATE), 30 * SAMPLE_RATE), 30 * SAMPLE_RATE)
    assert texts([*said, *closed]) == texts(words)


def test_three_hours_of_segments_keep_no_more_than_a_few_seconds_of_words() -> None:
    before: list[HeardWord] = []
    for number in range(400):
        floor = number * 27 * SAMPLE_RATE
        segment = SegmentWords(replacing=False, start=floor, floor=floor, before=before)
        said = tuple(HeardWord(f"w{number}x{i}", floor + i * 4800, floor + i * 4800 + 4000, 0.9) for i in range(30))
        segment.close(Hypothesis(said), floor + 10 * SAMPLE_RATE)
        before = segment.ending([])
    assert len(before) < 60


def test_a_word_dated_into_the_silence_before_the_voice_begins_with_its_segment() -> None:
    before = [word("said", 7000, 7500)]
    begins = 9500 * MS  # the last segment ended at 8 s; the voice was heard from 10 s on
    segment = SegmentWords(replacing=False, start=begins, floor=8000 * MS, earliest=begins, before=before)
    early = Hypothesis((word("said", 7000, 7500), word("him", 9000, 9400), word("so", 9450, 10200)))
    assert [(w.text, w.start, w.end) for w in segment.close(early, 11_000 * MS)] == [
        ("him", begins, begins),
        ("so", begins, 10_200 * MS),
    ]


def test_a_word_moved_to_its_segments_start_is_known_when_it_is_heard_again() -> None:
    begins = 9500 * MS
    segment = SegmentWords(replacing=False, start=begins, floor=8000 * MS, earliest=begins)
    assert len(segment.close(Hypothesis((word("him", 9000, 9450),)), 10_500 * MS)) == 1
    again = Hypothesis((word("him", 9000, 9450), word("so", 10_600, 10_900)))
    assert [w.text for w in segment.close(again, 11_500 * MS)] == ["so"]


@pytest.mark.parametrize("replacing", [False, True])
def test_a_segment_in_which_nothing_is_heard_soon_goes_without_the_last_ones_words(replacing: bool) -> None:
    begins = 9000 * MS
    before = [word("clear", 7000, 7500)]
    segment = SegmentWords(replacing=replacing, start=begins, floor=8000 * MS, earliest=begins, before=before)
    deaf = Hypothesis((word("clear", 7000, 7500),))
    starts = []
    for at in range(begins + GRID, begins + 4 * GRID, GRID):
        starts.append(segment.window_start(at))
        assert segment.commit(deaf, at) == ([], [])
    assert starts == [6800 * MS, 6800 * MS, begins]


@pytest.mark.parametrize("replacing", [False, True])
def test_a_segment_of_which_something_was_heard_keeps_its_window(replacing: bool) -> None:
    begins = 9000 * MS
    before = [word("clear", 7000, 7500)]
    segment = SegmentWords(replacing=replacing, start=begins, floor=8000 * MS, earliest=begins, before=before)
    segment.commit(Hypothesis((*before, word("faint", 9100, 9400))), begins + 2 * GRID)
    assert not segment.drop_context()
    assert segment.window_start(begins + 3 * GRID) == 6800 * MS
