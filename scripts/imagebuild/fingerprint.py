"""Whether an image would come out as it did: a digest of everything that it is built from."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

# As .dockerignore has them: what no image sees. A difference only costs a build that changes nothing.
_UNSEEN_FOLDERS = frozenset({"tests", "__pycache__"})
_GENERATED = tuple(f"packages/asr_contract/src/{package}/" for package in ("externalscaler", "streamingstack"))


def fingerprint(root: Path, paths: Iterable[str], facts: Iterable[str]) -> str:
    """A digest of the files under `paths` of `root`, by name and content, and of `facts` in their order."""
    digest = hashlib.sha256()
    for fact in facts:
        digest.update(f"{len(fact)}:{fact}".encode())
    for path in _files(root, sorted(paths)):
        content = path.read_bytes()
        mode = path.stat().st_mode & 0o111
        digest.update(f"{path.relative_to(root)}:{mode}:{len(content)}:".encode())
        digest.update(content)
    return digest.hexdigest()


def _files(root: Path, paths: Iterable[str]) -> Iterator[Path]:
    for name in paths:
        path = root / name
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (file for file in found if file.is_file() and _is_seen(file.relative_to(root)))


def _is_seen(path: Path) -> bool:
    return not (_UNSEEN_FOLDERS & set(path.parts)) and not path.as_posix().startswith(_GENERATED)
