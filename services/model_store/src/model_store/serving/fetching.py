"""One model brought into the cache, watched from outside and given up when nobody wants it any more."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from stack_model.stored_models import StoredModel

from model_store.cache import Cache
from model_store.download import Retry, sha256_of
from model_store.errors import ModelStoreError, SourceError, WrongDigestError
from model_store.pull import pull_model
from model_store.uris import FileSource, parse_source

Result = TypeVar("Result")


class AbandonedError(Exception):
    """Nobody wants the model any more, or the process ends."""


class Watched:
    """A Progress that adds up and can end the pull: written by the thread that pulls, read by the event loop."""

    def __init__(self, count: Callable[[int], None]) -> None:
        """`count` is called with every number of bytes that came."""
        self._count = count
        self._given_up = threading.Event()
        self._done: dict[str, int] = {}
        self._totals: dict[str, int | None] = {}
        self._expected: int | None = None

    @property
    def done(self) -> int:
        """Bytes here, those of an earlier try included."""
        return sum(list(self._done.values()))

    @property
    def total(self) -> int | None:
        """Bytes of the downloads that are known of; None where one does not tell."""
        known = [total for total in list(self._totals.values()) if total is not None]
        return self._expected or (sum(known) if known and len(known) == len(self._totals) else None)

    def give_up(self) -> None:
        """End the pull at its next sign of life."""
        self._given_up.set()

    def sleep(self, seconds: float) -> None:
        """Between two tries. Raises AbandonedError."""
        if self._given_up.wait(seconds):
            raise AbandonedError

    def expect(self, total: int) -> None:
        """See Progress."""
        self._expected = total

    def begin(self, name: str, done: int, total: int | None) -> None:
        """See Progress; raises AbandonedError."""
        self.sleep(0)
        self._done[name], self._totals[name] = done, total

    def advance(self, name: str, count: int) -> None:
        """See Progress; raises AbandonedError."""
        self.sleep(0)
        self._done[name] = self._done.get(name, 0) + count
        self._count(count)

    def end(self, name: str) -> None:
        """See Progress; raises AbandonedError."""
        self.sleep(0)


def refuse_local(model: StoredModel, allowed: Path | None) -> None:
    """Raise SourceError for a file:// outside `allowed`: what lies on a store's disk is not for its clients."""
    for uri in filter(None, [model.source, *(part for file in model.files for part in file.parts)]):
        source = parse_source(uri)
        if not isinstance(source, FileSource):
            continue
        if allowed is None or not source.path.resolve().is_relative_to(allowed.resolve()):
            raise SourceError(
                f"file://{source.path}: not served by a model store; use pvc://claim/path, https, hf or s3"
            )


def obtain(model: StoredModel, cache: Cache, progress: Watched, unverified: set[str]) -> tuple[str, int]:
    """The digest and size in bytes of the whole model, verified; blocks.

    `unverified` holds digests that were on disk before this process and were not read since. Raises ModelStoreError,
    AbandonedError.
    """
    retry = Retry(sleep=progress.sleep)
    digest = pull_model(model, cache.root, progress, retry=retry).name
    if digest in unverified:
        unverified.discard(digest)
        if not _is_intact(cache, digest, progress):
            cache.remove(digest)
            digest = pull_model(model, cache.root, progress, retry=retry).name
    files = cache.files(digest)
    if files is None:
        raise ModelStoreError(f"{cache.root}: the model's files changed under our hands; keep others off this folder")
    return digest, sum((cache.model(digest) / path).stat().st_size for path in files)


def _is_intact(cache: Cache, digest: str, progress: Watched) -> bool:
    for path, expected in (cache.files(digest) or {}).items():
        progress.sleep(0)
        try:
            got = sha256_of(cache.model(digest) / path)
        except OSError:
            return False
        if got != expected:
            return False
    return True


def reason_of(failure: BaseException) -> str:
    """A word for metrics: the failure's kind."""
    return "WrongDigest" if isinstance(failure, WrongDigestError) else type(failure).__name__.removesuffix("Error")


async def in_thread_of_its_own(work: Callable[[], Result]) -> Result:
    """Run blocking `work` in a daemon thread: one that hangs in a read must not hold up the end of the process."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[Result] = loop.create_future()

    def settle(result: Result | None, failure: BaseException | None) -> None:
        if outcome.cancelled():
            return
        if failure is None:
            outcome.set_result(result)  # type: ignore[arg-type]
        else:
            outcome.set_exception(failure)

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except BaseException as raised:  # noqa: BLE001 - handed to whoever waits
            failure = raised
        try:
            loop.call_soon_threadsafe(settle, result, failure)
        except RuntimeError:
            return  # the loop has ended, and nobody waits

    threading.Thread(target=run, daemon=True).start()
    return await outcome
