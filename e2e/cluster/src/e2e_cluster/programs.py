"""Command lines of the parts, pure: what runs, with which flags, in which network namespace."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Program:
    """One process that is kept running. `namespace` is the file of a network namespace, or None for the host's."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    namespace: Path | None = None

    @property
    def argv(self) -> tuple[str, ...]:
        """The command line with the way into its namespace."""
        if self.namespace is None:
            return self.command
        # Not `ip netns exec`: that remounts /sys, and the control groups would be gone.
        return ("nsenter", f"--net={self.namespace}", "--", *self.command)


def flags(**values: object) -> tuple[str, ...]:
    """`--name=value` of each argument, underscores as dashes; None leaves one out, booleans as Go spells them."""
    return tuple(
        f"--{name.replace('_', '-')}={str(value).lower() if isinstance(value, bool) else value}"
        for name, value in values.items()
        if value is not None
    )
