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
ENDING_WORDS = 32


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the window, in samples."""

    longest: int = LONGEST
    # Beyond this the window is moved on at the next pause; beyond `longest` at any boundary between words.
    roomy: int = 9 * SAMPLE_RATE
    # Heard words kept before the open ones: without them the model stumbles over a start in mid-sentence.
    context: int = 3 * SAMPLE_RATE
    pause: int = SAMPLE_RATE * 3 // 10
    # Heard before the segment: words of the last one in this much audio are decoded again, as context only.
    before: int = 4 * SAMPLE_RATE
    # A word's start is this uncertain, so at the seam of two segments its middle decides.
    seam: int = SAMPLE_RATE * 15 // 100
    # A word that ends this near to the window's end may be cut; its neighbour too.
    edge: int = SAMPLE_RATE // 5


DEFAULT_LIMITS = Limits()


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
        final: Sequence[HeardWord] = (),
        before: Sequence[HeardWord] = (),
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """`start`: where the segment's audio begins; `floor`: where the last segment ended; `final`: on a resume.

        `before` are the words of the last segment: where they lie near, the window begins with them, since the model
        hears better in mid-sentence than at a cold start.
        """
        self.final: list[HeardWord] = list(final)
        self._replacing = replacing
        self._floor = floor
        near = [word for word in before if word.start >= start - limits.before]
        self._before = near
        self._start = near[0].start if near else max(start, floor)
        self._open: list[HeardWord] = []
        self._limits = limits

    def window_start(self, at: int) -> int:
        """Where the window of a decode at position `at` begins; never goes back."""
        self._start = max(self._start, at - self._limits.longest)
        return self._start

    def commit(self, hypothesis: Hypothesis, at: int) -> tuple[list[HeardWord], list[HeardWord]]:
        """Take the decode at grid position `at`: the words that became final, and the tentative ones.

        For replacing models none become final and the tentative ones are the whole segment.
        """
        fresh = self._fresh(hypothesis, at)
        final: list[HeardWord] = []
        if self._replacing:
            self._open = fresh
        else:
            final = self._agreed(fresh, at)
            self.final += final
            self._open = fresh[len(final) :]
        settled = self._move_on(at)
        if self._replacing:
            return [], [*self.final, *self._open]
        return [*final, *settled], list(self._open)

    def glimpse(self, hypothesis: Hypothesis, at: int) -> list[HeardWord]:
        """The tentative words that a decode at `at` shows; changes nothing."""
        fresh = self._fresh(hypothesis, at)
        return [*self.final, *fresh] if self._replacing else fresh

    def close(self, hypothesis: Hypothesis, at: int) -> list[HeardWord]:
        """Take the decode at a checkpoint or Finalize: the words after the last final one, which join `final`.

        For replacing models: the whole segment, and nothing joins.
        """
        fresh = self._fresh(hypothesis, at)
        if self._replacing:
            self._open = fresh
            return [*self.final, *fresh]
        self._open = []
        self.final += fresh
        return fresh

    def ending(self, closing: Sequence[HeardWord]) -> list[HeardWord]:
        """The last words of the segment, now that it is closed with `closing`: `before` of the next."""
        return [*self.final, *closing][-ENDING_WORDS:] if self._replacing else self.final[-ENDING_WORDS:]

    def _fresh(self, hypothesis: Hypothesis, at: int) -> list[HeardWord]:
        """The hypothesis' words of this segment that are not final yet."""
        heard = [replace(word, end=min(max(word.end, word.start), at)) for word in hypothesis.words if word.start < at]
        fresh = splice([*self._before, *self.final], heard, window_start=self._start)
        return [replace(word, start=max(word.start, self._floor)) for word in fresh if self._is_ours(word)]

    def _is_ours(self, word: HeardWord) -> bool:
        if word.start >= self._floor:
            return True
        return bool(self._before) and word.start >= self._floor - self._limits.seam and word.end > self._floor

    def _agreed(self, fresh: Sequence[HeardWord], at: int) -> list[HeardWord]:
        count = 0
        for before, now in zip(self._open, fresh, strict=False):
            if not same_word(before.text, now.text) or now.end > at - self._limits.edge:
                break
            count += 1
        return list(fresh[:count])

    def _move_on(self, at: int) -> list[HeardWord]:
        """Move the window's start where it has become too long for the next grid position; the words it settles."""
        ahead = at + GRID - self._start
        if ahead <= self._limits.roomy:
            return []
        must = ahead > self._limits.longest
        boundary = self._boundary(at, must=must)
        if boundary is None:
            return []
        self._start = boundary
        settled = [word for word in self._open if word.end <= boundary]
        self._open = self._open[len(settled) :]
        self.final += settled
        return settled

    def _boundary(self, at: int, *, must: bool) -> int | None:
        """The best place for the window to begin: the longest pause that leaves context behind it."""
        words = [*self.final[-64:], *self._open] if self._replacing or must else self.final[-64:]
        known = self._open[0].start if self._open else (words[-1].end if words else at)
        earliest = at + GRID - self._limits.longest if must else self._start + 1
        latest = max(known - self._limits.context, earliest) if not self._replacing else at - self._limits.context
        gaps = [
            (after.start - before.end, (before.end + after.start) // 2)
            for before, after in pairwise(words)
            if earliest <= (before.end + after.start) // 2 <= latest
        ]
        long_enough = [gap for gap in gaps if must or gap[0] >= self._limits.pause]
        if long_enough:
            return max(long_enough)[1]
        return earliest if must else None
