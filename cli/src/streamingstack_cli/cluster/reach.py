"""Which cluster and which stacks are meant."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Reach:
    """Which cluster is meant: what kubectl's options of the same names say; None: as the kubeconfig has it."""

    kubeconfig: Path | None = None
    context: str | None = None
    namespace: str | None = None


@dataclass(frozen=True)
class Look:
    """What to look at: one stack, or all of the namespace, or of the whole cluster."""

    name: str | None = None
    everywhere: bool = False
