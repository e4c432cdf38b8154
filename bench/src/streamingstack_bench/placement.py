"""Where new sessions land, and how many are refused for it: a simulation of gateways behind an ingress. Pure, seeded.

Sessions arrive at random (Poisson) and last for very different times (lognormal). Each comes through one of several
proxies, which do not know each other's sessions. A gateway that is full refuses; a full gateway is ready all the same.
"""

import heapq
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import dropwhile, islice
from math import log


class Policy(StrEnum):
    """How a proxy chooses a gateway."""

    RANDOM = "random"
    ROUND_ROBIN = "round robin, each proxy its own"
    TWO_CHOICES = "least request of two, each proxy by its own count"
    LEAST_OWN = "least request of all, each proxy by its own count"
    LEAST = "least request of all, by the true count"


@dataclass(frozen=True)
class World:
    """`spread` is the standard deviation of the logarithm of a session's length."""

    gateways: int = 20
    capacity: int = 48
    proxies: int = 3
    mean_minutes: float = 5.0
    spread: float = 1.2


@dataclass(frozen=True, slots=True)
class Refusals:
    """Sessions of a run: those that came, those that no try got a place for, and tries that were refused."""

    came: int
    refused: int
    tries_refused: int

    @property
    def share(self) -> float:
        """Of the sessions, those refused."""
        return self.refused / self.came


@dataclass
class Pool:
    """The gateways at one moment: how many sessions each has, in all and through each proxy."""

    world: World
    policy: Policy
    dice: random.Random
    active: list[int] = field(default_factory=list)
    own: list[list[int]] = field(default_factory=list)
    turn: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.own = [[] for _ in range(self.world.proxies)]
        for _ in range(self.world.gateways):
            self.grow()
        self.turn = [self.dice.randrange(self.world.gateways) for _ in range(self.world.proxies)]

    def grow(self) -> None:
        """One gateway more."""
        self.active.append(0)
        for counts in self.own:
            counts.append(0)

    def choose(self, proxy: int) -> int:
        """The gateway that a proxy sends the next session to."""
        if self.policy is Policy.ROUND_ROBIN:
            self.turn[proxy] += 1
            return self.turn[proxy] % len(self.active)
        if self.policy is Policy.TWO_CHOICES:
            return self._least(self.own[proxy], self.dice.sample(range(len(self.active)), 2))
        if self.policy is Policy.LEAST_OWN:
            return self._least(self.own[proxy], range(len(self.active)))
        if self.policy is Policy.LEAST:
            return self._least(self.active, range(len(self.active)))
        return self.dice.randrange(len(self.active))

    def _least(self, counts: Sequence[int], among: Sequence[int]) -> int:
        fewest = min(counts[gateway] for gateway in among)
        return self.dice.choice([gateway for gateway in among if counts[gateway] == fewest])

    def enter(self, proxy: int, gateway: int) -> bool:
        """Whether the gateway takes it."""
        if self.active[gateway] >= self.world.capacity:
            return False
        self.active[gateway] += 1
        self.own[proxy][gateway] += 1
        return True

    def leave(self, proxy: int, gateway: int) -> None:
        """A session ends."""
        self.active[gateway] -= 1
        self.own[proxy][gateway] -= 1


@dataclass(frozen=True, slots=True)
class Arrival:
    """A session's fate: when it came, in minutes, and its gateway; None: it was refused at every try."""

    at: float
    gateway: int | None
    tries: int


def arrivals(pool: Pool, load: float, retries: int) -> Iterator[Arrival]:
    """Sessions one after the other, without end, at a rate that would fill `load` of the gateways the pool has now."""
    world, dice = pool.world, pool.dice
    per_minute = load * world.gateways * world.capacity / world.mean_minutes
    middle = log(world.mean_minutes) - world.spread**2 / 2
    leaving: list[tuple[float, int, int]] = []
    at = 0.0
    while True:
        at += dice.expovariate(per_minute)
        while leaving and leaving[0][0] <= at:
            pool.leave(*heapq.heappop(leaving)[1:])
        proxy, gateway, tries = _place(pool, retries)
        if gateway is not None:
            heapq.heappush(leaving, (at + dice.lognormvariate(middle, world.spread), proxy, gateway))
        yield Arrival(at, gateway, tries)


def _place(pool: Pool, retries: int) -> tuple[int, int | None, int]:
    """Proxy, gateway and number of tries of one session."""
    for tries in range(1, retries + 2):
        proxy = pool.dice.randrange(pool.world.proxies)
        gateway = pool.choose(proxy)
        if pool.enter(proxy, gateway):
            return proxy, gateway, tries
    return proxy, None, tries


def refusals(world: World, policy: Policy, load: float, *, retries: int = 0, seed: int = 1, count: int) -> Refusals:
    """What `count` sessions meet, once the gateways are as full as they will be."""
    pool = Pool(world, policy, random.Random(seed))  # noqa: S311 - a simulation
    warm = 6 * world.mean_minutes
    came = refused = tries_refused = 0
    steady = dropwhile(lambda arrival: arrival.at < warm, arrivals(pool, load, retries))
    for arrival in islice(steady, count):
        came += 1
        refused += arrival.gateway is None
        tries_refused += arrival.tries - (arrival.gateway is not None)
    return Refusals(came, refused, tries_refused)


@dataclass(frozen=True, slots=True)
class Landing:
    """After one gateway was added: its share of the sessions placed in the first minute, and when it first had half
    of the mean of the others, in minutes (None: not within the time looked at)."""

    first_minute: float
    half_full_after: float | None


def scale_up(world: World, policy: Policy, load: float, *, seed: int = 1, minutes: float = 30.0) -> Landing:
    """One gateway more beside those that are as full as they will be."""
    pool = Pool(world, policy, random.Random(seed))  # noqa: S311 - a simulation
    grown_at, new = 6 * world.mean_minutes, world.gateways
    placed = landed = 0
    half_after: float | None = None
    for arrival in dropwhile(lambda arrival: arrival.at < grown_at, arrivals(pool, load, 0)):
        if arrival.at > grown_at + minutes:
            break
        if len(pool.active) == world.gateways:
            pool.grow()
        if arrival.at < grown_at + 1 and arrival.gateway is not None:
            placed, landed = placed + 1, landed + (arrival.gateway == new)
        others = sum(pool.active[:new]) / world.gateways
        if half_after is None and pool.active[new] >= others / 2:
            half_after = arrival.at - grown_at
    return Landing(landed / placed if placed else 0.0, half_after)


def erlang_b(offered: float, places: int) -> float:
    """The share refused by `places` alone where sessions come at random and `offered` would be there on the mean."""
    share = 1.0
    for place in range(1, places + 1):
        share = offered * share / (place + offered * share)
    return share
