"""Smart Turn v3 (ONNX): the probability that a speaker has finished, from the last 8 s of audio.

Runs inside Triton's Python backend. Environment: SMART_TURN_MODEL, the .onnx file.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import NDArray

from streaming_asr.engine import SAMPLE_RATE, Pcm

SECONDS = 8
SAMPLES = SECONDS * SAMPLE_RATE


class SmartTurn:
    """The network, loaded."""

    def __init__(self, path: Path) -> None:
        """Raises FileNotFoundError or onnxruntime's own error where `path` is no such model."""
        if not path.is_file():
            raise FileNotFoundError(f"SMART_TURN_MODEL={path} is missing; set it to smart_turn.onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._features = FeatureExtractor(chunk_length=SECONDS)

    def scores(self, turns: Sequence[Pcm]) -> list[float]:
        """Probability of the end of a turn for each recording, 0 to 1.

        One by one: on a processor a batch costs more than its members (0.10 s against 0.05 s each).
        """
        return [float(self._session.run(None, {"input_features": self._input(pcm)[None]})[0].item()) for pcm in turns]

    def _input(self, pcm: Pcm) -> NDArray[np.float32]:
        """Log-mel features [80, 800] of the last 8 s, silence before shorter ones, as the model was trained."""
        audio = np.zeros(SAMPLES, np.float32)
        last = pcm[-SAMPLES:].astype(np.float32) / 32768
        audio[SAMPLES - len(last) :] = last
        audio = (audio - audio.mean()) / np.sqrt(audio.var() + 1e-7)
        features: NDArray[np.float32] = self._features(audio, padding=0).astype(np.float32)
        return features


class SmartTurnServing:
    """What Triton calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load and warm the model; an error here keeps it from being ready."""
        self._model = SmartTurn(Path(os.environ.get("SMART_TURN_MODEL", "")))
        self._model.scores([np.zeros(SAMPLE_RATE, np.int16)])

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """One score for each request."""
        # Imported here: only Triton's processes have it, and the network above is of use without.
        from streaming_asr.triton.tensors import read, respond

        scores = self._model.scores([read(request, "PCM") for request in requests])
        return [respond("SCORE", [score], np.float32) for score in scores]
