"""One pod's own words over the last minute, and what was refused in it. Pure: time is an argument, in seconds."""

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from metrics_adapter.catalogue import Part

# "refused in the last minute"
WINDOW_SECONDS = 60.0
_MOST = 1e9


@dataclass(frozen=True)
class Sample:
    """What a pod said at one moment: `at` is monotonic, `taken` the time of day.

    `refused` is its counter of those that another pod would have spared, None where it never refused any.
    """

    at: float
    taken: datetime
    active: int
    capacity: int
    refused: Mapping[str, float] = field(default_factory=dict)
    draining: bool = False


def read_sample(text: str, part: Part, at: float, taken: datetime) -> Sample:
    """The sample in Prometheus' text format. Raises ValueError where what matters is missing or no count."""
    found: dict[str, list[tuple[str, float]]] = {}
    for match in _pattern(part).finditer(text):
        found.setdefault(match["name"], []).append((match["labels"] or "", float(match["value"])))
    return Sample(
        at=at,
        taken=taken,
        active=_count(part.active, found),
        capacity=_count(part.capacity, found),
        refused=_crowded(part, found.get(part.refused, [])),
        draining=sum(value for _, value in found.get(part.draining, [])) > 0,
    )


_patterns: dict[str, re.Pattern[str]] = {}


def _pattern(part: Part) -> re.Pattern[str]:
    """Lines of the four series that matter: nearly all others are histograms' buckets."""
    if part.component not in _patterns:
        series = (part.active, part.capacity, part.refused, part.draining)
        names = "|".join(map(re.escape, series))
        _patterns[part.component] = re.compile(
            rf"^(?P<name>{names})(?:\{{(?P<labels>[^}}\n]*)\}})? (?P<value>[0-9.eE+-]+)(?: -?\d+)?\r?$", re.MULTILINE
        )
    return _patterns[part.component]


def _count(name: str, found: Mapping[str, list[tuple[str, float]]]) -> int:
    if name not in found:
        raise ValueError(f"the pod does not export {name}")
    value = sum(value for _, value in found[name])
    if not 0 <= value <= _MOST:
        raise ValueError(f"{name} is no count: {value}")
    return int(value)


_REASON = re.compile(r'(?:^|,)\s*reason="((?:[^"\\]|\\.)*)"')


def _crowded(part: Part, series: list[tuple[str, float]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for labels, value in series:
        reason = _REASON.search(labels)
        if reason and reason[1] in part.crowded and 0 <= value <= _MOST:
            found[reason[1]] = found.get(reason[1], 0.0) + value
    return found


class History:
    """The samples of one pod, not much more than a window of them."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque()

    def add(self, sample: Sample) -> None:
        """A newer sample."""
        self._samples.append(sample)
        # One from before the window stays: what was refused since then began at its count.
        while len(self._samples) > 2 and self._samples[1].at <= sample.at - WINDOW_SECONDS:
            self._samples.popleft()

    def fresh(self, now: float, stale_after: float) -> Sample | None:
        """The last sample; None where it is too old to speak for the pod."""
        last = self._samples[-1] if self._samples else None
        return last if last is not None and now - last.at <= stale_after else None

    def refused(self, now: float) -> float:
        """Refused in the last minute, over all reasons.

        The first sample only sets the mark: nobody knows when what it counts was refused. A counter that fell began
        anew (the container restarted), and what it shows is since then. Samples further apart than the window say
        nothing: what they count may lie before it. An increase that began before the window counts by its share within.
        """
        total = 0.0
        samples = iter(self._samples)
        before = next(samples, None)
        for after in samples:
            assert before is not None
            if after.at > now - WINDOW_SECONDS and after.at - before.at <= WINDOW_SECONDS:
                total += _increase(before.refused, after.refused) * _share(before.at, after.at, now - WINDOW_SECONDS)
            before = after
        return total


def _increase(before: Mapping[str, float], after: Mapping[str, float]) -> float:
    increase = 0.0
    for reason, value in after.items():
        old = before.get(reason, 0.0)
        increase += value - old if value >= old else value
    return increase


def _share(begin: float, end: float, since: float) -> float:
    """How much of the time between two samples lies after `since`."""
    if begin >= since:
        return 1.0
    return (end - since) / (end - begin)
