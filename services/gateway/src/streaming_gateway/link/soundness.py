"""What no message of a recogniser may hold, because a client would be shown it. Pure."""

import math
from collections.abc import Sequence
from itertools import chain

from asr_contract.clock import ms_to_samples
from streamingstack.asr.v1 import recognizer_pb2 as pb


def unsound(response: pb.RecognizeResponse, audio_end: int) -> str | None:
    """What is wrong with `response`, free of anything spoken; None where nothing is.

    `audio_end`: position in samples of the end of the audio received. Order, indices and segments are the books' to
    judge: those they can mend. What is named here they cannot.
    """
    match response.WhichOneof("message"):
        case "speech_started":
            started = response.speech_started
            return _judge([], [started.confidence], started.at_sample, audio_end)
        case "words":
            words = response.words
            return _judge([*words.final, *words.tentative], [words.eot_score], 0, audio_end)
        case "checkpoint" | "finalized" as kind:
            if kind == "checkpoint" and ms_to_samples(response.checkpoint.silence_ms) > response.checkpoint.at_sample:
                return "a silence that is longer than the audio before it"
            closing: pb.Checkpoint | pb.Finalized = getattr(response, kind)
            scores = [closing.eot_score, closing.language_confidence]
            return _judge(closing.words, scores, closing.at_sample, audio_end)
        case "progress":
            return _judge([], [response.progress.max_speech_probability], 0, audio_end)
    return None


def _judge(words: Sequence[pb.Word], scores: Sequence[float], at_sample: int, audio_end: int) -> str | None:
    if any(math.isnan(score) for score in chain(scores, (word.confidence for word in words))):
        return "a score that is no number"
    if any(not word.text.strip() for word in words):
        return "a word without text"
    if any(not word.start_sample <= word.end_sample <= audio_end for word in words):
        return "a word that ends before it begins, or beyond the audio"
    return "an event beyond the audio" if at_sample > audio_end else None
