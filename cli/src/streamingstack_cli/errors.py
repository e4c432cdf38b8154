"""What ends a command with one line."""

import contextlib
import sys
from collections.abc import Iterator

import typer


class CommandError(Exception):
    """The text is the line; `status` the exit status."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


@contextlib.contextmanager
def one_line() -> Iterator[None]:
    """Turn a CommandError into its line on standard error and its exit status."""
    try:
        yield
    except CommandError as failure:
        sys.stderr.write(f"streamingstack: {failure}\n")
        raise typer.Exit(failure.status) from None
