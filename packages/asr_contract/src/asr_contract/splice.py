"""Splices a fresh hypothesis onto words that are already final, over text and time.

A recogniser that starts anew in the middle of a session (rule 10), or decodes a window that overlaps words it has
already promised, hears some of those words again: shifted by a little, cased or punctuated otherwise, the first one
perhaps cut in two by the start of the window. `splice` says which of the heard words are new.

Exact, none lost and none doubled, where
- every word heard again has the same normalised text and lies within `tolerance` of where it was (start and end),
- equal words (and words equal to a run of two or three others) have starts and ends more than twice `tolerance` apart,
- the window holds the last final word whole, or starts at or after its end.
Equal words nearer than that ("no no no") are told apart by the least total shift: right while the shifts are small
against their distance. Where the last final word was cut by the window, heard as another word, or missed, time alone
decides what follows the last word recognised: a word with its middle before the end of the last final word is taken
for a new hearing of it.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, TypeVar

from asr_contract.clock import ms_to_samples

DEFAULT_TOLERANCE = ms_to_samples(200)
# The seam lies within the last finals; older ones cannot move it and would only cost time.
_SEAM_WORDS = 24
_LONGEST_RUN = 3  # "every one" for "everyone", "a lot of" for "alotof"


class SpokenWord(Protocol):
    """A dataclass with a text and the positions of its first sample and of the first sample after it."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def text(self) -> str: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...


W = TypeVar("W", bound=SpokenWord)


def normalised(text: str) -> str:
    """`text` casefolded, in composed form, letters, marks and digits only; bare symbols stay as they are."""
    folded = unicodedata.normalize("NFKC", text.casefold())
    return "".join(char for char in folded if unicodedata.category(char)[0] in "LMN") or folded.strip()


def same_word(one: str, other: str) -> bool:
    """Whether both are the same word but for case and punctuation."""
    return normalised(one) == normalised(other)


def splice(
    final: Sequence[SpokenWord],
    hypothesis: Sequence[W],
    *,
    tolerance: int = DEFAULT_TOLERANCE,
    window_start: int | None = None,
) -> list[W]:
    """The words of `hypothesis` that come after the last of `final`, none before its end, each at or after the other.

    Both are in order of time. `tolerance` is in samples. `window_start` is the first sample the hypothesis was decoded
    from: it tells a final word that the window does not hold from one that was missed, and a fragment from a word;
    without it the window is taken to start with the first word heard. Times that overlap are clipped forward.
    """
    if not final or not hypothesis:
        return _in_order(hypothesis, final[-1].end if final else 0)
    seam = _Seam.of(final, hypothesis, tolerance, window_start)
    return _in_order(hypothesis[seam.first_new() :], final[-1].end)


def _in_order(words: Sequence[W], floor: int) -> list[W]:
    clipped = []
    for word in words:
        start = max(word.start, floor)
        floor = max(word.end, start)
        clipped.append(word if (start, floor) == (word.start, word.end) else replace(word, start=start, end=floor))
    return clipped


