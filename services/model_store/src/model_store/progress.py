"""Where a pull tells how far it is."""

from typing import Protocol


class Progress(Protocol):
    """Called from the thread that pulls; `name` is the download's name, sizes are bytes."""

    def expect(self, total: int) -> None:
        """All downloads of this pull together, where the source tells their sizes."""

    def begin(self, name: str, done: int, total: int | None) -> None:
        """A download starts, or goes on at `done`."""

    def advance(self, name: str, count: int) -> None:
        """`count` more bytes are on disk."""

    def end(self, name: str) -> None:
        """The download is whole."""


class Silent:
    """Tells nobody."""

    def expect(self, total: int) -> None:
        """Nothing."""

    def begin(self, name: str, done: int, total: int | None) -> None:
        """Nothing."""

    def advance(self, name: str, count: int) -> None:
        """Nothing."""

    def end(self, name: str) -> None:
        """Nothing."""
