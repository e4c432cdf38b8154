"""A recording's words as the answer tells them. Pure."""

from collections.abc import Sequence
from typing import Any

from asr_contract.clock import samples_to_ms
from streamingstack.asr.v1 import recognizer_pb2 as pb


def transcript(words: Sequence[pb.Word]) -> dict[str, Any]:
    """`text`, `words` with whole milliseconds, and `confidence`: the mean of the words', 0 where nothing was said."""
    mean = sum(word.confidence for word in words) / len(words) if words else 0.0
    return {
        "text": " ".join(word.text for word in words),
        "words": [
            {
                "text": word.text,
                "start": samples_to_ms(word.start_sample),
                "end": samples_to_ms(word.end_sample),
                "confidence": round(word.confidence, 4),
            }
            for word in words
        ],
        "confidence": round(mean, 4),
    }
