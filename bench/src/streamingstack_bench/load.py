"""Many sessions at once: each of N clients plays one programme after the other."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from streamingstack_bench.clips import Programme, endless
from streamingstack_bench.records import Played, Session
from streamingstack_bench.session import Target, play


@dataclass(frozen=True)
class Load:
    """How much of it.

    `sessions` clients run at once, each starting `stagger_s` after the one before, so that their chunks and windows
    do not fall together. Each programme is played once, or, with `duration_s`, over and over, and no session is begun
    after that time.
    """

    sessions: int
    stagger_s: float = 0.5
    duration_s: float | None = None


@dataclass
class Watch:
    """Who wants to know how it goes: seconds of audio as they are sent, sessions as they end."""

    advance: Callable[[float], None] = field(default=lambda _seconds: None)
    ended: Callable[[Session], None] = field(default=lambda _session: None)


async def run_load(target: Target, load: Load, every: Sequence[Programme], watch: Watch | None = None) -> list[Played]:
    """Run it to its end; what each session met is in the result, in the order in which they ended."""
    clock = asyncio.get_running_loop().time
    queue = iter(every) if load.duration_s is None else endless(every)
    over = clock() + load.duration_s if load.duration_s is not None else float("inf")
    played: list[Played] = []
    for programme in every:  # decoding a file while sessions run would make their sends late
        _ = programme.pcm

    async def client(number: int) -> None:
        await asyncio.sleep(number * load.stagger_s)
        for programme in _until(queue, lambda: clock() >= over):
            session = await play(target, programme.pcm, (watch or Watch()).advance)
            played.append(Played(programme, session))
            (watch or Watch()).ended(session)
            if session.fate == "refused":
                await asyncio.sleep(1.0)  # a refused client comes back, but does not hammer

    async with asyncio.TaskGroup() as clients:
        for number in range(load.sessions):
            clients.create_task(client(number))
    return played


def _until(queue: Iterator[Programme], over: Callable[[], bool]) -> Iterator[Programme]:
    while not over():
        programme = next(queue, None)
        if programme is None:
            return
        yield programme
