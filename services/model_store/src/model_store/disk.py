"""Room on the disk, asked before and minded while writing."""

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

from model_store.errors import DiskFullError, ModelStoreError


def require_room(folder: Path, needed: int) -> None:
    """Raise DiskFullError when `folder`'s disk has fewer than `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DiskFullError(folder, needed, free)


@contextlib.contextmanager
def minding_room(target: Path, needed: int) -> Iterator[None]:
    """Turn "no space left" while writing `target` into DiskFullError and remove what was written of it."""
    try:
        yield
    except DiskFullError:
        target.unlink(missing_ok=True)
        raise
    except OSError as failure:
        if failure.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise ModelStoreError(f"{target}: {failure.strerror or failure}") from failure
        target.unlink(missing_ok=True)
        free = shutil.disk_usage(target.parent).free
        raise DiskFullError(target.parent, needed, free) from failure
