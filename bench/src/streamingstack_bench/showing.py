"""What a client has on its screen, message by message, and when each spoken word first showed."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from streamingstack_bench.records import Message, Received
from streamingstack_bench.word_times import SpokenWord
from streamingstack_bench.wording import Tokens, align, tokens


@dataclass(frozen=True, slots=True)
class Shown:
    """All words of a session that can be read at `at_s`, normalised, and the final ones among them."""

    at_s: float
    words: Tokens
    final: Tokens


def screens(received: Iterable[Received], language: str) -> Iterator[Shown]:
    """What can be read after each Turn. A later message of a turn replaces the earlier ones of the same turn."""
    words: dict[int, Tokens] = {}
    final: dict[int, Tokens] = {}
    for item in received:
        turn = item.message
        if turn.get("type") != "Turn":
            continue
        order = turn["turn_order"]
        words[order] = tokens(" ".join(word["text"] for word in turn["words"]), language)
        final[order] = tokens(" ".join(w["text"] for w in turn["words"] if w["word_is_final"]), language)
        yield Shown(item.at_s, _joined(words), _joined(final))


def _joined(turns: Mapping[int, Tokens]) -> Tokens:
    return tuple(word for order in sorted(turns) for word in turns[order])


def first_shown(spoken: Sequence[SpokenWord], shown: Iterable[tuple[float, Tokens]]) -> list[float | None]:
    """When each spoken word could first be read, in seconds on the clock of `shown`; None: never.

    A word shows when it is laid beside an equal word of the screen. Only words whose sound has begun by then are
    looked at, so that a word said twice is not found before it is spoken.
    """
    first: list[float | None] = [None] * len(spoken)
    begins = list(accumulate((word.start_s for word in spoken), max))
    before: tuple[Tokens, int] | None = None
    for at_s, words in shown:
        begun = bisect_right(begins, at_s)
        if before == (words, begun):
            continue
        before = (words, begun)
        for pair in align([word.text for word in spoken[:begun]], words):
            if pair.equal and first[pair.reference] is None:
                first[pair.reference] = at_s
    return first


def lags(spoken: Sequence[SpokenWord], first: Sequence[float | None]) -> list[float]:
    """Seconds from a word's end in the audio to the moment it showed, for the timed words that showed at all."""
    return [at - word.end_s for word, at in zip(spoken, first, strict=True) if word.timed and at is not None]


def never_shown(spoken: Sequence[SpokenWord], first: Sequence[float | None]) -> int:
    """How many timed words never showed."""
    return sum(at is None and word.timed for word, at in zip(spoken, first, strict=True))


@dataclass(frozen=True, slots=True)
class FinalWord:
    """A word as it stands in the last end-of-turn message of its turn; times in seconds since the session's start."""

    text: str
    start_s: float
    end_s: float


def final_words(received: Iterable[Received]) -> list[FinalWord]:
    """The words of the finished turns, in order. Unformatted and formatted ends of a turn count once, the last one."""
    turns: dict[int, Message] = {
        item.message["turn_order"]: item.message
        for item in received
        if item.message.get("type") == "Turn" and item.message["end_of_turn"]
    }
    return [
        FinalWord(word["text"], word["start"] / 1000, word["end"] / 1000)
        for order in sorted(turns)
        for word in turns[order]["words"]
    ]
