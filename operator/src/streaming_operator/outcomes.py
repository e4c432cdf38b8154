"""What can come of writing to the cluster. Pure."""

from dataclasses import dataclass, field

from streaming_operator.facts import ChildFailure


class Waiting(Exception):
    """Not now: something is on its way out; look again in `delay` seconds."""

    def __init__(self, message: str, delay: float = 2.0) -> None:
        self.delay = delay
        super().__init__(message)


class Refused(Exception):
    """An object that everything else needs cannot be made; `failure` tells why, with the remedy."""

    def __init__(self, failure: ChildFailure) -> None:
        self.failure = failure
        super().__init__(failure.message)


@dataclass
class Applied:
    """What came of applying all children."""

    failures: list[ChildFailure] = field(default_factory=list)
    # Names whose rollout waits.
    held: list[str] = field(default_factory=list)
    # What could not be written yet, as something of its name is on its way out.
    waiting: list[Waiting] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Everything that is wanted is there as it is wanted."""
        return not (self.failures or self.held or self.waiting)
