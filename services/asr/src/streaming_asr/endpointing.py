"""Voice activity to speech, silence and segments: pure, one 32 ms frame at a time (contract rules 3, 4, 7)."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

from streaming_asr.engine import SAMPLE_RATE

SEGMENT_LEAD = SAMPLE_RATE // 2  # a segment starts 500 ms before its voice: onsets are softer than the threshold
SAMPLES_PER_MS = SAMPLE_RATE // 1000


@dataclass(frozen=True, slots=True)
class Started:
    """Voice begins at position `at`; `confidence` is the frame's speech probability."""

    at: int
    confidence: float


@dataclass(frozen=True, slots=True)
class Stopped:
    """Voice ended; `at` is the first sample of the silence."""

    at: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch between two ends of segment: its number, where its audio starts, and where the last one ended."""

    number: int
    start: int
    floor: int


class Endpointer:
    """Tracks speech, the running silence and the open segment of one stream."""

    def __init__(
        self,
        *,
        threshold: float,
        checkpoints_ms: Sequence[int],
        cap: int | None,
        number: int = 0,
        floor: int = 0,
        open_start: int | None = None,
        first_sample: int = 0,
        context_until: int = 0,
    ) -> None:
        """`cap` is the longest segment in samples, None: as long as it gets; `open_start` resumes inside a segment that
        starts there.

        A resumed segment's silence counts from `first_sample` until a voice is heard, so that it can always end. Where
        none is open, voices before `context_until` belong to segments that have ended, and open none.
        """
        self.threshold = threshold
        self._checkpoints_ms = tuple(checkpoints_ms)
        self._cap = cap
        self._number = number
        self._context_until = context_until
        self._floor = floor
        self.segment = None if open_start is None else Segment(number, open_start, floor)
        self.speaking = False
        self._confidence = 0.0
        self._silence_from = None if open_start is None else first_sample
        self._asked: set[int] = set()

    @property
    def checkpoints_ms(self) -> tuple[int, ...]:
        """The silences to ask about; the last one always ends the segment."""
        return self._checkpoints_ms

    @checkpoints_ms.setter
    def checkpoints_ms(self, checkpoints_ms: Sequence[int]) -> None:
        if tuple(checkpoints_ms)[-1:] != self._checkpoints_ms[-1:]:
            # What was a question before is the end now: passed already, it fires at once (rule 7).
            self._asked.difference_update(checkpoints_ms[-1:])
        self._checkpoints_ms = tuple(checkpoints_ms)

    @property
    def next_segment(self) -> int:
        """The open segment's number, or the next one's."""
        return self._number

    @property
    def floor(self) -> int:
        """Where the last segment ended."""
        return self._floor

    @property
    def cap_at(self) -> int | None:
        """Where the open segment reaches its cap."""
        return None if self.segment is None or self._cap is None else self.segment.start + self._cap

    def copy(self) -> "Endpointer":
        """One that goes on from here by itself."""
        other = copy(self)
        other._asked = set(self._asked)
        return other

    def hear(self, start: int, end: int, probability: float) -> Started | Stopped | None:
        """Take the frame `[start, end)`."""
        if self.segment is None and end <= self._context_until:
            return None
        if probability >= self.threshold:
            self._confidence = probability
            if self.speaking:
                return None
            self.speaking, self._silence_from = True, None
            self._asked.clear()
            return self._voice(max(start, self._floor))
        if not self.speaking:
            return None
        silence_from = max(start, self._floor)
        self.speaking, self._silence_from = False, silence_from
        return Stopped(silence_from)

    def due(self, at: int) -> int | None:
        """The silence, in ms, to ask about at position `at`: the longest reached and not yet asked in this silence."""
        if self.segment is None or self._silence_from is None:
            return None
        silence_ms = self.silence_ms(at)
        reached = [ms for ms in self.checkpoints_ms if ms <= silence_ms]
        if not reached or reached[-1] in self._asked:
            return None
        return reached[-1]

    def asked(self, silence_ms: int) -> None:
        """Remember that this silence was asked about."""
        self._asked.update(ms for ms in self.checkpoints_ms if ms <= silence_ms)

    def silence_ms(self, at: int) -> int:
        """Length of the running silence at position `at`; 0 in speech."""
        return 0 if self._silence_from is None else max(0, at - self._silence_from) // SAMPLES_PER_MS

    def close(self, at: int) -> Started | None:
        """End the segment at position `at`; where speech goes on, the next one starts there."""
        self._number += 1
        self._floor = max(at, self._floor)
        self.segment = None
        return self._voice(self._floor) if self.speaking else None

    def _voice(self, at: int) -> Started:
        if self.segment is None:
            self.segment = Segment(self._number, max(at - SEGMENT_LEAD, self._floor), self._floor)
        return Started(at, self._confidence)
