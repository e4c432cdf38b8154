"""One remote file to disk: resumed, retried, never half there."""

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from model_store.disk import minding_room, require_room
from model_store.errors import SourceUnreachableError
from model_store.progress import Progress
from model_store.remote import CHUNK, InterruptedReadError, Opened, Remote


@dataclass(frozen=True)
class Retry:
    """How often a download that makes no headway is tried again; delays are seconds and double each time."""

    attempts: int = 5
    first_delay: float = 0.5
    longest_delay: float = 8.0
    sleep: Callable[[float], None] = time.sleep


def download(remote: Remote, target: Path, progress: Progress, retry: Retry, label: str | None = None) -> None:
    """Bring `remote` to `target`, going on from an earlier `target.part`; a `target` that is there is left as it is.

    `label` names the download in `progress`; the file's name where it is absent.

    Raises SourceNotFoundError, SourceRefusedError, SourceUnreachableError (the part is kept for the next time) and
    DiskFullError (it is removed).
    """
    if target.exists():
        return
    label = label or target.name
    part, mark = part_of(target), target.with_name(target.name + ".validator")
    target.parent.mkdir(parents=True, exist_ok=True)
    failures = 0
    while True:
        before = size_of(part)
        try:
            _read(remote, part, mark, progress, label)
            break
        except InterruptedReadError as failure:
            # Headway starts the count anew: a long file over a bad line gets there.
            failures = 1 if size_of(part) > before else failures + 1
            if failures >= retry.attempts:
                raise SourceUnreachableError(
                    f"{failure}; gave up after {failures} tries. Check the network or proxy, then try again: "
                    "what is here already is kept"
                ) from failure
            retry.sleep(min(retry.longest_delay, retry.first_delay * 2 ** (failures - 1)))
    os.replace(part, target)
    mark.unlink(missing_ok=True)
    progress.end(label)


def _read(remote: Remote, part: Path, mark: Path, progress: Progress, label: str) -> None:
    validator = mark.read_text() if mark.exists() else None
    with remote.open(size_of(part), validator) as opened:
        total = opened.total
        needed = max(0, (total or 0) - opened.offset)
        with minding_room(part, needed):
            _prepare(part, mark, opened)
            require_room(part.parent, needed)
            progress.begin(label, opened.offset, total)
            with part.open("ab") as out:
                for chunk in opened.chunks:
                    out.write(chunk)
                    progress.advance(label, len(chunk))
                out.flush()
                os.fsync(out.fileno())
    if total is not None and size_of(part) != total:
        raise InterruptedReadError(f"{remote.name}: ended after {size_of(part)} of {total} bytes")


def _prepare(part: Path, mark: Path, opened: Opened) -> None:
    with part.open("ab") as out:
        out.truncate(opened.offset)
    if opened.validator:
        mark.write_text(opened.validator)
    else:
        mark.unlink(missing_ok=True)


def part_of(target: Path) -> Path:
    """Where the beginning of `target` waits."""
    return target.with_name(target.name + ".part")


def size_of(path: Path) -> int:
    """Bytes of `path`, 0 when it is not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as handle:
        digest = hashlib.sha256()
        while chunk := handle.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
