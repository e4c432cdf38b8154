"""What is asked of the models, and what their answers say."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from tritonclient.grpc import aio as triton

from streaming_asr.engine import SAMPLE_RATE, HeardWord, Hypothesis, Window
from streaming_asr.windows import padded


def tensor(name: str, kind: str, values: Any) -> Any:
    """One input of a request, as a batch of one."""
    batch = values.reshape(1, -1)
    made = triton.InferInput(name, list(batch.shape), kind)
    made.set_data_from_numpy(batch)
    return made


def whisper_inputs(window: Window, allowed: Sequence[str], *, tentative: bool) -> list[Any]:
    """A window for Whisper; `allowed` languages bind detection, but for those that the window expects."""
    steering = {
        "languages": list(window.language_codes),
        "allowed": list(allowed),
        "prompt": window.prompt,
        "keyterms": list(window.keyterms),
        "tentative": tentative,
    }
    return [
        tensor("PCM", "INT16", padded(window.pcm)),
        tensor("SAMPLES", "INT32", np.array([len(window.pcm)], np.int32)),
        tensor("STEERING", "UINT8", np.frombuffer(json.dumps(steering).encode(), np.uint8)),
    ]


# The least that each model can be asked, to see whether it lives.
PROBES = {
    "smart_turn": [tensor("PCM", "INT16", np.zeros(SAMPLE_RATE, np.int16))],
    "whisper": whisper_inputs(Window(np.zeros(SAMPLE_RATE, np.int16), 0), (), tentative=True),
}


def hypothesis(reply: bytes, first_sample: int) -> Hypothesis:
    """What Whisper heard, its words at their positions in the session."""
    heard = json.loads(reply)
    words, doubted = (
        tuple(HeardWord(text, first_sample + start, first_sample + end, sure) for text, start, end, sure in heard[kind])
        for kind in ("words", "doubted")
    )
    return Hypothesis(words, heard["language"], heard["language_confidence"], doubted)
