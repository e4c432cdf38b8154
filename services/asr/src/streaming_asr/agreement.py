"""The words of one open segment: which are final, which tentative, and which audio the next decode needs. Pure.

Decodes happen at grid positions and at checkpoints. A word becomes final when two grid decodes in a row agree on it
and on everything before it (local agreement), or at a checkpoint. Words already final come back in every hypothesis
whose window holds them; `splice` tells them from new ones. The window begins at the segment's start and moves on, to
a boundary between words only, so that it stays short while some context is left before the first word that is open.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from asr_contract.splice import same_word, splice

from streaming_asr.engine import SAMPLE_RATE, HeardWord, Hypothesis
from streaming_asr.windows import LONGEST

GLIMPSE = SAMPLE_RATE * 4 // 10
GRID = 2 * GLIMPSE  # a word is final after two of them: 1.2 s after it was spoken on the mean
ENDING_WORDS = 48
SEEN_WORDS = 96  # more than a window holds
MOST_SHIFTED = 4


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the window, in samples."""

    longest: int = LONGEST
    # How far committing decodes lie apart.
    grid: int = GRID
    # Beyond this the window is moved on at the next pause; beyond `longest` at any boundary between words.
    roomy: int = 10 * SAMPLE_RATE
    # Heard words kept before the open ones: without them the model stumbles over a start in mid-sentence.
    context: int = 3 * SAMPLE_RATE
    # The window of a close may begin this much before that context, where a longer pause is.
    reach: int = SAMPLE_RATE
    pause: int = SAMPLE_RATE * 25 // 100
    # A window that begins at a word takes this much of the pause before it.
    lead: int = SAMPLE_RATE * 2 // 10
    # Words that are heard again may have moved by this much, two and more of them by twice as much.
    shift: int = SAMPLE_RATE * 8 // 10
    # Heard before the segment: words of the last one in this much audio are decoded again, as context only.
    before: int = 4 * SAMPLE_RATE
    # A longer pause than this since the last word: what is said now stands alone, and the model takes a window whose
    # first half is quiet for silence.
    hush: int = SAMPLE_RATE * 3 // 2
    # A segment this long in which nothing was heard goes without such context.
    unheard: int = 2 * GRID
    # How far a word must lie beyond the seam of two segments to be surely on one side.
    seam: int = SAMPLE_RATE * 15 // 100
    # A word this near to the end of the window lacks what comes behind it: it waits for another decode.
    edge: int = SAMPLE_RATE


DEFAULT_LIMITS = Limits()
# Nobody waits for the words of BULK one by one: a fifth of the decodes, each of which still shares most of its window
# with the one before.
BULK_LIMITS = Limits(grid=5 * GRID)


