"""Keeps on disk exactly the models of the list: fetches, tries again, forgets."""

import asyncio
import functools
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from service_kit.faults import place_of
from service_kit.logs import get_logger
from stack_model.stored_models import StoredModel

from model_store.cache import Cache
from model_store.errors import DiskFullError, ModelStoreError
from model_store.serving.fetching import (
    AbandonedError,
    Watched,
    in_thread_of_its_own,
    obtain,
    reason_of,
    refuse_local,
)
from model_store.serving.metrics import StoreMetrics
from model_store.serving.states import ModelState, State, unwanted_digests, unwanted_partials

_log = get_logger(__name__)
_MORE_ROOM = "Raise spec.modelStore.storage.size, or take models out of the stack"


@dataclass
class _Kept:
    state: ModelState
    watched: Watched
    task: asyncio.Task[None] | None = None

    def give_up(self) -> None:
        self.watched.give_up()
        if self.task is not None:
            self.task.cancel()


@dataclass(frozen=True)
class Patience:
    """Seconds before a failed fetch is tried again: the first time, and at most; it doubles between."""

    first: float
    longest: float

    def after(self, failures: int) -> float:
        """Before the next try."""
        return float(min(self.longest, self.first * 2 ** min(failures - 1, 30)))


class Keeper:
    """Everything a store knows of its models; use it inside one event loop."""

    def __init__(
        self, store: Path, metrics: StoreMetrics, patience: Patience, at_once: int, file_sources: Path | None = None
    ) -> None:
        """`store` is the folder with the models; at most `at_once` models are fetched at a time."""
        self.cache = Cache(store)
        self._metrics = metrics
        self._patience = patience
        self._turn = asyncio.Semaphore(at_once)
        self._file_sources = file_sources
        self._kept: dict[str, _Kept] = {}
        self._unverified = {model.digest for model in self.cache.models()}

    @property
    def states(self) -> list[ModelState]:
        """One for each model of the list, in its order."""
        return [self._shown(kept) for kept in self._kept.values()]

    def state(self, name: str) -> ModelState | None:
        """One model's; None when it is not in the list."""
        kept = self._kept.get(name)
        return self._shown(kept) if kept else None

    def want(self, models: Sequence[StoredModel]) -> None:
        """Follow a new list: what is the same goes on undisturbed."""
        before, self._kept = self._kept, {}
        for model in models:
            old = before.get(model.name)
            if old is not None and old.state.model == model:
                self._kept[model.name] = before.pop(model.name)
                continue
            self._kept[model.name] = _Kept(ModelState(model), Watched(self._metrics.fetched_bytes.inc))
        for gone in before.values():
            gone.give_up()
        for kept in self._kept.values():
            if kept.task is None:
                kept.task = asyncio.create_task(self._keep(kept))
        self._tidy()

    async def close(self) -> None:
        """End every fetch; what is here already is kept."""
        tasks = [kept.task for kept in self._kept.values() if kept.task]
        for kept in self._kept.values():
            kept.give_up()
        await asyncio.gather(*tasks, return_exceptions=True)

    def room(self) -> tuple[int, int]:
        """Bytes of the disk: free, and in all; zeros where there is no such folder."""
        try:
            usage = shutil.disk_usage(self.cache.root)
        except OSError:
            return 0, 0
        return usage.free, usage.total

    @staticmethod
    def _shown(kept: _Kept) -> ModelState:
        if kept.state.state is State.FETCHING:
            return kept.state.fetching(kept.watched.done, kept.watched.total)
        return kept.state

    async def _keep(self, kept: _Kept) -> None:
        """Fetch one model, again and again until it is there."""
        failures = 0
        while True:
            failure = await self._try(kept)
            if failure is None:
                return
            if isinstance(failure, DiskFullError) and self._tidy(no_room=True):
                continue
            failures += 1
            pause = self._patience.after(failures)
            text = _told(failure)
            kept.state = kept.state.failed(text, time.time() + pause)
            self._metrics.failures.labels(kept.state.model.name, reason_of(failure)).inc()
            _log.error(
                "model cannot be fetched", model=kept.state.model.name, reason=text, again_in_seconds=round(pause, 1)
            )
            await asyncio.sleep(pause)

    async def _try(self, kept: _Kept) -> Exception | None:
        """One fetch in its turn; what went wrong, None where the model is there."""
        model, began = kept.state.model, time.monotonic()
        async with self._turn:
            kept.watched = Watched(self._metrics.fetched_bytes.inc)
            kept.state = kept.state.fetching()
            work = functools.partial(obtain, model, self.cache, kept.watched, self._unverified)
            try:
                refuse_local(model, self._file_sources)
                digest, size = await in_thread_of_its_own(work)
            except (ModelStoreError, OSError) as failure:
                return failure
            except AbandonedError:
                raise asyncio.CancelledError from None
            except Exception as failure:  # noqa: BLE001 - a source's library may raise anything; the store lives on
                _log.error("unforeseen failure", kind=type(failure).__name__, place=place_of(failure))
                return failure
        kept.state = kept.state.ready(digest, size)
        seconds = round(time.monotonic() - began, 1)
        _log.info("model ready", model=model.name, digest=digest, bytes=size, seconds=seconds)
        self._tidy()
        return None

    def _tidy(self, *, no_room: bool = False) -> bool:
        """Forget what nobody wants; whether anything went."""
        states = self.states
        on_disk = {model.digest: model.name for model in self.cache.models()}
        digests = unwanted_digests(on_disk, states, no_room=no_room)
        partials = unwanted_partials(self.cache.partials(), states)
        for digest in digests:
            _log.info("model forgotten", model=on_disk[digest], digest=digest)
            self.cache.remove(digest)
        for key in partials:
            self.cache.remove_partial(key)
        if all(state.state is State.READY for state in states):
            self.cache.remove_wheels()
        return bool(digests or partials)


def _told(failure: Exception) -> str:
    """One line with the remedy; of what nobody foresaw only the kind: its text may quote a credential."""
    if isinstance(failure, DiskFullError):
        return failure.with_remedy(_MORE_ROOM)
    if isinstance(failure, ModelStoreError):
        return str(failure)
    if isinstance(failure, OSError):
        return f"{failure.filename or 'disk'}: {failure.strerror or type(failure).__name__}; see the store's volume"
    return f"{type(failure).__name__}, unforeseen; the store's log has its place"
