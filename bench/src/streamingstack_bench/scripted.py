"""A recogniser that hears what a script says: the real stream core and gRPC server, with neither model nor microphone.

Exact tests of turns and of failover need words that are known in advance, and load on the gateway needs a recogniser
that costs next to nothing. Only the clock of the audio matters here, its content only to a script that is `coded`.
"""

import asyncio
import contextlib
import json
from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import cycle
from pathlib import Path
from typing import Any

from streaming_asr.engine import SAMPLE_RATE, VAD_FRAME, HeardWord, Hypothesis, Pcm, VoiceStream, Window
from streaming_asr.server import RecogniserServer, Serving, serve_recogniser

from streamingstack_bench.coded_audio import is_coded

PER_MS = SAMPLE_RATE // 1000
VOICE, SILENCE = 0.95, 0.02
OTHER_AUDIO = "(other-audio)"  # heard in place of every word in a window of wrong audio
ROUTES = frozenset({"en-default", "ml-default", "u3-pro", "universal-3-5-pro"})


@dataclass(frozen=True, slots=True)
class ScriptWord:
    """A word as spoken: times in milliseconds since the session's first byte.

    `voice` is the speech probability of its frames. A word that may be `misheard` is, where neither keyterms nor the
    prompt hold it.
    """

    text: str
    start_ms: int
    end_ms: int
    confidence: float = 0.9
    voice: float = VOICE
    misheard: str = ""

    def heard_in(self, window: Window) -> str:
        """The word as it is heard in a window that is steered so."""
        named = self.text in window.keyterms or self.text in window.prompt
        return self.misheard if self.misheard and not named else self.text


