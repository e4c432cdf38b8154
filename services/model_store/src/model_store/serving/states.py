"""How far each model is, and what a store may forget; pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from stack_model.stored_models import StoredModel


class State(StrEnum):
    """Where a model stands."""

    WAITING = "Waiting"
    FETCHING = "Fetching"
    READY = "Ready"
    FAILED = "Failed"


@dataclass(frozen=True)
class ModelState:
    """Sizes in bytes; `retry_at` in seconds since the epoch, `error` one line with the remedy: both while Failed."""

    model: StoredModel
    state: State = State.WAITING
    bytes_done: int = 0
    bytes_total: int | None = None
    digest: str | None = None
    error: str | None = None
    retry_at: float | None = None

    def fetching(self, done: int = 0, total: int | None = None) -> "ModelState":
        """Under way; the last error stays readable until the fetch gets anywhere."""
        return replace(self, state=State.FETCHING, bytes_done=done, bytes_total=total, retry_at=None)

    def ready(self, digest: str, size: int) -> "ModelState":
        """Whole, verified and served."""
        return ModelState(self.model, State.READY, size, size, digest)

    def failed(self, error: str, retry_at: float) -> "ModelState":
        """To be tried again."""
        return replace(self, state=State.FAILED, error=error, retry_at=retry_at)

    def shown(self) -> dict[str, object]:
        """As clients see it."""
        return {
            "name": self.model.name,
            "identity": self.model.identity,
            "state": self.state.value,
            "bytesDone": self.bytes_done,
            "bytesTotal": self.bytes_total,
            "digest": self.digest,
            "error": self.error if self.state is not State.READY else None,
            "retryAt": self.retry_at,
        }


def unwanted_digests(kept: Mapping[str, str], states: Iterable[ModelState], *, no_room: bool = False) -> set[str]:
    """Digests that may go; `kept` maps each digest on disk to the name it was fetched under.

    The former content of a model that is still to come stays for whoever is copying it, unless there is `no_room`.
    """
    states = list(states)
    served = {state.digest for state in states if state.digest}
    coming = {state.model.name for state in states if state.state is not State.READY}
    return {digest for digest, name in kept.items() if digest not in served and (no_room or name not in coming)}


def unwanted_partials(partials: Mapping[str, str], states: Iterable[ModelState]) -> set[str]:
    """Keys of beginnings that nobody waits for; `partials` maps keys to identities."""
    coming = {state.model.identity for state in states if state.state is not State.READY}
    return {key for key, identity in partials.items() if identity not in coming}
