"""What a walk is."""

from dataclasses import dataclass

from asr_contract.testing.steps import Step, word


@dataclass(frozen=True, slots=True)
class Walk:
    """The streams of one session, and the text of its segments that have any, in order."""

    streams: tuple[tuple[Step, ...], ...]
    segments: tuple[str, ...]


GOOD, MORNING = word("Good", 500, 800, 0), word("morning.", 850, 1280, 1)