@dataclass(frozen=True)
class Script:
    """What is spoken, in order, and how finished the speaker sounds after it.

    `eot_scores` maps the index of a word to the end-of-turn score while it is the last one heard; other words
    score `eot_score`. A `coded` script is heard in the audio of `coded_audio` alone: any sample that does not belong
    to its position changes what is heard, and where voices are. Looking up a place takes no longer in an hour of words
    than in a sentence.
    """

    words: Sequence[ScriptWord]
    eot_score: float = 0.1
    eot_scores: dict[int, float] | None = None
    language: str = "en"
    language_confidence: float = 0.97
    coded: bool = False

    @classmethod
    def of(cls, text: str, *, start_ms: int = 500, word_ms: int = 300, gap_ms: int = 40, **more: Any) -> "Script":
        """Evenly spoken words; a `|` in the text is one second of silence."""
        words, at = [], start_ms
        for piece in text.split():
            if piece == "|":
                at += 1000
                continue
            words.append(ScriptWord(piece, at, at + word_ms))
            at += word_ms + gap_ms
        return cls(words, **more)

    @classmethod
    def load(cls, path: Path) -> "Script":
        """From JSON as written by `dump`."""
        raw = json.loads(path.read_text())
        scores = {int(key): value for key, value in (raw.pop("eot_scores") or {}).items()}
        return cls(words=[ScriptWord(**word) for word in raw.pop("words")], eot_scores=scores, **raw)

    def dump(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(json.dumps(asdict(self)))

    def score_at(self, sample: int) -> float:
        """End-of-turn score when the audio up to `sample` was heard."""
        last = bisect_right(self._ends, sample) - 1
        return (self.eot_scores or {}).get(last, self.eot_score)

    def between(self, begin: int, end: int) -> slice:
        """Which words start in `[begin, end)`, positions in samples."""
        return slice(bisect_left(self._starts, begin), bisect_left(self._starts, end))

    @cached_property
    def _starts(self) -> list[int]:
        return [word.start_ms * PER_MS for word in self.words]

    @cached_property
    def _ends(self) -> list[int]:
        return [word.end_ms * PER_MS for word in self.words]


def shifted(words: Sequence[ScriptWord], shifts_ms: Sequence[int]) -> list[ScriptWord]:
    """The words as another decode may time them: starts and ends in turn moved by `shifts_ms`, over and over; in order
    still, and never before the first byte."""
    if not shifts_ms:
        return list(words)
    moves, floor, moved = cycle(shifts_ms), 0, []
    for word in words:
        start = max(floor, word.start_ms + next(moves))
        floor = max(start, word.end_ms + next(moves))
        moved.append(replace(word, start_ms=start, end_ms=floor))
    return moved


class ScriptedVoice:
    """Voice activity of a script: a frame has a voice when a word covers its middle, or a pause under 120 ms does."""

    def __init__(self, script: Script) -> None:
        self._edges: list[int] = []  # where a voice begins and where it ends, in turn
        self._levels: list[float] = []  # of each voice
        self._coded = script.coded
        for word in script.words:
            start, end = word.start_ms * PER_MS, word.end_ms * PER_MS
            joined = bool(self._edges) and start - self._edges[-1] < 120 * PER_MS
            if joined and word.voice == self._levels[-1]:
                self._edges[-1] = max(end, self._edges[-1])
                continue
            if joined:
                self._edges[-1] = start
            self._edges += [start, end]
            self._levels.append(word.voice)

    def open(self, first_sample: int) -> VoiceStream:
        """A stream's voice activity from a position on."""
        return _ScriptedVoiceStream(self._edges, self._levels, first_sample, coded=self._coded)


class _ScriptedVoiceStream:
    def __init__(self, edges: list[int], levels: list[float], first_sample: int, *, coded: bool) -> None:
        self._edges, self._levels, self._at, self._coded = edges, levels, first_sample, coded
        self._astray = False  # after one wrong sample, voices and silences are exchanged for good

    async def probabilities(self, pcm: Pcm) -> Sequence[float]:
        self._astray |= self._coded and not is_coded(pcm, self._at)
        first = self._at + VAD_FRAME // 2
        middles = range(first, first + len(pcm) // VAD_FRAME * VAD_FRAME, VAD_FRAME)
        self._at += len(middles) * VAD_FRAME
        return [self._level(bisect_right(self._edges, middle)) for middle in middles]

    def _level(self, edges_before: int) -> float:
        voice = edges_before % 2 == 1
        if self._astray:
            return SILENCE if voice else VOICE
        return self._levels[edges_before // 2] if voice else SILENCE


class ScriptedEngine:
    """Hears the words that begin inside the window; one that the window's end cuts is heard up to there."""

    def __init__(self, script: Script, *, delay_seconds: float = 0.0, shifts_ms: Sequence[int] = ()) -> None:
        """`delay_seconds` is how long each decode takes; `shifts_ms` how far off each word is heard, see `shifted`."""
        self._script, self._delay = script, delay_seconds
        self._words = shifted(script.words, shifts_ms)

    async def decode(self, window: Window) -> Hypothesis:
        """The script's words inside the window, in the first language that it is steered to, else the script's."""
        if self._delay:
            await asyncio.sleep(self._delay)
        begin, end = window.first_sample, window.first_sample + len(window.pcm)
        wrong = self._script.coded and not is_coded(window.pcm, begin)
        heard = tuple(
            HeardWord(
                OTHER_AUDIO if wrong else word.heard_in(window),
                max(begin, word.start_ms * PER_MS),
                min(word.end_ms * PER_MS, end),
                word.confidence,
            )
            # However it is timed, what is spoken in the window is heard in it, and never sooner than it is spoken.
            for word in self._words[self._script.between(begin, end)]
            if word.start_ms * PER_MS < end
        )
        spoken = next(iter(window.language_codes), self._script.language)
        return Hypothesis(heard, spoken, self._script.language_confidence)

    async def glimpse(self, window: Window) -> Hypothesis | None:
        """As decode."""
        return await self.decode(window)

    async def end_of_turn(self, window: Window) -> float:
        """The script's score."""
        return self._script.score_at(window.first_sample + len(window.pcm))


@contextlib.asynccontextmanager
async def serve_scripted(
    script: Script,
    *,
    port: int = 0,
    capacity: int = 28,
    replacing: bool = False,
    delay_seconds: float = 0.0,
    routes: frozenset[str] = ROUTES,
    left_context_ms: int = 3000,
    host: str = "127.0.0.1",
) -> AsyncIterator[RecogniserServer]:
    """A scripted recogniser inside this process; its `port` is the bound one."""
    serving = Serving(routes, capacity, replacing=replacing, left_context_ms=left_context_ms, host=host, port=port)
    engine = ScriptedEngine(script, delay_seconds=delay_seconds)
    async with serve_recogniser(serving, engine, ScriptedVoice(script)) as server:
        yield server


if __name__ == "__main__":
    from streamingstack_bench.scripted_command import app

    app()