@dataclass(frozen=True, slots=True)
class _Heard:
    """A word, or a run of words heard as one."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Match:
    """`finals` from `final` on are `heards` from `heard` on; `score` is greater the less they moved."""

    final: int
    finals: int
    heard: int
    heards: int
    score: int


@dataclass(frozen=True, slots=True)
class _Seam:
    finals: list[_Heard]
    heards: list[_Heard]
    skipped: int  # heard words before the seam, all of them old
    tolerance: int
    window_start: int
    window_known: bool

    @classmethod
    def of(
        cls,
        final: Sequence[SpokenWord],
        hypothesis: Sequence[SpokenWord],
        tolerance: int,
        window_start: int | None,
    ) -> "_Seam":
        finals = [_heard(word) for word in final[-_SEAM_WORDS:]]
        reach = finals[0].start - tolerance
        skipped = next((n for n, word in enumerate(hypothesis) if word.end >= reach), len(hypothesis))
        return cls(
            finals=finals,
            heards=[_heard(word) for word in hypothesis[skipped:]],
            skipped=skipped,
            tolerance=tolerance,
            window_start=hypothesis[0].start if window_start is None else window_start,
            window_known=window_start is not None,
        )

    def first_new(self) -> int:
        """Index in the hypothesis of the first new word."""
        last = self._last_match()
        known = last.heard + last.heards if last else 0
        if last is None or last.final + last.finals < len(self.finals):
            known = self._past_by_time(known)
        return self.skipped + known

    def _past_by_time(self, known: int) -> int:
        end = self.finals[-1].end
        while known < len(self.heards) and self._is_old(known, end):
            known += 1
        return known

    def _is_old(self, index: int, end: int) -> bool:
        word = self.heards[index]
        return word.start + word.end < 2 * end or (index == 0 and self.skipped == 0 and self._is_fragment(word))

    def _is_fragment(self, word: _Heard) -> bool:
        """Whether the window surely begins inside the last final word and this is what is left of it."""
        last = self.finals[-1]
        inside = self.window_known and last.start < self.window_start < last.end - self.tolerance
        return inside and last.text.endswith(word.text) and abs(word.end - last.end) <= self.tolerance

    def _last_match(self) -> _Match | None:
        """The last match of the chain of matches, in order on both sides, that scores highest."""
        chains: list[tuple[_Match, int]] = []
        missed = self._missed_before()
        for match in self._matches():
            before = -missed[match.final]
            for earlier, score in chains:
                after = earlier.final + earlier.finals
                if after <= match.final and earlier.heard + earlier.heards <= match.heard:
                    before = max(before, score - (missed[match.final] - missed[after]))
            chains.append((match, before + match.score))
        ends = [(score - (missed[-1] - missed[m.final + m.finals]), n) for n, (m, score) in enumerate(chains)]
        best = max(ends, default=(-missed[-1], -1))
        # With equal scores no match at all would do as well; a match is the better guess.
        return chains[best[1]][0] if ends and best[0] >= -missed[-1] else None

    def _missed_before(self) -> list[int]:
        """The cost of not hearing again the finals before each index: only those that the window holds count."""
        costs = [0]
        for word in self.finals:
            costs.append(costs[-1] + (self.tolerance if word.start >= self.window_start else 0))
        return costs

    def _matches(self) -> Iterator[_Match]:
        """Every run that may be one and the same word, in order of the heard words."""
        for heard in range(len(self.heards)):
            for final in range(len(self.finals)):
                far = abs(self.heards[heard].start - self.finals[final].start)
                if far > self.tolerance and abs(self.heards[heard].end - self.finals[final].end) > self.tolerance:
                    continue
                for finals, heards in _RUNS:
                    if (match := self._match(final, finals, heard, heards)) is not None:
                        yield match

    def _match(self, final: int, finals: int, heard: int, heards: int) -> _Match | None:
        if final + finals > len(self.finals) or heard + heards > len(self.heards):
            return None
        one, other = _joined(self.finals[final : final + finals]), _joined(self.heards[heard : heard + heards])
        shifts = (abs(one.start - other.start), abs(one.end - other.end))
        # A lone word may have lost its start to the window, or its end to a pause; a run has to lie over the word.
        shift = min(shifts) if finals == heards else max(shifts)
        if shift > self.tolerance or one.text != other.text:
            return None
        return _Match(final, finals, heard, heards, self.tolerance + 1 - shift)


_RUNS = [(1, 1), *((n, 1) for n in range(2, _LONGEST_RUN + 1)), *((1, n) for n in range(2, _LONGEST_RUN + 1))]


def _heard(word: SpokenWord) -> _Heard:
    return _Heard(normalised(word.text), word.start, word.end)


def _joined(run: Sequence[_Heard]) -> _Heard:
    return run[0] if len(run) == 1 else _Heard("".join(word.text for word in run), run[0].start, run[-1].end)
