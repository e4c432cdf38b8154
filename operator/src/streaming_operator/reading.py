"""One pod's own words, and whether those of a stack's pods moved enough to look at it again. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from streaming_operator.seen import Seen

NOTABLE = 0.1


@dataclass(frozen=True)
class Reading:
    """One pod's own words. Sessions or streams; None where it did not say."""

    active: int | None = None
    capacity: int | None = None
    license_state: str | None = None
    trust_expiration: datetime | None = None
    backlog: int | None = None
    # Of the model store: digest of each model that is there, and why others are not.
    digests: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)


Summary = dict[str, tuple[object, ...]]


def summary(readings: Iterable[tuple[Seen, Reading | None]]) -> Summary:
    """What a stack's readings come to: by component or pool, counts and states."""
    sums: dict[str, list[int]] = {}
    states: dict[str, set[object]] = {}
    for pod, reading in readings:
        if reading is None:
            continue
        where = pod.pool or pod.component
        counts = sums.setdefault(where, [0, 0])
        counts[0] += (reading.active or 0) + (reading.backlog or 0)
        counts[1] += reading.capacity or 0
        told = (reading.license_state, tuple(sorted(reading.digests.items())), tuple(sorted(reading.errors.items())))
        states.setdefault(where, set()).add(told)
    return {where: (*counts, frozenset(states[where])) for where, counts in sums.items()}


def has_news(told: Summary | None, now: Summary) -> bool:
    """Whether to look at the stack at once: other parts that speak, or another state of one."""
    if told is None or told.keys() != now.keys():
        return True
    return any(states != told[where][2] for where, (_, _, states) in now.items())


def is_notable(told: Summary | None, now: Summary) -> bool:
    """Whether to look at the stack: news, a count to or from zero, or one that moved by a tenth."""
    if told is None or has_news(told, now):
        return True
    return any(
        _moved(told[where][0], active) or _moved(told[where][1], capacity)
        for where, (active, capacity, _) in now.items()
    )


def _moved(before: object, now: object) -> bool:
    if not isinstance(before, int) or not isinstance(now, int):
        return before != now
    if (before == 0) != (now == 0):
        return True
    return abs(now - before) > NOTABLE * before
