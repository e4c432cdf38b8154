"""From tokens and their alignment to words with times. Pure.

CTranslate2 gives, for one window, the path of Whisper's cross attention: pairs (token, 20 ms frame). A word begins
where the path first reaches its first token and ends where the next word begins.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from streaming_asr.engine import Pcm
from streaming_asr.whisper.guards import words_kept

FRAME = 320  # samples of one encoder frame: 20 ms
PREPENDED = "\"'“¿([{-¡«"
APPENDED = "\"'.。,，!！?？:：”)]}、»…"
# A word is held for this many times the median word at most, where a pause follows it or comes before it.
LONGEST_MEDIAN = 0.7 * 16_000
LONG_WORD = 8_000  # samples: longer ones are looked at for pauses
QUIET_FACTOR, SOFT_FACTOR = 4.0, 0.05
# As much sound behind the last word tells that the model has stopped in mid-speech.
LOST_SOUND = 2 * 16_000


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word inside a window: `start` and `end` in samples from the window's start, `confidence` 0 to 1."""

    text: str
    start: int
    end: int
    confidence: float


def timed_words(
    texts: Sequence[str],
    token_counts: Sequence[int],
    path: Sequence[tuple[int, int]],
    probabilities: Sequence[float],
    pcm: Pcm,
) -> list[TimedWord]:
    """Words with times, inside `pcm`, the heard audio.

    `texts` and `token_counts` are the words as the tokenizer splits them, without the end token; `path` is the
    alignment of all their tokens and the end token; `probabilities` are those of the tokens.
    """
    reached: dict[int, int] = {}
    for token, frame in path:
        reached.setdefault(token, frame)
    samples = len(pcm)
    words = []
    first = 0
    for text, count in zip(texts, token_counts, strict=True):
        after = first + count
        start, end = reached.get(first, 0) * FRAME, reached.get(after, samples // FRAME) * FRAME
        confidence = float(np.mean(probabilities[first:after])) if probabilities[first:after] else 0.0
        words.append(TimedWord(text, min(start, samples), min(max(end, start), samples), confidence))
        first = after
    joined = _joined(words)
    kept = words_kept([word.text for word in joined], [(word.start, word.end) for word in joined])
    return _shortened(_with_length(_where_sound_is(joined[:kept], sounding(pcm))))


def _joined(words: Sequence[TimedWord]) -> list[TimedWord]:
    """Punctuation and what follows without a space join the word before; opening punctuation the word behind."""
    spaced = any(word.text.startswith(" ") for word in words)
    joined: list[TimedWord] = []
    opening = ""
    for word in words:
        bare = word.text.strip()
        if not bare:
            continue
        attached = joined and not opening and not word.text.startswith(" ")
        if attached and all(sign in APPENDED for sign in bare):
            joined[-1] = replace(joined[-1], text=joined[-1].text + bare)
        elif attached and spaced:
            confidence = (joined[-1].confidence + word.confidence) / 2
            joined[-1] = TimedWord(joined[-1].text + bare, joined[-1].start, word.end, confidence)
        elif all(sign in PREPENDED for sign in bare):
            opening += bare
        elif any(sign.isalnum() for sign in bare):
            joined.append(replace(word, text=opening + bare))
            opening = ""
    return joined


def sounding(pcm: Pcm) -> NDArray[np.bool_]:
    """Which 20 ms frames of `pcm` are far louder than the quietest and not far softer than the loudest."""
    frames = pcm[: len(pcm) // FRAME * FRAME].reshape(-1, FRAME).astype(np.float32)
    if not len(frames):
        return np.zeros(0, np.bool_)
    level = np.sqrt(np.mean(frames**2, axis=1))
    quiet, loud = np.percentile(level, [10, 95])
    heard: NDArray[np.bool_] = level >= max(min(QUIET_FACTOR * quiet, loud / 2), loud * SOFT_FACTOR)
    return heard


def lost_sound(words: Sequence[TimedWord], pcm: Pcm) -> bool:
    """Whether much of `pcm` sounds, and none of the words are there: behind the last one, or anywhere without any."""
    after = words[-1].end // FRAME if words else 0
    return int(np.count_nonzero(sounding(pcm)[after:])) * FRAME >= LOST_SOUND


def goes_on(words: Sequence[TimedWord], others: Sequence[TimedWord]) -> bool:
    """Whether `words` reach so much further than `others` that those have stopped in mid-speech."""
    return bool(words) and words[-1].end - (others[-1].end if others else 0) >= LOST_SOUND // 2


def _where_sound_is(words: Sequence[TimedWord], sound: NDArray[np.bool_]) -> list[TimedWord]:
    """Takes pauses from long words: the alignment spreads a word over the silence before it or behind it."""
    placed: list[TimedWord] = []
    after = len(sound) * FRAME
    for word in reversed(words):
        placed.append(_without_pause(word, sound, after) if word.end - word.start > LONG_WORD else word)
        after = placed[-1].start
    return placed[::-1]


def _without_pause(word: TimedWord, sound: NDArray[np.bool_], after: int) -> TimedWord:
    """The word where its sound is; without any, right before the next one, which starts at `after`."""
    first = word.start // FRAME
    frames = np.flatnonzero(sound[first : -(-word.end // FRAME)])
    if len(frames):
        start, end = (first + int(frames[0])) * FRAME, (first + int(frames[-1]) + 1) * FRAME
        return replace(word, start=max(word.start, start), end=min(word.end, end))
    start = max(word.start, after - LONG_WORD // 2)
    return replace(word, start=start, end=max(start, min(after, start + LONG_WORD // 2)))


def _with_length(words: Sequence[TimedWord]) -> list[TimedWord]:
    """A word of no length takes the gap before it, or half of the word there: attention often lights up late."""
    lengthened: list[TimedWord] = []
    for word in words:
        if word.end > word.start or not lengthened:
            lengthened.append(word)
            continue
        before = lengthened[-1]
        if before.end >= word.start:
            before = lengthened[-1] = replace(before, end=(before.start + before.end) // 2)
        lengthened.append(replace(word, start=min(before.end, word.end)))
    return lengthened


def _shortened(words: Sequence[TimedWord]) -> list[TimedWord]:
    """Long words lose the pause that the alignment gave them.

    The first word of a window and a word after a full stop lose their beginning, others their end.
    """
    durations = [word.end - word.start for word in words if word.end > word.start]
    if not durations:
        return list(words)
    longest = int(2 * min(LONGEST_MEDIAN, float(np.median(durations))))
    kept = []
    after_pause = True
    for word in words:
        start, end = word.start, word.end
        if end - start > longest:
            start, end = (end - longest, end) if after_pause else (start, start + longest)
        kept.append(replace(word, start=start, end=end))
        after_pause = word.text[-1] in ".。!！?？"
    return kept
