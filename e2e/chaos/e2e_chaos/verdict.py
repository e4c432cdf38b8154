"""Judges what sessions heard against what was said: words lost, doubled, sessions cut. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import jiwer
from whisper_normalizer.english import EnglishTextNormalizer

from e2e_chaos.records import Heard, Word

_normal = EnglishTextNormalizer()


@dataclass(frozen=True)
class Verdict:
    """Over some sessions. `lost` and `doubled` are words that were said and not heard, and heard and not said;
    `changed` were heard as another word; `moved_ms` is the most that a word's start lay from where it was said."""

    sessions: int = 0
    cut: int = 0
    words: int = 0
    lost: int = 0
    doubled: int = 0
    changed: int = 0
    moved_ms: int = 0
    examples: tuple[str, ...] = ()

    def __add__(self, other: "Verdict") -> "Verdict":
        return Verdict(
            self.sessions + other.sessions,
            self.cut + other.cut,
            self.words + other.words,
            self.lost + other.lost,
            self.doubled + other.doubled,
            self.changed + other.changed,
            max(self.moved_ms, other.moved_ms),
            self.examples + other.examples,
        )

    @property
    def is_clean(self) -> bool:
        """Whether every session ended as asked and heard every word once, where it was said."""
        return not (self.cut or self.lost or self.doubled or self.changed)


def said_before(words: Sequence[Word], seconds: float) -> list[Word]:
    """What of a script is said in the first `seconds` of audio."""
    return [word for word in words if word.start_ms < 1000 * seconds]


def judge(heard: Heard, said: Sequence[Word]) -> Verdict:
    """One session against all that was said in it; a session that was cut also counts its missing words as lost."""
    found = _compared([word.text for word in said], [word.text for word in heard.words], heard.name)
    same = len(said) == len(heard.words) and not (found.lost or found.doubled or found.changed)
    moved = [abs(a.start_ms - b.start_ms) for a, b in zip(said, heard.words, strict=False)] if same else []
    told = () if heard.is_whole else (f"{heard.name}: cut after {heard.sent_s:.0f} s: {heard.code} {heard.reason}",)
    return found + Verdict(1, int(not heard.is_whole), 0, moved_ms=max(moved, default=0), examples=told)


def judge_all(every: Sequence[Heard], said: Sequence[Word], seconds: float) -> Verdict:
    """Sessions that played the same script for `seconds`."""
    wanted = said_before(said, seconds)
    return sum((judge(heard, wanted) for heard in every), Verdict())


def compare(heard: Heard, calm: Heard) -> Verdict:
    """Real speech against the same audio in a calm run, both normalised: nobody knows what a model has to hear."""
    found = _compared(_plain(calm), _plain(heard), heard.name)
    return found + Verdict(1, int(not heard.is_whole))


def word_error_rate(heard: Heard, reference: str) -> float:
    """Edits per word of what was said, both normalised."""
    return float(jiwer.wer(_normal(reference), " ".join(_plain(heard)) or "-"))


def _plain(heard: Heard) -> list[str]:
    return str(_normal(" ".join(word.text for word in heard.words))).split()


def _compared(said: Sequence[str], heard: Sequence[str], name: str) -> Verdict:
    if list(said) == list(heard):
        return Verdict(words=len(said))
    if not said or not heard:
        return Verdict(words=len(said), lost=len(said), doubled=len(heard), examples=(f"{name}: nothing to compare",))
    aligned = jiwer.process_words(" ".join(said), " ".join(heard))
    examples = tuple(
        f"{name}: {chunk.type} at word {chunk.ref_start_idx} of {len(said)}, {chunk.ref_end_idx - chunk.ref_start_idx} "
        f"for {chunk.hyp_end_idx - chunk.hyp_start_idx}"
        for chunk in aligned.alignments[0]
        if chunk.type != "equal"
    )
    return Verdict(
        words=len(said),
        lost=aligned.deletions,
        doubled=aligned.insertions,
        changed=aligned.substitutions,
        examples=examples,
    )
