"""Admission: who gets one of the pod's streams (rule 12 of the contract). Pure."""

import math
from typing import Literal, get_args

Shortage = Literal["full", "replays", "bulk"]
SHORTAGES: tuple[Shortage, ...] = get_args(Shortage)


class Full(Exception):
    """No slot; the text says how many are in use, `shortage` whether more pods or a moment's patience would help."""

    def __init__(self, shortage: Shortage, text: str) -> None:
        super().__init__(text)
        self.shortage = shortage


class Slot:
    """One stream's place; freed once, whatever happens."""

    def __init__(self, slots: "Slots", *, replaying: bool, bulk: bool) -> None:
        self._slots, self._replaying, self._bulk, self._held = slots, replaying, bulk, True

    def caught_up(self) -> None:
        """A resumed stream has heard its replay."""
        if self._replaying:
            self._replaying = False
            self._slots.replaying -= 1

    def free(self) -> None:
        """Give the place back."""
        self.caught_up()
        if self._held:
            self._held = False
            self._slots.active -= 1
            self._slots.bulk -= self._bulk


class Slots:
    """Counts streams. New ones get `capacity`; resumed ones 15 % more, at least one: a lost pod's sessions fit.

    A BULK stream takes no live one's place: it is let in while more than the reserve is free, and live ones are counted
    as if it were not there; where both are too many, it has to go (`crowded`).
    """

    def __init__(self, capacity: int, replays: int = 4) -> None:
        """`replays` bounds the resumed streams that catch up at the same time."""
        self.capacity = capacity
        self.reserve = max(1, math.ceil(capacity * 0.15))
        self.bulk_capacity = max(1, capacity - self.reserve)
        self._replay_limit = replays
        self.active = 0
        self.bulk = 0
        self.replaying = 0

    @property
    def crowded(self) -> bool:
        """Whether a BULK stream has to give its place to a live one that was let in."""
        return self.bulk > 0 and self.active > self.capacity

    def take(self, *, resume: bool, bulk: bool = False) -> Slot:
        """Take a place; raises Full."""
        if bulk:
            return self._take_bulk()
        limit = self.capacity + (self.reserve if resume else 0)
        if self.active - self.bulk >= limit:
            text = f"all {limit} streams of this recogniser are in use; retry on another pod or add replicas"
            raise Full("full", text)
        if resume and self.replaying >= self._replay_limit:
            text = f"{self.replaying} streams are catching up on this recogniser; retry in a moment"
            raise Full("replays", text)
        self.active += 1
        self.replaying += resume
        return Slot(self, replaying=resume, bulk=False)

    def _take_bulk(self) -> Slot:
        if self.active >= self.bulk_capacity:
            text = f"{self.active} streams are in use, and the other places are kept for live sessions; retry later"
            raise Full("bulk", text)
        self.active += 1
        self.bulk += 1
        return Slot(self, replaying=False, bulk=True)
