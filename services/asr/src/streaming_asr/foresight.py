"""What a stream will ask of its engine next, known while it still waits for something else.

Audio goes on arriving during a decode. Where a checkpoint will be met in it, or a Finalize, the same call can be made
at once that would be made when the stream gets there: nothing that is said depends on it, only how late it is said.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from streaming_asr.agreement import GLIMPSE
from streaming_asr.endpointing import Endpointer
from streaming_asr.engine import VAD_FRAME, Window

T = TypeVar("T")
# A checkpoint that is asked this soon in a silence makes decodes in it before that needless.
SOON_MS = 240


@dataclass(frozen=True, slots=True)
class Ask:
    """The stream will close what it heard at position `at`; `voiced`: somebody spoke since it last did; `scored`: the
    score of that time will do."""

    at: int
    voiced: bool
    scored: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a stream stands: at position `at`, with voice activity heard up to `frame_start`.

    `voiced`: somebody spoke since the last close; `undecoded`: since the last decode on the `grid`. `finalize_at`:
    where the next order is, and it is a Finalize.
    """

    at: int
    frame_start: int
    voiced: bool
    undecoded: bool
    grid: int
    finalize_at: int | None = None


def next_stop(at: int, frame_start: int, *due: int | None) -> int:
    """Where a stream at position `at` looks next: at the end of a frame, where decodes may be, at what is `due`.

    What was due before `at` is due there.
    """
    stops = [frame_start + VAD_FRAME, (at // GLIMPSE + 1) * GLIMPSE]
    return min(stops + [max(position, at) for position in due if position is not None])


def asked_soon(endpointer: Endpointer) -> bool:
    """In a silence whose first checkpoint decodes the same in a moment, unless somebody speaks on."""
    return not endpointer.speaking and endpointer.checkpoints_ms[0] <= SOON_MS


def coming_asks(endpointer: Endpointer, standing: Standing, probabilities: Sequence[float], end: int) -> Iterator[Ask]:
    """The asks in the audio up to position `end`, if every checkpoint is answered with CONTINUE.

    `probabilities` are of the frames from `standing.frame_start` on. Nothing is foreseen beyond the open segment, nor
    beyond the next decode on the grid, which may move the window.
    """
    ahead = endpointer.copy()
    at, frame_start, voiced, undecoded = standing.at, standing.frame_start, standing.voiced, standing.undecoded
    heard = iter(probabilities)
    while ahead.segment is not None and ahead.segment is endpointer.segment:
        stop = next_stop(at, frame_start, standing.finalize_at, ahead.cap_at)
        if stop > end or (ahead.cap_at is not None and stop >= ahead.cap_at):
            return
        if stop == frame_start + VAD_FRAME:
            probability = next(heard, None)
            if probability is None:
                return
            ahead.hear(frame_start, stop, probability)
            frame_start = stop
            if ahead.speaking and stop > ahead.floor:
                voiced = undecoded = True
        due = ahead.due(stop)
        if due is not None:
            yield Ask(stop, voiced)
            ahead.asked(due)
            voiced = undecoded = False
        if standing.finalize_at is not None and stop >= standing.finalize_at:
            yield Ask(stop, voiced, scored=not voiced)
            return
        if due == ahead.checkpoints_ms[-1] or (undecoded and stop % standing.grid == 0 and not asked_soon(ahead)):
            return
        at = stop


async def waited_for(
    call: Coroutine[Any, Any, T], look: Callable[[], Awaitable[None]], news: Callable[[], Coroutine[Any, Any, None]]
) -> T:
    """What `call` returns or raises; `look` runs at once, and again whenever there is news, until then."""
    waiting = asyncio.create_task(call)
    try:
        while not waiting.done():
            await look()
            told = asyncio.create_task(news())
            await asyncio.wait({waiting, told}, return_when=asyncio.FIRST_COMPLETED)
            told.cancel()
        return waiting.result()
    finally:
        if not waiting.done():
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)


class EarlyCalls:
    """Calls of the engine that were begun before their turn, by what they are of."""

    def __init__(self) -> None:
        self._begun: dict[tuple[str, int, int], asyncio.Task[Any]] = {}

    def begin(self, kind: str, window: Window, call: Callable[[Window], Coroutine[Any, Any, Any]]) -> None:
        """Make the call now, where it was not made already."""
        key = _key(kind, window)
        if key not in self._begun:
            self._begun[key] = asyncio.create_task(call(window))
            self._begun[key].add_done_callback(_noticed)

    async def finish(self, kind: str, window: Window, call: Callable[[Window], Coroutine[Any, Any, T]]) -> T:
        """The call's answer, begun before or not. Raises what the call raises."""
        begun = self._begun.pop(_key(kind, window), None)
        if begun is None:
            return await call(window)
        answer: T = await begun
        return answer

    def drop(self) -> None:
        """Nobody will ask for those that are left."""
        for call in self._begun.values():
            call.cancel()
        self._begun.clear()


def _key(kind: str, window: Window) -> tuple[str, int, int]:
    return kind, window.first_sample, window.first_sample + len(window.pcm)


def _noticed(call: asyncio.Task[Any]) -> None:
    """A failure that nobody asks for is none: the call that the stream waits for fails alike."""
    if not call.cancelled():
        call.exception()
