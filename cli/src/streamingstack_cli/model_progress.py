"""Models pulled with a progress bar, or with plain lines where there is no terminal."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from model_store import Cache, ModelStoreError, default_cache, model_digest, pull, pull_model
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn
from stack_model.api import Model
from stack_model.hearing import HEARING_FILES

from streamingstack_cli.errors import CommandError


class Bars:
    """One bar a download."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()

    def expect(self, total: int) -> None:
        """Nothing: each download has a bar of its own."""

    def begin(self, name: str, done: int, total: int | None) -> None:
        """Show a bar, or set the one that is there back to `done`."""
        with self._lock:
            if name not in self._tasks:
                self._tasks[name] = self._progress.add_task(name, total=total)
            self._progress.update(self._tasks[name], completed=done, total=total)

    def advance(self, name: str, count: int) -> None:
        """Move the bar."""
        self._progress.advance(self._tasks[name], count)

    def end(self, name: str) -> None:
        """Leave the full bar."""
        task = self._tasks.get(name)
        if task is not None:
            self._progress.update(task, total=self._progress.tasks[task].completed or 1)


class Lines:
    """One line when a download starts."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._begun: set[str] = set()

    def expect(self, total: int) -> None:
        """Nothing."""

    def begin(self, name: str, done: int, total: int | None) -> None:
        """Say what comes."""
        if name not in self._begun:
            self._begun.add(name)
            size = f", {total / 1e6:.1f} MB" if total else ""
            self._console.print(f"  fetching {name}{size}", highlight=False, markup=False)

    def advance(self, name: str, count: int) -> None:
        """Nothing."""

    def end(self, name: str) -> None:
        """Nothing."""


@contextlib.contextmanager
def told(console: Console) -> Iterator[Bars | Lines]:
    """Progress as `console` can show it."""
    if not console.is_terminal:
        yield Lines(console)
        return
    columns = (TextColumn("  {task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console) as progress:
        yield Bars(progress)


def pull_all(models: Sequence[Model], console: Console) -> dict[str, Path]:
    """The folder of each model by its name, with the hearing files under ''. Raises CommandError."""
    cache = default_cache()
    with told(console) as progress:
        try:
            folders = {"": pull(HEARING_FILES, cache, progress, name="hearing")}
            for model in models:
                folders[model.name] = pull_model(model, cache, progress)
        except ModelStoreError as failure:
            raise CommandError(f"cannot get the models: {failure}") from failure
    return folders


def expected_folder(model: Model) -> Path:
    """Where a model lies once it is pulled; `unknown` for a whole-folder source that was never pulled."""
    cache = Cache(default_cache())
    if model.source is None:
        return cache.model(model_digest({file.path: file.sha256 for file in model.files}))
    known = cache.remembered(model.source)
    return cache.model(known[1] if known else "unknown")


def hearing_folder() -> Path:
    """Where the hearing files lie once they are pulled."""
    return Cache(default_cache()).model(model_digest({file.path: file.sha256 for file in HEARING_FILES}))
