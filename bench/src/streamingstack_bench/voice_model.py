"""The recogniser's voice activity over a whole recording."""

import asyncio
from pathlib import Path

import numpy as np
from streaming_asr.engine import VAD_FRAME
from streaming_asr.vad import SileroVoiceActivity

from streamingstack_bench.clips import Pcm


def speech_probabilities(model: Path, pcm: Pcm) -> list[float]:
    """One for each 32 ms frame, from a clean state, as a recogniser hears the same bytes. Raises as SileroModel."""

    async def hear() -> list[float]:
        stream = SileroVoiceActivity(model).open(0)
        return list(await stream.probabilities(np.asarray(pcm[: len(pcm) // VAD_FRAME * VAD_FRAME])))

    return asyncio.run(hear())
