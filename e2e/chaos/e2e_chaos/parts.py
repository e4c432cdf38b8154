"""The parts of a stack as pods: which there are, which one is hit, whether all is well again. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from e2e_chaos.plan import Part, Trouble


@dataclass(frozen=True)
class Container:
    """A container as a pod's status tells of it."""

    id: str
    restarts: int
    ready: bool


@dataclass(frozen=True)
class PodView:
    """One pod. `role` is its component, for a recogniser with its pool: `asr/ml-default`."""

    name: str
    uid: str
    node: str
    role: str
    ready: bool
    leaving: bool
    containers: Mapping[str, Container]


@dataclass(frozen=True)
class Place:
    """Where a part is: the role of its pods, and the container that is hit."""

    role: str
    container: str


@dataclass(frozen=True)
class Layout:
    """A stack that is whole: how many pods each role has, and where each part is. `cuttable` is the node to cut off."""

    wanted: Mapping[str, int]
    places: Mapping[Part, Place]
    cuttable: str

    def is_whole(self, part: Part, pods: Sequence[PodView]) -> bool:
        """Whether every replica of a part serves; of a node: whether everything does."""
        roles = self.wanted if part == "node" else {self.places[part].role}
        return all(len(_serving(role, pods)) >= self.wanted[role] for role in roles)

    def victim(self, trouble: Trouble, pods: Sequence[PodView]) -> PodView:
        """The pod that is hit. IndexError where there is none."""
        there = sorted(_serving(self.places[trouble.part].role, pods), key=lambda pod: pod.name)
        return there[int(trouble.replica * len(there))]


@dataclass
class Made:
    """A trouble as it was made; times in seconds on the run's clock. `whole_at` is None until all is well again."""

    trouble: Trouble
    at: float
    target: str
    victim: PodView | None = None
    released_at: float | None = None
    whole_at: float | None = None

    @property
    def release_at(self) -> float | None:
        """When it has to be thawed or given its network back; None where nothing is to be released any more."""
        held = self.trouble.hold_s > 0 and self.released_at is None
        return self.at + self.trouble.hold_s if held else None

    def is_over(self, layout: Layout, pods: Sequence[PodView]) -> bool:
        """Whether what was hit was seen to be gone or restarted, and the part is whole."""
        if self.release_at is not None or not layout.is_whole(self.trouble.part, pods):
            return False
        if self.victim is None or self.trouble.kind == "freeze":
            return True
        now = next((pod for pod in pods if pod.uid == self.victim.uid and not pod.leaving), None)
        if now is None or self.trouble.kind == "delete":
            return now is None
        name = layout.places[self.trouble.part].container
        before, after = self.victim.containers[name], now.containers.get(name)
        return after is not None and after.id != before.id and after.ready


def may(layout: Layout, trouble: Trouble, made: Sequence[Made], pods: Sequence[PodView]) -> bool:
    """Whether its part is whole and no other trouble that could take a second replica of it is under way.

    A recogniser and its Triton are one pod, so they are one part here; a node takes one of everything.
    """
    under_way = [one.trouble.part for one in made if one.whole_at is None]
    if trouble.part == "node":
        return not under_way and layout.is_whole("node", pods)
    if "node" in under_way:
        return False
    role = layout.places[trouble.part].role
    return role not in {layout.places[part].role for part in under_way} and layout.is_whole(trouble.part, pods)


def _serving(role: str, pods: Sequence[PodView]) -> list[PodView]:
    return [pod for pod in pods if pod.role == role and pod.ready and not pod.leaving]
