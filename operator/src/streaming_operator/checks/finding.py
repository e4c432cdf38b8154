"""What a check looks at, what it finds, and the chain that stops at the first finding. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from stack_model.api import StreamingStack
from stack_model.api.status import Reason

from streaming_operator.facts import Inputs, Observed

Truth = Literal["True", "False", "Unknown"]
# What a condition's message may hold, and how much of it the words of others may take.
LONGEST_MESSAGE = 1024
_LONGEST_QUOTE = 500


@dataclass(frozen=True)
class View:
    """Everything that a check may look at; `now` is aware."""

    stack: StreamingStack
    inputs: Inputs
    observed: Observed
    now: datetime

    @property
    def namespace(self) -> str:
        """Where the stack lives."""
        return self.stack.metadata.namespace or "default"

    @property
    def vendor(self) -> bool:
        """Whether the vendor's images run."""
        return self.stack.spec.images.flavour == "Vendor"


@dataclass(frozen=True)
class Finding:
    """What a condition becomes: its status, why, and what to do."""

    reason: Reason
    message: str
    status: Truth = "False"


Check = Callable[[View], Finding | None]


def first(view: View, checks: Sequence[Check], otherwise: Finding) -> Finding:
    """What the first check finds that finds anything."""
    for check in checks:
        found = check(view)
        if found is not None:
            return found
    return otherwise


def quoted(text: str) -> str:
    """The words of the cluster on one line, as long as a message can bear them."""
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= _LONGEST_QUOTE else line[: _LONGEST_QUOTE - 3] + "..."


def listed(items: Sequence[str], most: int = 5) -> str:
    """`a, b and 3 more`."""
    rest = len(items) - most
    return ", ".join(items[:most]) + (f" and {rest} more" if rest > 0 else "")
