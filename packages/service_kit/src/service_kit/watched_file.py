"""A mounted file that is read again when it changes, without a restart."""

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from service_kit.logs import get_logger

_log = get_logger(__name__)
Content = TypeVar("Content")


class WatchedFile(Generic[Content]):
    """The parsed content of `path`. A replacement that cannot be read is logged and the last good one stays.

    The log has what `parse` says in its ValueError, which quotes nothing of the file.
    """

    def __init__(self, path: Path, parse: Callable[[str], Content]) -> None:
        """Raises OSError or ValueError where the first read fails."""
        self._path = path
        self._parse = parse
        self._stamp = self._current_stamp()
        self._content = parse(path.read_bytes().decode())
        self._complained: str | None = None

    def content(self) -> Content:
        """The content as of now; looks at the file's stamp, and reads only what changed."""
        try:
            stamp = self._current_stamp()
            if stamp != self._stamp:
                text = self._path.read_bytes()
                # Not before it was read: what could not be is read at the next look.
                self._stamp = stamp
                self._content = self._parse(text.decode())
                self._complained = None
                _log.info("file reloaded", path=str(self._path))
        except (OSError, ValueError) as failure:
            kind = type(failure).__name__
            if isinstance(failure, ValueError) or kind != self._complained:
                # A file that is gone is asked for with every session; one line tells it.
                problem = _problem(failure)
                _log.error("file unusable, keeping the last good one", path=str(self._path), kind=kind, problem=problem)
            self._complained = kind
        return self._content

    def _current_stamp(self) -> tuple[int, int, int]:
        found = self._path.stat()
        return found.st_mtime_ns, found.st_size, found.st_ino


def _problem(failure: OSError | ValueError) -> str | None:
    if isinstance(failure, OSError):
        return failure.strerror
    # What Python says of text that is none holds a byte of it.
    return "it is not text" if isinstance(failure, UnicodeError) else str(failure)