class SegmentWords:
    """Words of the segment that is open; `final` are those that will never change, oldest first.

    For replacing models nothing is final before the end; `final` are then the words older than the window.
    """

    def __init__(
        self,
        *,
        replacing: bool,
        start: int,
        floor: int,
        earliest: int = 0,
        final: Sequence[HeardWord] = (),
        before: Sequence[HeardWord] = (),
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """`start`: where the segment's audio begins; `floor`: where the last segment ended; `final`: on a resume.

        `earliest`: no word of the segment starts before it; where its voice was, or a little before.
        `before` are the words of the last segment: where they lie near, the window begins with them, since the model
        hears better in mid-sentence than at a cold start.
        """
        self.final: list[HeardWord] = list(final)
        self._replacing = replacing
        self._limits = limits
        self._floor = floor
        self._earliest = max(earliest, floor)
        self._before = list(before)
        self._start = self._own_start = max(start, floor)
        if (near := self._context_start(start)) is not None:
            self._start = near
        self._near = 0  # where a close may begin until the next grid position
        self._open: list[HeardWord] = []
        self._owed: list[HeardWord] = []  # final, but not said yet

    @property
    def unheard(self) -> bool:
        """Whether no word of the segment was heard yet."""
        return not (self.final or self._open or self._owed)

    def catch_up(self, through: int) -> None:
        """On a resume: move the window's start as the lost stream has, at the grid positions before `through`.

        Which words were final when is not known; all that are now and lay `edge` back were, near enough.
        """
        known = self.final
        if self._replacing or not known:
            return
        for at in range((self._start // self._limits.grid + 1) * self._limits.grid, through, self._limits.grid):
            old = sum(word.end <= at - self._limits.edge for word in known)
            self.final, self._open = known[:old], [word for word in known[old:] if word.start < at]
            self._move_on(at)
        self.final, self._open = known, []

    def begin_grid(self, at: int) -> None:
        """A decode at grid position `at` begins. It changes nothing about a close before the next grid position, which
        can be decoded beside it."""
        self._near = self._near_start(at)

    def coming_start(self, at: int) -> int | None:
        """What `closing_start` is going to give soon, at `at`; None where the decode under way may change it."""
        if self._near > self._start:
            return self._near
        slides = at + self._limits.grid - self._start > self._limits.longest
        moves = slides or self._roomy_start(at) is not None
        return None if moves else self._start

    def window_start(self, at: int) -> int:
        """Where the window of a decode at position `at` begins; never goes back."""
        if at - self._start > self._limits.longest:  # a pause without decodes: nothing moved the window on in time
            self._owed += self._slide(at - self._limits.longest, at)
        return self._start

    def closing_start(self, at: int) -> int:
        """Where the window of a close at `at` begins: as late as open words leave it, since somebody waits for it."""
        return max(self.window_start(at), self._near)

    def commit(self, hypothesis: Hypothesis, at: int) -> tuple[list[HeardWord], list[HeardWord]]:
        """Take the decode at grid position `at`: the words that became final, and the tentative ones.

        For replacing models none become final and the tentative ones are the whole segment.
        """
        fresh = self._fresh(hypothesis, at, self._start)
        agreed = [] if self._replacing else self._agreed(fresh, at)
        self.final += agreed
        self._open = fresh[len(agreed) :]
        new = [*self._owed, *agreed, *self._move_on(at)]
        self._owed = []
        if at - self._earliest >= self._limits.unheard:
            self.drop_context()
        if self._replacing:
            return [], [*self.final, *self._open]
        return new, list(self._open)

    def glimpse(self, hypothesis: Hypothesis, at: int) -> list[HeardWord]:
        """The tentative words that a decode at `at` shows; changes nothing."""
        fresh = self._fresh(hypothesis, at, self._start)
        return [*self.final, *fresh] if self._replacing else [*self._owed, *fresh]

    def close(self, hypothesis: Hypothesis, at: int) -> list[HeardWord]:
        """Take the decode at a checkpoint or Finalize: the words after the last final one, which join `final`.

        For replacing models: the whole segment, and nothing joins.
        """
        fresh = self._fresh(hypothesis, at, self.closing_start(at))
        if self._replacing:
            self._open = fresh
            return [*self.final, *fresh]
        new, self._open, self._owed = [*self._owed, *fresh], [], []
        self.final += fresh
        return new

    def drop_context(self) -> bool:
        """Where nothing of the segment was heard yet, let the window begin with it; whether that changes the window.

        A clear voice in the same window makes the model take a faint one after it for noise.
        """
        if not self.unheard or self._start >= self._own_start:
            return False
        self._start = self._own_start
        return True

    def ending(self, closing: Sequence[HeardWord]) -> list[HeardWord]:
        """The last words of the segment, now that it is closed with `closing`: `before` of the next."""
        words = closing if self._replacing else self.final
        return [*self._before, *words][-ENDING_WORDS:]

    def _context_start(self, start: int) -> int | None:
        """Where context for a segment that starts at `start` begins: the earliest pause that is not too far back."""
        if not self._before or start - self._before[-1].end > self._limits.hush:
            return None
        pauses = [
            max(earlier.end if earlier else 0, word.start - self._limits.lead)
            for earlier, word in zip([None, *self._before], self._before, strict=False)
            if earlier is None or word.start - earlier.end >= self._limits.pause
        ]
        return next((begin for begin in pauses if start - self._limits.before <= begin < start), None)

    def _fresh(self, hypothesis: Hypothesis, at: int, window_start: int) -> list[HeardWord]:
        """The words of this segment that are not final yet in the hypothesis of a window that begins so."""
        heard = [replace(word, end=min(max(word.end, word.start), at)) for word in hypothesis.words if word.start < at]
        known = [*self._before, *self.final]
        fresh = splice(known, heard, window_start=window_start)
        fresh = fresh[self._shifted(known, heard[: len(heard) - len(fresh)], fresh, window_start) :]
        return [self._placed(word) for word in fresh if self._is_ours(word)]

    def _placed(self, word: HeardWord) -> HeardWord:
        """The word within its segment: the model may date one into the silence before the voice."""
        start = max(word.start, self._earliest)
        return replace(word, start=start, end=max(word.end, start))

    def _is_ours(self, word: HeardWord) -> bool:
        """Whether the word belongs to this segment: it starts in it, or it seems to start before only.

        The model lets the first word after a pause begin early, up to where the last word ended. Where the last
        segment was closed in mid-speech, a word across the seam is that segment's.
        """
        if word.start >= self._floor:
            return True
        if not self._before:
            return word.start + word.end > 2 * self._floor
        paused = self._before[-1].end < self._floor - self._limits.seam
        return paused and word.end > self._floor + self._limits.seam

    def _agreed(self, fresh: Sequence[HeardWord], at: int) -> list[HeardWord]:
        count = 0
        for before, now in zip(self._open, fresh, strict=False):
            if not same_word(before.text, now.text) or now.end > at - self._limits.edge:
                break
            count += 1
        return list(fresh[:count])

    def _shifted(
        self, known: Sequence[HeardWord], old: Sequence[HeardWord], fresh: Sequence[HeardWord], window_start: int
    ) -> int:
        """Number of fresh words that are the last known ones, heard again but later than `splice` looks for them.

        The times of a first hypothesis are rough. A true repetition is heard twice: its first saying is among `old`.
        """
        if not known or known[-1].start < window_start or (old and same_word(old[-1].text, known[-1].text)):
            return 0
        for count in range(min(MOST_SHIFTED, len(known), len(fresh)), 0, -1):
            pairs = zip(known[-count:], fresh[:count], strict=True)
            reach = self._limits.shift * min(count, 2)
            if all(same_word(k.text, f.text) and f.start - k.start <= reach for k, f in pairs):
                return count
        return 0

    def _move_on(self, at: int) -> list[HeardWord]:
        """Move the window's start where it has become too long for the next grid position; the words it settles."""
        ahead = at + self._limits.grid - self._start
        if ahead > self._limits.longest:
            return self._slide(at + self._limits.grid - self._limits.longest, at)
        self._start = self._roomy_start(at) or self._start
        return []

    def _roomy_start(self, at: int) -> int | None:
        """Where the next window begins, had it become longer than it needs to be and were there a pause in it."""
        if at + self._limits.grid - self._start <= self._limits.roomy or self._replacing:
            return None
        open_from = self._open[0].start if self._open else at
        pauses = self._gaps(self.final[-SEEN_WORDS:], self._start + 1, open_from - self._limits.context)
        return max(pauses)[1] if pauses and max(pauses)[0] >= self._limits.pause else None

    def _near_start(self, at: int) -> int:
        """Where a window begins that holds the open words and their context, and little more; 0: nowhere.

        What ended within `edge` of the last decode was open then; on a resume it may be final since.
        """
        if self._replacing:
            return 0
        settled = at - self._limits.grid - self._limits.edge
        opened = [word for word in self.final[-SEEN_WORDS:] if word.end > settled] + self._open
        latest = min([settled, *(word.start for word in opened)]) - self._limits.context
        gaps = self._gaps(self.final[-SEEN_WORDS:], latest - self._limits.reach, latest)
        return max(gaps)[1] if gaps else 0

    def _slide(self, earliest: int, at: int) -> list[HeardWord]:
        """Move the start to `earliest` or a little later; settle what loses its context: it was heard better now.

        What lies within `edge` of `at` is not settled even so, unless it leaves the window.
        """
        gaps = self._gaps([*self.final[-SEEN_WORDS:], *self._open], earliest, earliest + self._limits.context)
        self._start = max(gaps)[1] if gaps else earliest
        through = max(self._start, min(self._start + self._limits.context, at - self._limits.edge))
        settled = [word for word in self._open if word.end <= through]
        self._open = self._open[len(settled) :]
        self.final += settled
        return settled

    def _gaps(self, words: Sequence[HeardWord], earliest: int, latest: int) -> list[tuple[int, int]]:
        """Gaps between words whose end lies within `[earliest, latest]`: length, and where a window would begin."""
        gaps = (
            (after.start - before.end, max(before.end, after.start - self._limits.lead))
            for before, after in pairwise(words)
        )
        return [gap for gap in gaps if earliest <= gap[1] <= latest]
