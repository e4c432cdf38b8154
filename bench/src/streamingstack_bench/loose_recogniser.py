"""A recogniser as free as the contract lets it be: for tests that lose it and ask what the next one makes of that.

Voice, checkpoints, orders and segments are the real stream core's; the words are its own. Which of them are final and
which tentative, and what a decode says of their times, is drawn by the test. It knows the script, so it always knows
on which side of a segment's end a word lies.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle

from asr_contract.splice import splice
from streamingstack.asr.v1 import recognizer_pb2 as pb

from streamingstack_bench.scripted import PER_MS, Script, ScriptWord, shifted
from streamingstack_bench.scripted_stream import ScriptedStream


@dataclass(frozen=True)
class Looseness:
    """What one stream does with the freedom it has; each list is used over and over.

    shifts_ms: see `scripted.shifted`. finals: how many more words each Words message makes final. tentatives: how
    many of the words behind them it shows. silent: whether it is not sent at all. repeats: whether a resumed stream
    says final words again, as the contract forbids it.
    """

    shifts_ms: tuple[int, ...] = (0,)
    finals: tuple[int, ...] = (1,)
    tentatives: tuple[int, ...] = (1,)
    silent: tuple[bool, ...] = (False,)
    repeats: bool = False


@dataclass(frozen=True, slots=True)
class _Heard:
    """A word of the open segment, as this stream heard it; positions in samples."""

    text: str
    start: int
    end: int
    confidence: float
    whole: bool


class LooseStream(ScriptedStream):
    """One stream of it, without a transport."""

    def __init__(self, script: Script, opening: pb.Open, looseness: Looseness, *, replacing: bool) -> None:
        self._loose, self._replacing = looseness, replacing
        self._words = list(zip(script.words, shifted(script.words, looseness.shifts_ms), strict=True))
        self._finals, self._tentatives = cycle(looseness.finals), cycle(looseness.tentatives)
        self._silent = cycle(looseness.silent)
        self._first = opening.first_sample
        self._floor = opening.segment_floor
        self._said = list(opening.final_words)
        self._spliced_on = [] if looseness.repeats else list(opening.final_words)
        self._index = opening.next_word_index
        self._asked: pb.Checkpoint | None = None
        super().__init__(script, opening, replacing=replacing)

    def take(self, request: pb.RecognizeRequest) -> None:
        """A message from the gateway."""
        if request.WhichOneof("message") == "answer" and self._asked is not None:
            if request.answer.decision == pb.DECISION_END_SEGMENT:
                self._close(self._asked.at_sample)
            self._asked = None
        super().take(request)

    async def _send(self, response: pb.RecognizeResponse) -> None:
        kind = response.WhichOneof("message")
        if kind == "words":
            if next(self._silent):
                return
            self._tell(response.words)
            if not response.words.final and not response.words.tentative:
                return
        elif kind == "checkpoint":
            self._asked = response.checkpoint
            self._tell_all(response.checkpoint)
        elif kind == "finalized":
            self._tell_all(response.finalized)
            self._close(response.finalized.at_sample)
        await super()._send(response)

    def _close(self, at: int) -> None:
        self._floor = max(self._floor, at)
        self._said, self._spliced_on = [], []

    def _tell(self, words: pb.Words) -> None:
        fresh = self._fresh(words.through_sample)
        count = 0 if self._replacing else min(next(self._finals), sum(word.whole for word in fresh))
        shown = fresh[count:] if self._replacing else fresh[count : count + next(self._tentatives)]
        del words.final[:], words.tentative[:]
        words.final.extend(self._final(fresh[:count]))
        words.tentative.extend(_word(word) for word in shown)

    def _tell_all(self, closing: pb.Checkpoint | pb.Finalized) -> None:
        fresh = self._fresh(closing.at_sample)
        del closing.words[:]
        closing.words.extend([_word(word) for word in fresh] if self._replacing else self._final(fresh))

    def _final(self, words: Sequence[_Heard]) -> list[pb.Word]:
        said = [_word(word, self._index + number) for number, word in enumerate(words)]
        self._index += len(said)
        self._said += said
        self._spliced_on += said
        return said

    def _fresh(self, through: int) -> list[_Heard]:
        """What was heard of the open segment by `through` and is not final yet."""
        known = [_Heard(word.text, word.start_sample, word.end_sample, 0.0, True) for word in self._spliced_on]
        return splice(known, list(self._heard(through)), window_start=self._first)

    def _heard(self, through: int) -> Iterator[_Heard]:
        floor = max(self._floor, self._first)
        for spoken, word in self._words:
            if self._is_ours(spoken) and spoken.start_ms * PER_MS < through:
                start = min(max(floor, word.start_ms * PER_MS), through)
                floor = max(start, min(word.end_ms * PER_MS, through))
                yield _Heard(word.text, start, floor, word.confidence, _last_edge(spoken, word) <= through)

    def _is_ours(self, spoken: ScriptWord) -> bool:
        return spoken.start_ms * PER_MS >= max(self._floor, self._first)


def _last_edge(spoken: ScriptWord, word: ScriptWord) -> int:
    """Where a word is over, both as spoken and as timed."""
    return max(spoken.end_ms, word.end_ms) * PER_MS


def _word(word: _Heard, index: int = 0) -> pb.Word:
    return pb.Word(
        index=index, text=word.text, start_sample=word.start, end_sample=word.end, confidence=word.confidence
    )
