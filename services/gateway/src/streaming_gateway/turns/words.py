"""Words on the client's clock: integer milliseconds that never overlap and never go back."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from streamingstack.asr.v1 import recognizer_pb2 as pb

from streaming_gateway.turns.profanity import masked
from streaming_gateway.wire import WireMessage

SAMPLES_PER_MS = 16


def milliseconds(sample: int) -> int:
    """Position in whole milliseconds, rounded down, so that what was in order stays in order."""
    return sample // SAMPLES_PER_MS


def confidence(value: float) -> float:
    """A score as the client sees it, and as it is compared with a threshold.

    Rounded to four digits, which takes single precision's noise away: 0.7 arrives as 0.699999988.
    """
    return round(min(max(value, 0.0), 1.0), 4)


@dataclass(frozen=True)
class HeardWord:
    """One word; times in milliseconds since the first byte of the session, `end_sample` on the audio's clock.

    `looked_up`: in the word lists of profanity, once, in the language of that time.
    """

    text: str
    start_ms: int
    end_ms: int
    confidence: float
    end_sample: int
    looked_up: bool = False


def heard_words(words: Iterable[pb.Word], floor_ms: int) -> list[HeardWord]:
    """`words` on the client's clock, none before `floor_ms`, which is the end of the word before them."""
    heard = []
    for word in words:
        start = max(milliseconds(word.start_sample), floor_ms)
        floor_ms = max(milliseconds(word.end_sample), start)
        heard.append(HeardWord(word.text, start, floor_ms, confidence(word.confidence), word.end_sample))
    return heard


def without_profanity(words: list[HeardWord], language: str) -> list[HeardWord]:
    """`words` with profane ones masked, but for those that were looked up before; see `masked`."""
    return [
        word if word.looked_up else replace(word, text=masked(word.text, language), looked_up=True) for word in words
    ]


def wire_word(word: HeardWord, text: str, *, final: bool) -> WireMessage:
    """One entry of a Turn's `words`."""
    return {
        "text": text,
        "start": word.start_ms,
        "end": word.end_ms,
        "confidence": word.confidence,
        "word_is_final": final,
    }
