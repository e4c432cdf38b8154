"""The open segment as the gateway knows it, and the words that are final in it. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from asr_contract.clock import SAMPLE_RATE
from asr_contract.splice import splice
from streamingstack.asr.v1 import recognizer_pb2 as pb

_LEAD = SAMPLE_RATE // 2  # rule 4: a segment starts 500 ms before its speech
_CLOSED_WORDS = 48  # more than a recogniser's context holds


@dataclass(frozen=True)
class _Placed:
    text: str
    start: int
    end: int
    word: pb.Word


@dataclass
class SegmentState:
    """Number, bounds and final words of the segment that is open, or of the next one.

    `told`: the session knows that speech began in it. `closed`: the last words of the segments before it.
    """

    number: int = 0
    open: bool = False
    start: int = 0
    floor: int = 0
    speaking: bool = False
    told: bool = False
    finals: list[pb.Word] = field(default_factory=list)
    closed: list[pb.Word] = field(default_factory=list)
    next_index: int = 0

    def voice(self, at: int) -> None:
        """Speech begins at position `at`."""
        self.speaking = self.told = True
        if not self.open:
            self.open = True
            self.start = max(self.floor, at - _LEAD)

    def found_open(self, start: int) -> None:
        """Its voice began unheard, at `start` or later."""
        self.open = True
        self.start = max(self.floor, start)

    def silence(self) -> None:
        """Speech ended; the segment stays open."""
        self.speaking = False

    def settle(self, words: Iterable[pb.Word]) -> None:
        """Append words that are final."""
        self.finals.extend(words)
        if self.finals:
            self.next_index = max(self.next_index, self.finals[-1].index + 1)

    def close(self, at: int, words: Sequence[pb.Word] = ()) -> None:
        """The segment ends at position `at`; the next one begins there. `words`: a replacing model's."""
        self.closed = [*self.closed, *self.finals, *words][-_CLOSED_WORDS:]
        self.number += 1
        self.floor = max(self.floor, at)
        self.start = self.floor
        self.open = self.speaking = self.told = False
        self.finals = []

    def unheard(self, words: Sequence[pb.Word]) -> list[pb.Word]:
        """Those of `words` that come after the final ones: none that is final already, shifted or written otherwise."""
        last = self.finals[-1].end_sample if self.finals else self.floor
        # A final word without length, said again, begins at its end too.
        empty = bool(self.finals) and self.finals[-1].start_sample == last
        if not words or words[0].start_sample >= last + empty:
            return list(words)
        kept = [word for word in words if word.start_sample >= self.floor]
        fresh = splice([_place(word) for word in self.finals], [_place(word) for word in kept])
        return [_moved(placed) for placed in fresh]

    def numbered(self, words: Sequence[pb.Word]) -> list[pb.Word]:
        """`words` with the indices that follow the last final word's."""
        renumbered = []
        for index, word in enumerate(words, self.next_index):
            copy = word
            if word.index != index:
                copy = pb.Word()
                copy.CopyFrom(word)
                copy.index = index
            renumbered.append(copy)
        return renumbered


def _place(word: pb.Word) -> _Placed:
    return _Placed(word.text, word.start_sample, word.end_sample, word)


def _moved(placed: _Placed) -> pb.Word:
    """The word where the splice put it."""
    if (placed.start, placed.end) == (placed.word.start_sample, placed.word.end_sample):
        return placed.word
    moved = pb.Word()
    moved.CopyFrom(placed.word)
    moved.start_sample, moved.end_sample = placed.start, placed.end
    return moved
