"""Voice activity: Silero (ONNX) in this process, one run for all streams that wait.

Not in Triton: a frame takes 0.1 ms, a call to another process more. A batch gives every stream bit for bit what it
gets alone (tested), so what a stream hears never depends on its neighbours.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from streaming_asr.engine import SAMPLE_RATE, VAD_FRAME, Pcm

CONTEXT = 64  # samples of the frame before, which the model wants to see again
STATE = (2, 128)
MOST_STREAMS = 32

Floats = NDArray[np.float32]


class SileroModel:
    """The network: one 32 ms frame of several streams at a time."""

    def __init__(self, path: Path) -> None:
        """Raises FileNotFoundError or onnxruntime's own error where `path` is no such model."""
        if not path.is_file():
            raise FileNotFoundError(f"voice activity model {path} is missing; set VAD_MODEL to silero_vad.onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._rate = np.array(SAMPLE_RATE, np.int64)

    def step(self, frames: Floats, states: Floats) -> tuple[Floats, Floats]:
        """`frames` [n, 64 + 512] in -1 to 1, `states` [2, n, 128]: probabilities [n] and the states after."""
        speech, after = self._session.run(None, {"input": frames, "state": states, "sr": self._rate})
        return speech[:, 0], after


@dataclass(slots=True)
class _Waiting:
    stream: "SileroStream"
    frames: Floats  # [n, 512]
    done: "asyncio.Future[list[float]]"
    heard: list[float] = field(default_factory=list)


class SileroVoiceActivity:
    """Voice activity of every stream; those that ask in one turn of the loop share a run."""

    def __init__(self, path: Path) -> None:
        """Load the model; raises as SileroModel."""
        self._model = SileroModel(path)
        self._waiting: list[_Waiting] = []

    def open(self, first_sample: int) -> "SileroStream":
        """Voice activity from a clean state; frames begin at `first_sample`, whatever it is."""
        del first_sample  # the model has no clock
        return SileroStream(self)

    async def hear(self, stream: "SileroStream", pcm: Pcm) -> list[float]:
        """Probabilities of the whole frames of `pcm`."""
        if len(pcm) % VAD_FRAME:
            raise ValueError(f"pcm of {len(pcm)} samples is not a multiple of {VAD_FRAME}")
        if not len(pcm):
            return []
        loop = asyncio.get_running_loop()
        frames = (pcm.astype(np.float32) / np.float32(32768)).reshape(-1, VAD_FRAME)
        asked = _Waiting(stream, frames, loop.create_future())
        if not self._waiting:
            loop.call_soon(self._run)
        self._waiting.append(asked)
        return await asked.done

    def _run(self) -> None:
        waiting, self._waiting = self._waiting, []
        for first in range(0, len(waiting), MOST_STREAMS):
            self._run_together(waiting[first : first + MOST_STREAMS])
        for asked in waiting:
            if not asked.done.done():
                asked.done.set_result(asked.heard)

    def _run_together(self, waiting: Sequence[_Waiting]) -> None:
        for number in range(max(len(asked.frames) for asked in waiting)):
            now = [asked for asked in waiting if number < len(asked.frames)]
            inputs = np.stack([np.concatenate([asked.stream.context, asked.frames[number]]) for asked in now])
            speech, after = self._model.step(inputs, np.stack([asked.stream.state for asked in now], axis=1))
            for row, asked in enumerate(now):
                asked.stream.state = after[:, row]
                asked.stream.context = asked.frames[number][-CONTEXT:]
                asked.heard.append(float(speech[row]))


class SileroStream:
    """One stream's state."""

    def __init__(self, voice: SileroVoiceActivity) -> None:
        self._voice = voice
        self.state: Floats = np.zeros(STATE, np.float32)
        self.context: Floats = np.zeros(CONTEXT, np.float32)

    async def probabilities(self, pcm: Pcm) -> Sequence[float]:
        """Speech probability of each 512-sample frame of `pcm`. Raises ValueError on a part of a frame."""
        return await self._voice.hear(self, pcm)
