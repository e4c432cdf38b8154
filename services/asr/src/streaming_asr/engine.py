"""What the stream core asks of an engine, of voice activity and of the end-of-turn model.

Positions are samples at 16 kHz since the session's first byte. Every answer depends on the audio and the request
alone, never on what else runs: that is what makes final words reproducible (rules 1 and 6 of the contract).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
VAD_FRAME = 512  # samples of one voice-activity frame: 32 ms

Pcm = NDArray[np.int16]


class EngineLostError(Exception):
    """The engine is away; the pod's streams end UNAVAILABLE and the gateway resumes them elsewhere."""


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A word as the engine wrote it; `start` and `end` are positions, `confidence` is 0 to 1."""

    text: str
    start: int
    end: int
    confidence: float


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """Everything the engine heard in one window; `language` is ISO 639-1 or empty.

    `doubted` are words that the engine would rather take for silence: fit to be shown where voice activity is sure that
    somebody speaks, and final where nothing else is heard of a long voice. Where there are any, `words` is empty.
    """

    words: tuple[HeardWord, ...] = ()
    language: str = ""
    language_confidence: float = 0.0
    doubted: tuple[HeardWord, ...] = ()


@dataclass(frozen=True, slots=True)
class Window:
    """Audio to decode: mono int16 at 16 kHz whose first sample lies at `first_sample`.

    `bulk`: nobody waits for its words one by one; whoever is live comes first.
    """

    pcm: Pcm
    first_sample: int
    language_codes: tuple[str, ...] = ()
    prompt: str = ""
    keyterms: tuple[str, ...] = ()
    bulk: bool = False


class WindowEngine(Protocol):
    """A stateless engine: the same window gives the same hypothesis."""

    async def decode(self, window: Window) -> Hypothesis:
        """Words of the window, in order, inside it. Raises EngineLostError."""
        ...

    async def glimpse(self, window: Window) -> Hypothesis | None:
        """As decode, for tentative words only: None at once when the engine is busy. Raises EngineLostError."""
        ...

    async def end_of_turn(self, window: Window) -> float:
        """Score, 0 to 1, that the speaker has finished at the end of the window (at most 8 s).

        Raises EngineLostError.
        """
        ...


class VoiceStream(Protocol):
    """Voice activity of one stream; keeps the model's state between calls."""

    async def probabilities(self, pcm: Pcm) -> Sequence[float]:
        """Speech probability of each 512-sample frame of `pcm`, whose length is a multiple of 512."""
        ...


class VoiceActivity(Protocol):
    """Makes a VoiceStream for each stream; batches over them."""

    def open(self, first_sample: int) -> VoiceStream:
        """Voice activity from a clean state, for audio whose first frame begins at `first_sample`."""
        ...
