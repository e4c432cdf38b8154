"""The audio clock: positions are samples at 16 kHz since the session's first byte.

Milliseconds exist at the edges only (the client's wire, configuration); everything between counts samples.
"""

SAMPLE_RATE = 16_000
SAMPLES_PER_MS = SAMPLE_RATE // 1000
BYTES_PER_SAMPLE = 2  # signed 16 bit, one channel


def ms_to_samples(ms: int) -> int:
    """Samples in `ms` whole milliseconds; exact."""
    return ms * SAMPLES_PER_MS


def samples_to_ms(samples: int) -> int:
    """Whole milliseconds in `samples`, rounded down: a position never moves past the audio it lies in."""
    return samples // SAMPLES_PER_MS


def pcm_samples(pcm: bytes) -> int:
    """Samples in s16le `pcm`. Raises ValueError where the length is odd: half a sample."""
    samples, half = divmod(len(pcm), BYTES_PER_SAMPLE)
    if half:
        raise ValueError(f"pcm has {len(pcm)} bytes; s16le audio has an even number")
    return samples
