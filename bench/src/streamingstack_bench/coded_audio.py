"""Audio in which every sample tells its position, so that a recogniser of a script can tell wrong audio from right."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1 << 16
_MIX = ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 1))


def coded_samples(start: int, end: int) -> NDArray[np.int16]:
    """The samples `[start, end)` of a session, each a hash of its position: no stretch is like any other."""
    first, last = start // _BLOCK, max(start, end - 1) // _BLOCK
    blocks = np.concatenate([_block(number) for number in range(first, last + 1)])
    return blocks[start - first * _BLOCK : end - first * _BLOCK]


@lru_cache(maxsize=64)
def _block(number: int) -> NDArray[np.int16]:
    """The samples from `number * _BLOCK` on; kept, for the same ones are looked at with every window."""
    mixed = np.arange(number * _BLOCK, (number + 1) * _BLOCK, dtype=np.uint64).astype(np.uint32) + np.uint32(0x9E3779B9)
    for shift, factor in _MIX:
        mixed = (mixed ^ (mixed >> np.uint32(shift))) * np.uint32(factor)
    return (mixed & np.uint32(0xFFFF)).astype(np.uint16).view(np.int16)


def coded_pcm(start: int, end: int) -> bytes:
    """`coded_samples` as s16le."""
    return coded_samples(start, end).astype("<i2").tobytes()


def is_coded(pcm: NDArray[np.int16], first_sample: int) -> bool:
    """Whether `pcm` is exactly what a session has from `first_sample` on."""
    return bool(np.array_equal(pcm, coded_samples(first_sample, first_sample + len(pcm))))
