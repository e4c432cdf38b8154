"""Texts as comparable words, and how two of them differ."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal

import jiwer
from whisper_normalizer.basic import BasicTextNormalizer
from whisper_normalizer.english import EnglishTextNormalizer

Tokens = tuple[str, ...]


@cache
def _normaliser(english: bool) -> Callable[[str], str]:
    normaliser: Callable[[str], str] = EnglishTextNormalizer() if english else BasicTextNormalizer()
    return normaliser


@lru_cache(maxsize=65536)
def tokens(text: str, language: str) -> Tokens:
    """The words of `text` by Whisper's normaliser: the English one for `en`, the basic one for every other language."""
    return tuple(_normaliser(language == "en")(text).split())


@dataclass(frozen=True, slots=True)
class Pair:
    """A place where two texts were laid side by side; `reference` and `hypothesis` are indices of words."""

    reference: int
    hypothesis: int
    equal: bool


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> list[Pair]:
    """Lay `hypothesis` along `reference` with the fewest edits: pairs of equal and of substituted words, in order."""
    return list(_pairs(_compare(reference, hypothesis)))


def _compare(reference: Sequence[str], hypothesis: Sequence[str]) -> jiwer.WordOutput:
    return jiwer.process_words(" ".join(reference), " ".join(hypothesis))


def _pairs(output: jiwer.WordOutput) -> Iterator[Pair]:
    for chunk in output.alignments[0]:
        if chunk.type in ("equal", "substitute"):
            for offset in range(chunk.ref_end_idx - chunk.ref_start_idx):
                yield Pair(chunk.ref_start_idx + offset, chunk.hyp_start_idx + offset, chunk.type == "equal")


@dataclass(frozen=True, slots=True)
class Edit:
    """One step from a reference to a hypothesis, at index `at` of the reference; "" on the side that lacks the word."""

    kind: Literal["insertion", "deletion", "substitution"]
    at: int
    reference: str
    hypothesis: str


def edits(reference: Sequence[str], hypothesis: Sequence[str]) -> list[Edit]:
    """The fewest edits from one to the other, in order, each on its own."""
    found = []
    for chunk in _compare(reference, hypothesis).alignments[0]:
        old, new = range(chunk.ref_start_idx, chunk.ref_end_idx), range(chunk.hyp_start_idx, chunk.hyp_end_idx)
        if chunk.type == "substitute":
            found += [Edit("substitution", a, reference[a], hypothesis[b]) for a, b in zip(old, new, strict=True)]
        elif chunk.type == "delete":
            found += [Edit("deletion", a, reference[a], "") for a in old]
        elif chunk.type == "insert":
            found += [Edit("insertion", chunk.ref_start_idx, "", hypothesis[b]) for b in new]
    return found


@dataclass(frozen=True, slots=True)
class WordErrors:
    """Edits from a reference to a hypothesis, counted in words."""

    words: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    @property
    def edits(self) -> int:
        """All of them."""
        return self.substitutions + self.deletions + self.insertions

    def __add__(self, other: "WordErrors") -> "WordErrors":
        return WordErrors(
            self.words + other.words,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )


def word_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> WordErrors:
    """Count the edits; the reference may be empty."""
    output = _compare(reference, hypothesis)
    return WordErrors(len(reference), output.substitutions, output.deletions, output.insertions)
