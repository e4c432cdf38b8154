"""A file as Kubernetes mounts it from a ConfigMap or a Secret, for tests of reloading."""

import os
import uuid
from pathlib import Path


class MountedFile:
    """`folder/name` is a link into `..data`, which is a link to a folder that is swapped as a whole."""

    def __init__(self, folder: Path, name: str, text: str) -> None:
        """`folder` is made where it is missing."""
        self._folder, self._name = folder, name
        folder.mkdir(parents=True, exist_ok=True)
        self.replace(text)
        if not self.path.is_symlink():
            self.path.symlink_to(Path("..data") / name)

    @property
    def path(self) -> Path:
        """What a service is told."""
        return self._folder / self._name

    def replace(self, text: str) -> None:
        """As the kubelet does: a new folder, one rename, the old folder removed; the time stamp may be the old one."""
        former = os.readlink(self._folder / "..data") if (self._folder / "..data").is_symlink() else None
        version = self._folder / f"..{uuid.uuid4()}"
        version.mkdir()
        (version / self._name).write_text(text)
        os.utime(version / self._name, (1_000_000_000, 1_000_000_000))
        fresh = self._folder / "..data_tmp"
        fresh.symlink_to(version.name)
        os.replace(fresh, self._folder / "..data")
        if former is not None:
            (self._folder / former / self._name).unlink()
            (self._folder / former).rmdir()
