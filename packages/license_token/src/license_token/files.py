"""Small secret files, written whole or not at all."""

import os
import tempfile
from pathlib import Path

MAX_BYTES = 1 << 20


def read_small(path: Path) -> bytes:
    """The file's bytes. Raises OSError; ValueError when it is over 1 MiB, which no licence and no key is."""
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError("larger than 1 MiB")
    return data


def replace_private(path: Path, text: str, mode: int = 0o600) -> None:
    """Write `text` to `path` in one step: a reader sees the old file or the new one. Makes its folder (0700)."""
    temporary = _temporary_beside(path, text, mode)
    try:
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def create_private(path: Path, text: str) -> bool:
    """Write `text` to a new file of mode 0600; False, and nothing changed, where the file is there already."""
    temporary = _temporary_beside(path, text, 0o600)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    return True


def _temporary_beside(path: Path, text: str, mode: int) -> Path:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # made with mode 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)
