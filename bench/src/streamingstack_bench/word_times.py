"""When each word of a reference is spoken, from the times of a recogniser that heard the same audio."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from streamingstack_bench.wording import align, tokens


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word as heard offline; times in seconds since the clip's start."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Heard:
    """A clip as heard offline; `words` is empty where no times were asked for."""

    text: str
    words: tuple[TimedWord, ...] = ()


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word of the reference, normalised.

    `start_s` and `end_s` are seconds since the start of the audio; `timed` is False where the recogniser heard no
    counterpart, and the times are then taken from the neighbours: good to know the order, too rough to measure by.
    """

    text: str
    start_s: float
    end_s: float
    timed: bool

    def shifted(self, seconds: float) -> "SpokenWord":
        """The same word in audio that begins `seconds` earlier."""
        return SpokenWord(self.text, self.start_s + seconds, self.end_s + seconds, self.timed)


def spoken_words(reference: str, heard: Sequence[TimedWord], language: str, duration_s: float) -> list[SpokenWord]:
    """Give every word of `reference` a time by laying the words that were heard along it."""
    wanted = tokens(reference, language)
    timed = list(_normalised(heard, language))
    counterpart = {pair.reference: timed[pair.hypothesis] for pair in align(wanted, [word.text for word in timed])}
    spoken: list[SpokenWord] = []
    for index, text in enumerate(wanted):
        if (match := counterpart.get(index)) is not None:
            spoken.append(SpokenWord(text, match.start_s, match.end_s, timed=True))
            continue
        before = max((at for at in counterpart if at < index), default=None)
        after = min((at for at in counterpart if at > index), default=None)
        start = counterpart[before].end_s if before is not None else 0.0
        end = counterpart[after].start_s if after is not None else duration_s
        spoken.append(SpokenWord(text, start, max(start, end), timed=False))
    return spoken


def _normalised(heard: Iterable[TimedWord], language: str) -> Iterable[TimedWord]:
    """One word each by the normaliser; a word that becomes several shares its time among them."""
    for word in heard:
        parts = tokens(word.text, language)
        share = (word.end_s - word.start_s) / max(1, len(parts))
        for index, text in enumerate(parts):
            yield TimedWord(text, word.start_s + index * share, word.start_s + (index + 1) * share)
