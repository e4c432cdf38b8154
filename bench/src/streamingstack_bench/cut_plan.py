"""Where recognisers are lost in a run of the cut bench: a plan that a seed repeats. Pure."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Blow(StrEnum):
    """What happens to the recogniser that carries the session."""

    KILL = "SIGKILL"
    FREEZE = "SIGSTOP"
    DRAIN = "drain"
    ENGINE = "Triton killed"


@dataclass(frozen=True, slots=True)
class Cut:
    """A blow when `at_s` seconds of the recording have been sent."""

    clip: str
    at_s: float
    blow: Blow


# What was struck needs this long to be back, and two recognisers are there in all.
APART_S = 14.0
# Not in the first moments, where nothing was said, nor at the very end, where nothing is left to be lost.
_FIRST, _LAST = 0.12, 0.92


def plan_cuts(durations_s: Mapping[str, float], count: int, seed: int) -> list[Cut]:
    """`count` cuts spread over the recordings, every blow as often as the others; in the order of the recordings.

    Every recording is cut once before any is cut twice, and then the longest first. Raises ValueError where they are
    too short for so many.
    """
    dice = random.Random(seed)  # noqa: S311 - a plan, not a secret
    blows = [list(Blow)[n % len(Blow)] for n in range(count)]
    dice.shuffle(blows)
    shares = _shares(durations_s, count, dice)
    cuts: list[Cut] = []
    for clip, duration in durations_s.items():
        for at in _moments(duration, shares[clip], dice):
            cuts.append(Cut(clip, round(at, 3), blows[len(cuts)]))
    return cuts


def _shares(durations_s: Mapping[str, float], count: int, dice: random.Random) -> dict[str, int]:
    """How often each recording is cut."""
    shares = dict.fromkeys(durations_s, 0)
    order = list(durations_s)
    dice.shuffle(order)
    order.sort(key=lambda clip: -most_cuts(durations_s[clip]))
    for turn in range(1, 1 + max(map(most_cuts, durations_s.values()), default=0)):
        for clip in order:
            if sum(shares.values()) < count and most_cuts(durations_s[clip]) >= turn:
                shares[clip] += 1
    if (planned := sum(shares.values())) < count:
        raise ValueError(f"--cuts {count}: these recordings have room for {planned}; give more or longer ones")
    return shares


def most_cuts(duration_s: float) -> int:
    """How many cuts a recording has room for."""
    return 1 + int((_LAST - _FIRST) * duration_s / APART_S)


def _moments(duration_s: float, count: int, dice: random.Random) -> list[float]:
    """`count` moments, APART_S from each other at least, anywhere else with equal chance."""
    begin, free = _FIRST * duration_s, (_LAST - _FIRST) * duration_s - APART_S * max(0, count - 1)
    places = sorted(dice.uniform(0, free) for _ in range(count))
    return [begin + place + APART_S * number for number, place in enumerate(places)]


def of_clip(cuts: Sequence[Cut], clip: str) -> list[Cut]:
    """The cuts of one recording, in order of time."""
    return sorted((cut for cut in cuts if cut.clip == clip), key=lambda cut: cut.at_s)
