"""Responses of the contract, built from the stream's own terms."""

from collections.abc import Sequence
from dataclasses import dataclass

from streamingstack.asr.v1 import recognizer_pb2 as pb

from streaming_asr.endpointing import Started, Stopped
from streaming_asr.engine import HeardWord, Hypothesis

PREFERRED_CHUNK_MS = 96  # three voice-activity frames


@dataclass(frozen=True, slots=True)
class Offer:
    """What this recogniser is to every stream."""

    capacity: int
    left_context_ms: int
    replacing: bool = False

    def ready(self, credit: int) -> pb.RecognizeResponse:
        """Ready, with the position up to which audio may be sent."""
        ready = pb.Ready(
            capacity=self.capacity,
            preferred_chunk_ms=PREFERRED_CHUNK_MS,
            left_context_ms=self.left_context_ms,
            send_through_sample=credit,
            replacing=self.replacing,
        )
        return pb.RecognizeResponse(ready=ready)


class WordIndex:
    """Numbers final words through the session; words of replacing models stay 0."""

    def __init__(self, first: int, *, counting: bool) -> None:
        self._next = first
        self._counting = counting

    def final(self, words: Sequence[HeardWord]) -> list[pb.Word]:
        """The words with the next numbers."""
        numbered = [_word(word, self._next + i if self._counting else 0) for i, word in enumerate(words)]
        self._next += len(words)
        return numbered


def _word(word: HeardWord, index: int = 0) -> pb.Word:
    return pb.Word(
        index=index,
        text=word.text,
        start_sample=word.start,
        end_sample=word.end,
        confidence=min(1.0, max(0.0, word.confidence)),
    )


def heard_word(word: pb.Word) -> HeardWord:
    """A word of the contract in the stream's terms."""
    return HeardWord(word.text, word.start_sample, word.end_sample, word.confidence)


def speech(happening: Started | Stopped) -> pb.RecognizeResponse:
    """SpeechStarted or SpeechStopped."""
    if isinstance(happening, Started):
        started = pb.SpeechStarted(at_sample=happening.at, confidence=happening.confidence)
        return pb.RecognizeResponse(speech_started=started)
    return pb.RecognizeResponse(speech_stopped=pb.SpeechStopped(at_sample=happening.at))


def words(
    segment: int, through: int, final: Sequence[pb.Word], tentative: Sequence[HeardWord], eot_score: float
) -> pb.RecognizeResponse:
    """Words of a decode that ended at `through`."""
    return pb.RecognizeResponse(
        words=pb.Words(
            segment=segment,
            through_sample=through,
            final=final,
            tentative=[_word(word) for word in tentative],
            eot_score=eot_score,
        )
    )


def progress(at: int, credit: int, probability: float) -> pb.RecognizeResponse:
    """Progress."""
    return pb.RecognizeResponse(
        progress=pb.Progress(
            processed_through_sample=at, send_through_sample=credit, max_speech_probability=probability
        )
    )


def finalized(
    order: pb.Finalize, segment: int, at: int, closed: Sequence[pb.Word], eot_score: float, last: Hypothesis
) -> pb.RecognizeResponse:
    """Finalized."""
    return pb.RecognizeResponse(
        finalized=pb.Finalized(
            id=order.id,
            segment=segment,
            at_sample=at,
            words=closed,
            eot_score=eot_score,
            language=last.language,
            language_confidence=last.language_confidence,
        )
    )
