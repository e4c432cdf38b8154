"""Command lines of the parts, pure: what runs, with which flags, in which namespaces."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Program:
    """One process that is kept running. `namespace` is the file of a network namespace, or None for the host's; with
    `own_mounts` it sees mounts and unmounts of the host, and the host sees none of its own."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    namespace: Path | None = None
    own_mounts: bool = False

    @property
    def argv(self) -> tuple[str, ...]:
        """The command line with the way into its namespaces."""
        # Not `ip netns exec`: that remounts /sys, and the control groups would be gone.
        network = () if self.namespace is None else ("nsenter", f"--net={self.namespace}", "--")
        mounts = ("unshare", "--mount", "--propagation=slave", "--") if self.own_mounts else ()
        return (*network, *mounts, *self.command)


def flags(**values: object) -> tuple[str, ...]:
    """`--name=value` of each argument, underscores as dashes; None leaves one out, booleans as Go spells them."""
    return tuple(
        f"--{name.replace('_', '-')}={str(value).lower() if isinstance(value, bool) else value}"
        for name, value in values.items()
        if value is not None
    )
