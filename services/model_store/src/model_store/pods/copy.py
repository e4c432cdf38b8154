"""A model from the store into a pod's folder: resumed, verified file by file, whole or absent."""

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from service_kit.logs import get_logger

from model_store.digest import model_digest
from model_store.disk import require_room
from model_store.download import Retry, download, part_of, sha256_of, size_of
from model_store.errors import SourceNotFoundError, SourceUnreachableError, WrongDigestError
from model_store.pods.store_client import Offer, OfferedFile, StoreAwayError, StoreClient
from model_store.uris import safe_path

_log = get_logger(__name__)
POLL_SECONDS = 2.0
TELL_SECONDS = 10.0


@dataclass(frozen=True)
class Wanted:
    """Which model, as what: `identity` None takes whatever the store has under the name."""

    name: str
    identity: str | None
    target: Path


@dataclass
class _Told:
    """One line for each news, and one now and then for the same."""

    clock: Callable[[], float]
    last: str = ""
    at: float = 0.0

    def say(self, event: str, **fields: object) -> None:
        now = self.clock()
        if event != self.last or now - self.at >= TELL_SECONDS:
            _log.info(event, **fields)
            self.last, self.at = event, now


@dataclass
class _Copying:
    """A Progress that tells of the whole model."""

    told: _Told
    name: str
    total: int
    done: dict[str, int] = field(default_factory=dict)

    def expect(self, total: int) -> None:
        """Known from the manifest."""

    def begin(self, name: str, done: int, total: int | None) -> None:
        """See Progress."""
        self.done[name] = done

    def advance(self, name: str, count: int) -> None:
        """See Progress."""
        self.done[name] += count
        self.told.say("copying", model=self.name, bytes_done=sum(self.done.values()), bytes_total=self.total)

    def end(self, name: str) -> None:
        """See Progress."""


class Fetching:
    """Brings one model; it waits as long as the store does, as a pod without its model can do nothing else."""

    def __init__(
        self,
        store: StoreClient,
        wanted: Wanted,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._wanted, self._sleep = store, wanted, sleep
        self._told = _Told(clock, at=clock())
        self._retry = Retry(attempts=3, sleep=sleep)

    def run(self) -> Path:
        """The folder with the model. Raises DiskFullError, ModelStoreError where only a person can help."""
        while True:
            try:
                offer = self._ready()
                if offer is not None and offer.digest is not None:
                    return self._adopt(offer.digest)
            except StoreAwayError as away:
                self._told.say("waiting for the model store", reason=str(away))
            except (SourceNotFoundError, SourceUnreachableError, WrongDigestError) as failure:
                # The store was restarted, has another digest by now, or is mending a broken file.
                self._told.say("copying again", reason=str(failure))
            self._sleep(POLL_SECONDS)

    def _ready(self) -> Offer | None:
        """The store's offer once it can be copied; None, and a line, while it cannot. Raises StoreAwayError."""
        wanted, offer = self._wanted, self._store.offer(self._wanted.name)
        if offer is None:
            self._told.say("the model store does not know the model yet", model=wanted.name)
        elif wanted.identity not in (None, offer.identity):
            self._told.say("the model store still has an older list", model=wanted.name)
        elif offer.state == "Failed":
            self._told.say("the model store cannot fetch the model", model=wanted.name, reason=offer.error)
        elif offer.state != "Ready":
            size = {"bytes_done": offer.bytes_done, "bytes_total": offer.bytes_total}
            self._told.say("the model store is fetching", model=wanted.name, **size)
        else:
            return offer
        return None

    def _adopt(self, digest: str) -> Path:
        """Copy a digest unless it is here, and let the model's name lead to it."""
        target, name = self._wanted.target, self._wanted.name
        folder = target / "digests" / digest
        if not folder.exists():
            staging = target / "partial" / digest
            self._copy(digest, staging)
            folder.parent.mkdir(parents=True, exist_ok=True)
            os.rename(staging, folder)
        link, former = target / name, _leads_to(target / name)
        fresh = target / f".{name}.next"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(Path("digests") / digest)
        os.replace(fresh, link)
        if former is not None and former != folder and former.is_relative_to(target / "digests"):
            shutil.rmtree(former, ignore_errors=True)
        shutil.rmtree(target / "partial", ignore_errors=True)
        _log.info("model ready", model=name, digest=digest)
        return link

    def _copy(self, digest: str, staging: Path) -> None:
        files = self._store.files(digest)
        if not files:
            raise SourceNotFoundError(f"the model store has {digest} no more")
        if model_digest({file.path: file.sha256 for file in files}) != digest:
            raise WrongDigestError(f"list of files of {self._wanted.name}", digest, "another")
        for other in staging.parent.glob("*"):
            if other != staging:
                shutil.rmtree(other, ignore_errors=True)
        staging.mkdir(parents=True, exist_ok=True)
        require_room(staging, sum(file.size - _here(staging / safe_path(file.path)) for file in files))
        progress = _Copying(self._told, self._wanted.name, sum(file.size for file in files))
        for file in files:
            self._copy_one(digest, file, staging, progress)

    def _copy_one(self, digest: str, file: OfferedFile, staging: Path, progress: _Copying) -> None:
        target = staging / safe_path(file.path)
        download(self._store.file(digest, file.path), target, progress, self._retry, file.path)
        got = sha256_of(target)
        if got != file.sha256:
            target.unlink()
            raise WrongDigestError(file.path, file.sha256, got)


def _here(path: Path) -> int:
    return size_of(path) or size_of(part_of(path))


def _leads_to(link: Path) -> Path | None:
    return link.parent / os.readlink(link) if link.is_symlink() else None
