"""The shared cache: models by digest, published whole or not at all, safe for several processes."""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from model_store.digest import model_digest
from model_store.errors import ModelStoreError
from model_store.progress import Progress


def default_cache(environment: Mapping[str, str] = os.environ) -> Path:
    """STREAMINGSTACK_CACHE, else `streamingstack` in XDG_CACHE_HOME, else in ~/.cache."""
    chosen = environment.get("STREAMINGSTACK_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    base = environment.get("XDG_CACHE_HOME") or Path(environment.get("HOME") or Path.home()) / ".cache"
    return Path(base) / "streamingstack"


_IDENTITY = "identity"


@dataclass(frozen=True)
class CachedModel:
    """A model that is whole in the cache; sizes in bytes."""

    digest: str
    path: Path
    files: Mapping[str, int]
    name: str
    pulled_at: str


@dataclass(frozen=True)
class Cache:
    """Where things lie below one folder."""

    root: Path

    def model(self, digest: str) -> Path:
        """The folder of a published model."""
        return self.root / "models" / digest

    def staging(self, key: str, identity: str) -> Path:
        """Where a model is put together; kept after a failure so that the next pull goes on.

        `identity` is noted beside it, so that what nobody wants any more can be told from what waits.
        """
        folder = self._made(self.root / "partial" / key)
        (folder / _IDENTITY).write_text(identity)
        return folder

    def wheels(self, distribution: str, version: str) -> Path:
        """Where a wheel waits until its members are taken out."""
        return self._made(self.root / "partial" / "wheels" / f"{distribution}-{version}")

    def published(self, digest: str) -> Path | None:
        """The model's folder when every file of its manifest is there in full size."""
        manifest = _json(self._manifest(digest))
        folder = self.model(digest)
        if manifest is None:
            return None
        whole = all(_has_size(folder / path, size) for path, size in manifest["files"].items())
        return folder if whole else None

    def publish(self, staged: Path, name: str, files: Mapping[str, str]) -> Path:
        """Move a staged folder to its digest; `files` maps paths to sha256. Two publishers of one digest are fine."""
        digest = model_digest(files)
        folder = self.model(digest)
        self._made(folder.parent)
        manifest = {
            "name": name,
            "pulledAt": datetime.now(UTC).isoformat(timespec="seconds"),
            "files": {path: (staged / path).stat().st_size for path in files},
            "sha256": dict(files),
        }
        _write(self._manifest(digest), manifest)
        if folder.exists() and self.published(digest) is None:
            shutil.rmtree(folder)
        try:
            os.rename(staged, folder)
        except OSError:
            if self.published(digest) is None:
                raise
            shutil.rmtree(staged)
        return folder

    def remembered(self, uri: str) -> tuple[str, str] | None:
        """(signature, digest) of the last pull of a whole-folder source."""
        entry = _json(self._source(uri))
        return (entry["signature"], entry["digest"]) if entry else None

    def remember(self, uri: str, signature: str, digest: str) -> None:
        """Note what a whole-folder source turned out to be."""
        _write(self._source(uri), {"uri": uri, "signature": signature, "digest": digest})

    @contextlib.contextmanager
    def lock(self, key: str, progress: Progress) -> Iterator[None]:
        """One process at a time; who waits says so."""
        lock = FileLock(self._made(self.root / "locks") / f"{key}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            waiting = "waiting for another pull of the same"
            progress.begin(waiting, 0, None)
            lock.acquire()
            progress.end(waiting)
        try:
            yield
        finally:
            lock.release()

    def models(self) -> list[CachedModel]:
        """Every whole model, by name."""
        found = []
        for path in sorted((self.root / "models").glob("*.json")):
            manifest = _json(path)
            folder = self.published(path.stem) if manifest else None
            if manifest and folder:
                found.append(CachedModel(path.stem, folder, manifest["files"], manifest["name"], manifest["pulledAt"]))
        return sorted(found, key=lambda model: (model.name, model.digest))

    def files(self, digest: str) -> dict[str, str] | None:
        """The sha256 of each file of a whole model, by path; None when it is not there."""
        manifest = _json(self._manifest(digest))
        return dict(manifest["sha256"]) if manifest and self.published(digest) else None

    def remove(self, digest: str) -> None:
        """Forget a model; who reads one of its files at this moment can read on."""
        self._manifest(digest).unlink(missing_ok=True)
        shutil.rmtree(self.model(digest), ignore_errors=True)
        for path in (self.root / "sources").glob("*.json"):
            if (_json(path) or {}).get("digest") == digest:
                path.unlink(missing_ok=True)

    def partials(self) -> dict[str, str]:
        """The identity behind each model that is only partly here, by its key."""
        found = {}
        for path in (self.root / "partial").glob(f"*/{_IDENTITY}"):
            with contextlib.suppress(OSError):
                found[path.parent.name] = path.read_text()
        return found

    def remove_partial(self, key: str) -> None:
        """Forget the beginnings of a model."""
        shutil.rmtree(self.root / "partial" / key, ignore_errors=True)

    def remove_wheels(self) -> None:
        """Forget wheels that a process left when it was killed; nobody may be pulling."""
        shutil.rmtree(self.root / "partial" / "wheels", ignore_errors=True)

    def _manifest(self, digest: str) -> Path:
        return self.root / "models" / f"{digest}.json"

    def _source(self, uri: str) -> Path:
        return self.root / "sources" / f"{hashlib.sha256(uri.encode()).hexdigest()}.json"

    @staticmethod
    def _made(folder: Path) -> Path:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as failure:
            raise ModelStoreError(
                f"{folder}: {failure.strerror}; set STREAMINGSTACK_CACHE to a folder that can be written"
            ) from None
        return folder


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def _json(path: Path) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        return content
    except (OSError, json.JSONDecodeError):
        return None


def _write(path: Path, content: object) -> None:
    Cache._made(path.parent)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.write_text(json.dumps(content, indent=1, sort_keys=True))
    os.replace(fresh, path)
