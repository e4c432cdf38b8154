"""Which of its pods a ReplicaSet is to end first: those without sessions. Pure.

A ReplicaSet that shrinks ends pods in this order: not on a node yet, pending, not ready, then by the annotation of the
cost, the lowest first; pods of equal cost by how many of them a node has and how long they have been ready. So the cost
is what a pod's end would disturb: its live sessions or streams.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from streaming_operator import names
from streaming_operator.reading import Reading
from streaming_operator.seen import DELETION_COST, Seen

# Among pods with sessions the order matters little: a cost is written again where it is off by over a quarter, and two.
_NOTABLE = 0.25
_LEAST = 2
_COUNTED = (names.GATEWAY, names.ASR)


@dataclass(frozen=True)
class CostChange:
    """A pod whose annotation is to be written; `uid` keeps it from landing on another pod of that name."""

    pod: str
    uid: str
    was: int
    cost: int

    @property
    def urgency(self) -> tuple[bool, int]:
        """The greater, the sooner: a busy pod that looks idle or the reverse, then how far off it is."""
        return (self.was == 0) != (self.cost == 0), abs(self.cost - self.was)

    def patch(self) -> dict[str, object]:
        """The JSON merge patch."""
        return {"metadata": {"uid": self.uid, "annotations": {DELETION_COST: str(self.cost)}}}


def cost_changes(pods: Iterable[tuple[str, Seen, Reading | None]]) -> list[CostChange]:
    """What is to be written on these pods, given by name; those that end, or that do not say, are left as they are.

    So is a negative cost, which nobody but a person writes: that pod is to go first whatever it does.
    """
    return [
        CostChange(name, pod.uid, pod.deletion_cost, reading.active)
        for name, pod, reading in pods
        if reading is not None
        and reading.active is not None
        and pod.component in _COUNTED
        and not pod.terminating
        and _is_due(pod.deletion_cost, reading.active)
    ]


def _is_due(was: int, active: int) -> bool:
    if was < 0 or was == active:
        return False
    if (was == 0) != (active == 0):
        return True
    return abs(active - was) >= max(_LEAST, _NOTABLE * max(was, active))
