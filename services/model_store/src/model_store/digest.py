"""The name of a model: a digest over its files' digests."""

import hashlib
from collections.abc import Mapping


def model_digest(files: Mapping[str, str]) -> str:
    """sha256 of the sorted 'sha256  path' lines; `files` maps paths to their sha256."""
    lines = sorted(f"{sha256}  {path}\n" for path, sha256 in files.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()
