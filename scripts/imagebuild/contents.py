"""What is in an image: its layers laid over each other, without unpacking them."""

import posixpath
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"


@dataclass(frozen=True)
class Entry:
    """One path: its mode bits, bytes, owner, and whether it is a folder."""

    mode: int
    size: int
    uid: int
    is_folder: bool


@dataclass
class Contents:
    """Every path of the image, without a leading slash, and the bytes of those that were asked for."""

    entries: dict[str, Entry] = field(default_factory=dict)
    read: dict[str, bytes] = field(default_factory=dict)

    def remove(self, path: str) -> None:
        """Take a path away, with everything under it."""
        for known in [known for known in self.entries if known == path or known.startswith(f"{path}/")]:
            del self.entries[known]
            self.read.pop(known, None)


def read_contents(layers: Iterable[Path], wanted: Callable[[str], bool]) -> Contents:
    """Lay the layers' tars over each other, lowest first; keeps the bytes of the files that are `wanted`."""
    contents = Contents()
    for layer in layers:
        with tarfile.open(layer) as tar:
            _lay(tar, contents, wanted)
    return contents


def _lay(tar: tarfile.TarFile, contents: Contents, wanted: Callable[[str], bool]) -> None:
    mine: set[str] = set()
    for member in tar:
        path = posixpath.normpath(member.name).lstrip("/")
        folder, name = posixpath.split(path)
        if name == _OPAQUE:
            for known in [known for known in contents.entries if known.startswith(f"{folder}/") and known not in mine]:
                contents.remove(known)
        elif name.startswith(_WHITEOUT):
            contents.remove(posixpath.join(folder, name.removeprefix(_WHITEOUT)))
        else:
            mine.add(path)
            contents.entries[path] = Entry(member.mode, member.size, member.uid, member.isdir())
            contents.read.pop(path, None)
            if member.isfile() and wanted(path) and (file := tar.extractfile(member)):
                contents.read[path] = file.read()
