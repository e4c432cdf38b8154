"""Declared window lengths: what a window of audio is padded to, by its own length alone.

Windows of one declared length share a batch, so the list is short; a batch never mixes lengths, so no batch mate
changes a result. Behind the declared length lies a floor of silence: without it Whisper loops at the cut, with it
the window need not be padded to 30 s (a third of the cost at equal word error rate).
"""

import numpy as np

from streaming_asr.engine import SAMPLE_RATE, Pcm

LENGTHS_S = (2, 3, 4, 5, 6, 8, 10, 12, 14, 16)
FLOOR_S = 1
LENGTHS = tuple(seconds * SAMPLE_RATE for seconds in LENGTHS_S)
FLOOR = FLOOR_S * SAMPLE_RATE
LONGEST = LENGTHS[-1]


def declared_length(samples: int) -> int:
    """Shortest declared length, in samples, that holds `samples`; raises ValueError beyond the longest."""
    for length in LENGTHS:
        if samples <= length:
            return length
    raise ValueError(f"window of {samples} samples is longer than the longest declared length, {LONGEST}")


def padded(pcm: Pcm) -> Pcm:
    """`pcm` with zeros behind it up to its declared length plus the floor."""
    whole = np.zeros(declared_length(len(pcm)) + FLOOR, np.int16)
    whole[: len(pcm)] = pcm
    return whole
