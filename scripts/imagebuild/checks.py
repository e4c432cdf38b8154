"""What must hold of every image that was built; pure."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from imagebuild.catalogue import MEGABYTE, Image
from imagebuild.contents import Contents

LABELS = tuple(
    f"org.opencontainers.image.{name}" for name in ("title", "description", "version", "revision", "licenses")
)
_OURS = "opt/streamingstack/"
_SET_ID = 0o6000
_WORLD_WRITABLE = 0o002
_NOT_IN_AN_IMAGE: tuple[tuple[str, Callable[[str], object]], ...] = (
    ("pip", re.compile(r"(^|/)(site|dist)-packages/pip(/|-|$)|(^|/)bin/pip[0-9.]*$").search),
    ("uv", re.compile(r"(^|/)bin/uvx?$").search),
    ("our tests", re.compile(rf"^{_OURS}src/.*(^|/)(tests/|test_[^/]*\.py$|conftest\.py$)").search),
    (
        "a cache",
        re.compile(r"^(root|tmp)/\.cache/|^var/(cache/apt/archives|lib/apt/lists)/.+").search,
    ),
    ("a lock file or project file", re.compile(r"(^|/)(uv\.lock|pyproject\.toml)$").search),
    ("a compiler", re.compile(r"^usr/bin/(gcc|cc|g\+\+)(-\d+)?$").search),
)


def faults(image: Image, config: dict[str, Any], contents: Contents, size: int) -> list[str]:
    """What is wrong with a built image, one sentence each; `size` is that of its compressed layers in bytes."""
    return [
        *_size(image, size),
        *_user(config),
        *_labels(config),
        *_unwanted(contents),
        *_owned(contents),
    ]


def _size(image: Image, size: int) -> Iterator[str]:
    if image.limit is not None and size > image.limit:
        yield f"its layers have {size / MEGABYTE:.1f} MB compressed, more than {image.limit / MEGABYTE:.0f}"


def _user(config: dict[str, Any]) -> Iterator[str]:
    user = str(config.get("config", {}).get("User", ""))
    if user.partition(":")[0] in ("", "0", "root") or not user.partition(":")[0].isdigit():
        yield f"it runs as user {user or 'root'!r}: Kubernetes accepts only a number other than 0 as non-root"


def _labels(config: dict[str, Any]) -> Iterator[str]:
    labels = config.get("config", {}).get("Labels") or {}
    for label in LABELS:
        if labels.get(label, "") == "":
            yield f"its label {label} is {labels.get(label)!r}"


def _unwanted(contents: Contents) -> Iterator[str]:
    for what, matches in _NOT_IN_AN_IMAGE:
        found = [path for path, entry in contents.entries.items() if matches(path) and not entry.is_folder]
        if found:
            yield f"it holds {what}: {', '.join(sorted(found)[:3])}"


def _owned(contents: Contents) -> Iterator[str]:
    """Nothing that runs may be changed by what runs."""
    for path, entry in contents.entries.items():
        is_link = entry.mode & 0o777 == 0o777 and not entry.is_folder and entry.size == 0
        if path.startswith(_OURS) and (entry.uid != 0 or (entry.mode & _WORLD_WRITABLE and not is_link)):
            yield f"{path} can be written by others than root"
        if path.startswith(_OURS) and entry.mode & _SET_ID:
            yield f"{path} changes its user when run"
