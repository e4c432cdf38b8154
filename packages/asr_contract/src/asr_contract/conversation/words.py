"""Words: numbered, in order, inside their segment, final once (rule 5)."""

from collections.abc import Sequence
from dataclasses import dataclass

from streamingstack.asr.v1 import recognizer_pb2 as pb

from asr_contract.conversation.errors import FIELDS, ContractError, require, require_share


@dataclass(frozen=True, slots=True)
class Span:
    """Where words of a message may lie: `[start, end]`, positions."""

    start: int
    end: int


class FinalWords:
    """The final words of one stream, and what may follow them."""

    def __init__(self, opening: pb.Open, *, replacing: bool) -> None:
        self.replacing = replacing
        self.words: list[pb.Word] = []
        self.next_index = opening.next_word_index - (0 if replacing else len(opening.final_words))
        require(self.next_index >= 0, 10, "Open.next_word_index is less than the count of its final_words")
        self._end = 0
        if opening.final_words:
            self._resume(opening)

    def _resume(self, opening: pb.Open) -> None:
        last = opening.final_words[-1].end_sample
        try:
            self.append(opening.final_words, Span(opening.segment_floor, last))
        except ContractError as broken:
            raise ContractError(10, f"Open.final_words: {broken.text}") from None

    def check(self, words: Sequence[pb.Word], span: Span) -> None:
        """Words that would be final next. Raises ContractError."""
        for count, word in enumerate(words):
            expected = 0 if self.replacing else self.next_index + count
            require(word.index == expected, 5, f"word {count} has index {word.index}, expected {expected}")
        _check_times(words, self._after_finals(span))

    def append(self, words: Sequence[pb.Word], span: Span) -> None:
        """Words that are final now. Raises ContractError."""
        self.check(words, span)
        self.words.extend(words)
        if words:
            self._end = words[-1].end_sample
        if not self.replacing:
            self.next_index += len(words)

    def check_tentative(self, words: Sequence[pb.Word], span: Span) -> None:
        """Words that may change, after the final ones. Raises ContractError."""
        for count, word in enumerate(words):
            require(word.index == 0, 5, f"tentative word {count} has index {word.index}, expected 0")
        _check_times(words, self._after_finals(span))

    def _after_finals(self, span: Span) -> Span:
        return Span(max(span.start, self._end), span.end)


def _check_times(words: Sequence[pb.Word], span: Span) -> None:
    end = span.start
    for count, word in enumerate(words):
        require(bool(word.text) and word.text == word.text.strip(), FIELDS, f"word {count} is empty or padded")
        require_share(word.confidence, f"confidence of word {count}")
        require(word.start_sample >= end, 5, f"word {count} starts at {word.start_sample}, before {end}")
        end = word.end_sample
        require(word.start_sample <= end, 5, f"word {count} ends at {end}, before its start")
    require(not words or end <= span.end, 5, f"the last word ends at {end}, after {span.end}")
