"""`streamingstack up`: a whole stack as local processes, until Ctrl-C."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from rich.console import Console

from streamingstack_cli.prepare import LocalStack, Wishes, claimed, prepare, read_stack, state_of
from streamingstack_cli.running import first_of, running
from streamingstack_cli.welcome import welcome

Work = Callable[[LocalStack], Coroutine[Any, Any, object]]


def run_local(wishes: Wishes, console: Console, work: Work) -> None:
    """Start the stack, do `work` with it, stop it. Ctrl-C, SIGTERM and a closed terminal end `work` early.

    Raises CommandError, and what `work` raises.
    """
    with claimed(state_of(read_stack(wishes.stack_file), wishes)):
        local = prepare(wishes, console)
        asyncio.run(_run(local, console, work))


async def _run(local: LocalStack, console: Console, work: Work) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, told.set)
    await first_of(_stack(local, console, work, told))


async def _stack(local: LocalStack, console: Console, work: Work, told: asyncio.Event) -> None:
    starting = asyncio.current_task()
    assert starting is not None
    early = asyncio.create_task(_cancel_when(told, starting))
    try:
        async with running(local, console) as stack:
            early.cancel()
            await first_of(work(local), stack.watch(started=True), told.wait())
    except asyncio.CancelledError:
        if not told.is_set():
            raise
    finally:
        early.cancel()


async def _cancel_when(told: asyncio.Event, task: "asyncio.Task[Any]") -> None:
    await told.wait()
    task.cancel()


def up(wishes: Wishes, console: Console) -> None:
    """Keep a stack running and say how to use it; raises CommandError."""

    async def stay(local: LocalStack) -> None:
        welcome(local, console)
        await asyncio.Event().wait()

    run_local(wishes, console, stay)
