"""Whisper inside Triton's Python backend: groups one Triton batch, runs the groups on idle workers, answers each."""

import json
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from streaming_asr.engine import SAMPLE_RATE
from streaming_asr.triton.tensors import answer, read, refuse, respond
from streaming_asr.whisper.groups import each, split_evenly, together
from streaming_asr.whisper.model import Heard, Request, WhisperModel
from streaming_asr.whisper.settings import settings_from
from streaming_asr.whisper.words import TimedWord
from streaming_asr.windows import padded

MOST_TOGETHER = 8  # windows of one generation: beyond it the gain is gone and the wait grows


@dataclass(frozen=True, slots=True)
class _Asked:
    request: Request
    sender: Any


class WhisperServing:
    """What Triton calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the weights and warm every worker; an error here keeps the model from being ready."""
        settings = settings_from(os.environ, "cuda" if args["model_instance_kind"] == "GPU" else "cpu")
        self._model = WhisperModel(settings)
        self._workers = settings.workers
        self._idle = threading.Semaphore(settings.workers)
        self._pool = ThreadPoolExecutor(settings.workers, thread_name_prefix="whisper")
        silence = np.zeros(SAMPLE_RATE, np.int16)
        warm = Request(padded(silence), len(silence))
        list(self._pool.map(lambda _: self._model.decode([warm]), range(settings.workers)))

    def execute(self, requests: Sequence[Any]) -> None:
        """Start every request's decode; returns as soon as a worker is idle, so that the next batch gathers meanwhile.

        Responses leave through the requests' senders when their group is done.
        """
        asked = []
        for request in requests:
            sender = request.get_response_sender()
            try:
                asked.append(_Asked(_read(request), sender))
            except ValueError as wrong:
                refuse(sender, str(wrong))
        groups = together(asked, lambda one: self._model.shape(one.request))
        for group in split_evenly(groups, self._workers, MOST_TOGETHER):
            self._idle.acquire()
            self._pool.submit(self._answer, group)
        self._idle.acquire()
        self._idle.release()

    def finalize(self) -> None:
        """Let what runs end."""
        self._pool.shutdown()

    def _answer(self, group: Sequence[_Asked]) -> None:
        try:
            for one, heard in each(lambda asked: self._model.decode([a.request for a in asked]), group):
                if isinstance(heard, Exception):
                    refuse(one.sender, f"{type(heard).__name__}: decode failed")
                else:
                    answer(one.sender, respond("HEARD", _reply(heard), np.uint8))
        finally:
            self._idle.release()


def _read(request: Any) -> Request:
    """The request of one window; raises ValueError naming the input that is wrong."""
    pcm, samples = read(request, "PCM"), int(read(request, "SAMPLES")[0])
    steering = json.loads(read(request, "STEERING").tobytes())
    if not 0 < samples <= len(pcm):
        raise ValueError(f"SAMPLES is {samples}, but PCM has {len(pcm)}")
    return Request(
        pcm=pcm,
        samples=samples,
        languages=tuple(steering.get("languages", ())),
        allowed=tuple(steering.get("allowed", ())),
        prompt=steering.get("prompt", ""),
        keyterms=tuple(steering.get("keyterms", ())),
        tentative=bool(steering.get("tentative", False)),
    )


def _reply(heard: Heard) -> bytes:
    reply = {
        "words": _spelt(heard.words),
        "language": heard.language,
        "language_confidence": round(heard.language_confidence, 4),
        "doubted": _spelt(heard.doubted),
    }
    return json.dumps(reply, ensure_ascii=False, separators=(",", ":")).encode()


def _spelt(words: Sequence[TimedWord]) -> list[tuple[str, int, int, float]]:
    return [(word.text, word.start, word.end, round(word.confidence, 4)) for word in words]
