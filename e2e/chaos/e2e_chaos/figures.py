"""What a run's records come to: lags, losses by trouble, recovery. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from e2e_chaos.parts import Made
from e2e_chaos.plan import Kind, Part
from e2e_chaos.records import Heard, Lost

# What a session's words pass through; trouble of anything else can lose no stream.
ON_THE_WAY: frozenset[Part] = frozenset(
    {"scripted recogniser", "speech recogniser", "scripted Triton", "speech Triton", "load balancer", "node"}
)


@dataclass(frozen=True)
class Spread:
    """Of some values, in their unit."""

    p50: float
    p95: float
    p99: float
    most: float


def spread(values: Sequence[float]) -> Spread | None:
    """None without a value."""
    if not values:
        return None
    p50, p95, p99 = (float(value) for value in np.percentile(values, [50, 95, 99]))
    return Spread(p50, p95, p99, float(max(values)))


def lags(every: Iterable[Heard]) -> list[float]:
    """Seconds from the end of each word's sound until it was final at the client."""
    return [lag for heard in every for _, lag in heard.lags]


@dataclass(frozen=True)
class Row:
    """All troubles of one kind: how many, what they cost, in seconds. `noticed` is from the trouble to each loss."""

    part: Part
    kind: Kind
    made: int
    lost: int
    noticed: Spread | None
    whole: Spread | None


def rows(made: Sequence[Made], lost: Sequence[Lost]) -> list[Row]:
    """By part and kind. A loss belongs to the last trouble on the way of the audio before it; one for draining to the
    last deletion of a recogniser: its pod goes on for a while before it drains."""
    causes: dict[int, list[float]] = {number: [] for number in range(len(made))}
    for loss in lost:
        number = _cause(made, loss)
        if number is not None:
            causes[number].append(loss.at - made[number].at)
    kinds = sorted({(one.trouble.part, one.trouble.kind) for one in made})
    return [_row(part, kind, made, causes) for part, kind in kinds]


def _row(part: Part, kind: Kind, made: Sequence[Made], causes: dict[int, list[float]]) -> Row:
    numbers = [number for number, one in enumerate(made) if (one.trouble.part, one.trouble.kind) == (part, kind)]
    noticed = [seconds for number in numbers for seconds in causes[number]]
    whole = [one.whole_at - one.at for number in numbers if (one := made[number]).whole_at is not None]
    return Row(part, kind, len(numbers), len(noticed), spread(noticed), spread(whole))


def _cause(made: Sequence[Made], loss: Lost) -> int | None:
    before = [(number, one) for number, one in enumerate(made) if one.at <= loss.at and one.trouble.part in ON_THE_WAY]
    if loss.reason == "draining":
        drained = [
            number for number, one in before if one.trouble.kind == "delete" and "recogniser" in one.trouble.part
        ]
        return drained[-1] if drained else None
    others = [number for number, one in before if one.trouble.kind != "delete"]
    return others[-1] if others else None


def unexplained(made: Sequence[Made], lost: Sequence[Lost]) -> int:
    """Losses before any trouble that could have caused them: a machine too slow for its load."""
    return sum(_cause(made, loss) is None for loss in lost)


def by_second(every: Iterable[Heard], began: float) -> tuple[list[int], list[float], list[float]]:
    """Seconds since `began`, and in each of them the median and the greatest lag of the words that became final."""
    found: dict[int, list[float]] = {}
    for heard in every:
        for at, lag in heard.lags:
            found.setdefault(int(at - began), []).append(lag)
    seconds = sorted(found)
    return seconds, [float(np.median(found[one])) for one in seconds], [max(found[one]) for one in seconds]
