"""Where voices are in a recording, by frames of voice activity, and what is spoken between two pauses. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from streaming_asr.engine import VAD_FRAME

from streamingstack_bench.clips import RATE, Programme

FRAME_S = VAD_FRAME / RATE
# What counts as speech for the truth, whatever a session's own threshold is; a click or a breath is shorter.
SPEECH_THRESHOLD = 0.5
SHORTEST_S = 3 * FRAME_S


@dataclass(frozen=True, slots=True)
class Span:
    """Seconds since the first sample."""

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Utterance:
    """What is said without a pause that the recording knows of: from the first voice to the end of the last one."""

    clip: str
    start_s: float
    end_s: float


def voices(probabilities: Sequence[float], threshold: float, shortest_s: float = 0.0) -> list[Span]:
    """Runs of frames at or above `threshold` that are no shorter than `shortest_s`."""
    loud = [False, *(probability >= threshold for probability in probabilities), False]
    edges = [place for place, (before, now) in enumerate(pairwise(loud)) if before != now]
    spans = (Span(begin * FRAME_S, end * FRAME_S) for begin, end in zip(edges[::2], edges[1::2], strict=True))
    return [span for span in spans if span.end_s - span.start_s >= shortest_s - 1e-9]


def silences(heard: Sequence[Span], audio_s: float) -> list[Span]:
    """The silence after each voice; the last one reaches to the end of the audio."""
    ends = [*(voice.start_s for voice in heard[1:]), audio_s]
    return [Span(voice.end_s, end) for voice, end in zip(heard, ends, strict=False)]


def utterances(programme: Programme, speech: Sequence[Span]) -> Iterator[Utterance]:
    """The utterances of a session; `speech` are its voices. A span that the recording knows of without one is none."""
    for clip, begin in zip(programme.clips, programme.starts_s, strict=True):
        for start, end in clip.utterances or ((0.0, clip.duration_s),):
            # A frame lies across the edge of two recordings: it belongs where most of it is.
            own = [voice for voice in speech if start <= (voice.start_s + voice.end_s) / 2 - begin < end]
            if own:
                yield Utterance(clip.name, own[0].start_s, own[-1].end_s)
