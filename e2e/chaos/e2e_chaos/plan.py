"""What goes wrong when: drawn from a seed alone, so that a run can be made again. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import Literal

Part = Literal[
    "scripted recogniser",
    "speech recogniser",
    "scripted Triton",
    "speech Triton",
    "load balancer",
    "licence proxy",
    "operator",
    "model store",
    "node",
]
Kind = Literal["delete", "kill", "freeze", "cut"]

# A Triton is a container of its recogniser's pod: deleting it is deleting that.
KINDS: Mapping[Part, tuple[Kind, ...]] = MappingProxyType(
    {
        "scripted recogniser": ("delete", "kill", "freeze"),
        "speech recogniser": ("delete", "kill", "freeze"),
        "scripted Triton": ("kill", "freeze"),
        "speech Triton": ("kill", "freeze"),
        "load balancer": ("delete", "kill", "freeze"),
        "licence proxy": ("delete", "kill", "freeze"),
        "operator": ("delete", "kill", "freeze"),
        "model store": ("delete", "kill", "freeze"),
        "node": ("cut",),
    }
)
FIRST_S = 20.0  # until every session is under way
LAST_S = 60.0  # before the end: what is hit last is whole again before the sessions end
APART_S = (7.0, 15.0)
FROZEN_S = (5.0, 12.0)
CUT_S = (15.0, 25.0)


@dataclass(frozen=True)
class Trouble:
    """One thing that goes wrong. `replica` in [0, 1) chooses among what is there; a freeze and a cut last `hold_s`."""

    at_s: float
    part: Part
    kind: Kind
    replica: float
    hold_s: float = 0.0


def plan(seed: int, seconds: float) -> list[Trouble]:
    """Troubles of a run of that length, in order of time: rounds in each of which every part has its turn once.

    ValueError where the run is too short for any.
    """
    if seconds < FIRST_S + LAST_S:
        raise ValueError(f"a run of {seconds:.0f} s is too short: give it {FIRST_S + LAST_S:.0f} s at least")
    random = Random(seed)
    troubles: list[Trouble] = []
    at = FIRST_S
    turn: list[Part] = []
    while at <= seconds - LAST_S:
        turn = turn or _shuffled(random, after=troubles[-1].part if troubles else None)
        part = turn.pop(0)
        kind = random.choice(KINDS[part])
        troubles.append(Trouble(round(at, 1), part, kind, random.random(), _hold(random, kind)))
        at += random.uniform(*APART_S)
    return troubles


def _hold(random: Random, kind: Kind) -> float:
    span = {"freeze": FROZEN_S, "cut": CUT_S}.get(kind)
    return round(random.uniform(*span), 1) if span else 0.0


def _shuffled(random: Random, after: Part | None) -> list[Part]:
    """Every part once; not at once the one that was just hit."""
    parts = list(KINDS)
    random.shuffle(parts)
    if parts[0] == after:
        parts.append(parts.pop(0))
    return parts
