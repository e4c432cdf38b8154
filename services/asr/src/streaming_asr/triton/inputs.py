"""What is asked of the models, and what their answers say."""

from typing import Any

import numpy as np
from tritonclient.grpc import aio as triton

from streaming_asr.engine import SAMPLE_RATE, HeardWord, Hypothesis
from streaming_asr.windows import padded


def tensor(name: str, kind: str, values: Any) -> Any:
    """One input of a request, as a batch of one."""
    batch = values.reshape(1, -1)
    made = triton.InferInput(name, list(batch.shape), kind)
    made.set_data_from_numpy(batch)
    return made


# The least that each model can be asked, to see whether it lives.
PROBES = {
    "smart_turn": [tensor("PCM", "INT16", np.zeros(SAMPLE_RATE, np.int16))],
    "whisper": [
        tensor("PCM", "INT16", padded(np.zeros(SAMPLE_RATE, np.int16))),
        tensor("SAMPLES", "INT32", np.array([SAMPLE_RATE], np.int32)),
        tensor("STEERING", "UINT8", np.frombuffer(b'{"tentative": true}', np.uint8)),
    ],
}


def hypothesis(heard: dict[str, Any], first_sample: int) -> Hypothesis:
    """What Whisper heard, its words at their positions in the session."""
    words, doubted = (
        tuple(HeardWord(text, first_sample + start, first_sample + end, sure) for text, start, end, sure in heard[kind])
        for kind in ("words", "doubted")
    )
    return Hypothesis(words, heard["language"], heard["language_confidence"], doubted)
