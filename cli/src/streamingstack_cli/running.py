"""A local stack while it runs: started in parallel, watched, stopped in order."""

import asyncio
import contextlib
import time
import xmlrpc.client
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console

from streamingstack_cli.errors import CommandError
from streamingstack_cli.prepare import SUPERVISORD, LocalStack
from streamingstack_cli.processes import GATEWAY, Process
from streamingstack_cli.readiness import until_ready
from streamingstack_cli.supervisord import ProcessState, Supervisord, cause_of_death, last_error

_POLL_SECONDS = 0.3


class Running:
    """All processes; `watch` ends only with an exception."""

    def __init__(self, local: LocalStack, supervisord: Supervisord, console: Console) -> None:
        self._local = local
        self._supervisord = supervisord
        self._console = console
        self._pids: dict[str, int] = {}

    async def wait_ready(self) -> None:
        """Return when everything serves, with a line for each part; raises CommandError after its startup time."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for process in self._local.processes:
                group.create_task(self._ready(process, began))

    async def _ready(self, process: Process, began: float) -> None:
        try:
            async with asyncio.timeout(process.startup_seconds):
                await until_ready(process.readiness)
        except TimeoutError:
            log = self._local.layout.state.log(process.name)
            raise CommandError(
                f"{process.name} is not ready after {process.startup_seconds} s: {_last_error(log)}; see {log}"
            ) from None
        self._console.print(f"  {process.name:<24} ready after {time.monotonic() - began:4.1f} s", highlight=False)

    async def watch(self, *, started: bool) -> NoReturn:
        """Raise CommandError when a process ends that must not; Triton may, once everything has `started`."""
        by_name = {process.name: process for process in self._local.processes}
        while True:
            try:
                states = await self._supervisord.states()
            except (OSError, xmlrpc.client.Error):
                raise CommandError(f"supervisord has ended; see {self._log(SUPERVISORD)}") from None
            for state in states:
                self._judge(by_name[state.process], state, started=started)
            await asyncio.sleep(_POLL_SECONDS)

    def _judge(self, process: Process, state: ProcessState, *, started: bool) -> None:
        mendable = started and process.restarts and state.name != "FATAL"
        before = self._pids.get(process.name)
        moved = before is not None and state.pid not in (0, before)
        if state.pid:
            self._pids[process.name] = state.pid
        if not (state.ended or state.name == "BACKOFF" or moved):
            return
        log = self._log(process.name)
        how = cause_of_death(_text(self._log(SUPERVISORD)), process.name)
        if not mendable:
            raise CommandError(f"{process.name} ended ({how}): {_last_error(log)}; see {log}")
        if moved:
            self._console.print(f"  {process.name} ended ({how}); it was started again", highlight=False)

    def _log(self, name: str) -> Path:
        return self._local.layout.state.log(name)


@contextlib.asynccontextmanager
async def running(local: LocalStack, console: Console) -> AsyncIterator[Running]:
    """Start everything and wait until it serves; stop everything on the way out. Raises CommandError."""
    state = local.layout.state
    console.print("Starting", highlight=False)
    supervisord = await Supervisord.start(
        state.run / f"{SUPERVISORD}.json", local.socket, state.log(SUPERVISORD), local.layout.inherited
    )
    stack = Running(local, supervisord, console)
    try:
        await first_of(stack.wait_ready(), stack.watch(started=False))
        yield stack
    finally:
        console.print("Stopping", highlight=False)
        await asyncio.shield(supervisord.stop(GATEWAY))


async def first_of(*work: Coroutine[Any, Any, object]) -> None:
    """Run until one ends, cancel the rest, and raise what it raised; a group's single failure is raised itself."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        failure = task.exception()
        if isinstance(failure, BaseExceptionGroup):
            raise failure.exceptions[0]
        if failure is not None:
            raise failure


def _last_error(log: Path) -> str:
    return last_error(_text(log)) or "it wrote nothing"


def _text(log: Path, most: int = 64_000) -> str:
    """The end of a log."""
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - most))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
