"""One session's way to words: a stream at a time, replaced when it is lost."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from asr_contract.clock import BYTES_PER_SAMPLE, SAMPLE_RATE
from service_kit.faults import place_of
from service_kit.logs import get_logger
from streamingstack.asr.v1 import recognizer_pb2 as pb

from streaming_gateway.link.api import BacklogDroppedError, LinkLostError
from streaming_gateway.link.events import EventQueue
from streaming_gateway.link.intake import receive
from streaming_gateway.link.ledger import FRAME, Ledger
from streaming_gateway.link.opener import Avoid, Opener, Shared, buffer_seconds
from streaming_gateway.link.replay import Replay
from streaming_gateway.link.stream import RecognizerStream, StreamLost

log = get_logger(__name__)

# Losses in a row without a step forward: then this audio, not the recognisers, is what breaks them. The pauses between
# them are for a recogniser whose model has just died and that does not know it yet.
_FRUITLESS_STREAMS = 6
_FIRST_PAUSE = 0.25


class RecognizerLink:
    """Made by `Recognizers.open`. Audio goes in, events come out; what happens to recognisers stays inside."""

    def __init__(self, shared: Shared, ledger: Ledger, opening: asyncio.Task[RecognizerStream]) -> None:
        self._shared, self._ledger = shared, ledger
        self._events = EventQueue()
        self._stream: RecognizerStream | None = None
        self._replay: Replay | None = None
        self._closed = False
        self._fruitless = 0
        self._lost_at_sample = -1
        self._opening = opening
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(self._free)
        self._given_up = False
        self.on_close: Callable[[], None] = lambda: None
        self.on_audio: Callable[[], None] = lambda: None

    @property
    def replacing(self) -> bool | None:
        """Whether checkpoints carry the whole segment; None before the first recogniser was Ready."""
        return self._ledger.replacing

    @property
    def received_samples(self) -> int:
        """Audio given so far."""
        return self._ledger.audio.end

    @property
    def processed_samples(self) -> int:
        """Everything before this position was heard; the backlog is what lies between."""
        return self._ledger.processed

    @property
    def backlog_bytes(self) -> int:
        """Audio that is held and was not heard; none once the session is given up."""
        return 0 if self._given_up else BYTES_PER_SAMPLE * max(0, self._ledger.audio.end - self._ledger.processed)

    @property
    def orders_full(self) -> bool:
        """Whether more Finalizes and updates wait, or are kept for a replay, than a session may have."""
        return self._ledger.orders.full

    def send_audio(self, pcm: bytes) -> None:
        """Queue mono s16le audio at 16 kHz; never blocks. Raises ValueError when `pcm` holds half a sample."""
        if pcm and not self._task.done():
            self._ledger.audio.append(pcm)
            self._wake()
            self.on_audio()

    def drop_backlog(self) -> None:
        """Give the session up: it waits for more audio to be heard than the gateway can hold for it."""
        self._given_up = True
        self._fail(
            BacklogDroppedError("its backlog is the largest, and all of them are more than the gateway may hold")
        )
        self._task.cancel()

    def finalize(self) -> int:
        """Close the open segment at the end of the audio given so far; returns the id that its Finalized will have."""
        finalize_id = self._ledger.finalize()
        self._wake()
        return finalize_id

    def answer(self, checkpoint: pb.Checkpoint, decision: int) -> None:
        """Decide a checkpoint, exactly once. Raises ValueError when it is not open or the decision not allowed."""
        answer = self._ledger.answer(checkpoint, decision)
        if answer is not None and self._stream is not None:
            self._stream.answer(answer)

    def update(self, **changes: Any) -> None:
        """Change fields of Hearing at the end of the audio given so far. Raises TypeError naming an unknown one."""
        self._ledger.update(changes)
        self._wake()

    def events(self) -> AsyncIterator[pb.RecognizeResponse]:
        """What was heard, each thing once, whatever happens to recognisers. Ends after `close`.

        Raises LinkLostError when there is no recogniser to go on with.
        """
        return aiter(self._events)

    async def close(self) -> None:
        """Free the recogniser's slot and everything held; idempotent."""
        if not self._closed:
            self._closed = True
            self._task.cancel()
            self._events.end()
        self._opening.cancel()
        await asyncio.wait({self._task, self._opening})

    def _wake(self) -> None:
        if self._stream is not None:
            self._stream.wake()

    async def _run(self) -> None:
        try:
            stream = await self._opening
            while True:
                loss, successor = await self._carry(stream)
                self._note(stream, loss)
                successor = successor or await self._resume(stream)
                replayed = max(0, stream.sent - successor.plan.open.first_sample) / SAMPLE_RATE
                self._shared.metrics.replayed.inc(replayed)
                stream = successor
        except LinkLostError as lost:
            self._fail(lost)
        except Exception as error:  # noqa: BLE001
            # Its text may quote what was said; its type and place do not.
            session, kind = self._ledger.request.session_id, type(error).__name__
            log.error("the link failed", session=session, kind=kind, place=place_of(error))
            self._fail(LinkLostError(f"the gateway's link failed: {type(error).__name__}"), error)

    def _free(self, _task: asyncio.Task[None]) -> None:
        opening = self._opening
        if opening.done() and not opening.cancelled() and opening.exception() is None:
            opening.result().cancel()  # a link that is closed before it ran has not taken its stream up
        if self._replay is not None:
            self._replay.give_place()
        self._ledger.release()
        self._shared.metrics.held.set(self._shared.budget.used)
        self.on_close()

    def _fail(self, lost: LinkLostError, cause: Exception | None = None) -> None:
        self._shared.metrics.lost.inc()
        log.warning("no way on", session=self._ledger.request.session_id, reason=str(lost))
        lost.__cause__ = cause
        self._events.end(lost)

    async def _carry(self, stream: RecognizerStream) -> tuple[StreamLost, RecognizerStream | None]:
        """Until the stream is lost; says why, and what takes over where that was found before."""
        metrics = self._shared.metrics
        self._ledger.begin(stream.plan, stream.ready)
        self._stream = stream
        metrics.streams.inc()
        moving = asyncio.create_task(self._move(stream))
        try:
            loss = await stream.carry(self._ledger, self._deliver)
            moving.cancel()
            await asyncio.wait({moving})
            successor = None if moving.cancelled() else moving.result()
            if stream.draining.is_set() and not (loss.fatal and successor is None):
                loss = StreamLost("draining", loss.status if successor is None else None)
            return loss, successor
        except BaseException:
            moving.add_done_callback(_cancel_result)
            raise
        finally:
            moving.cancel()
            self._stream = None
            metrics.streams.dec()
            if self._replay is not None:
                self._replay.give_place()  # who has no recogniser keeps nobody waiting

    async def _move(self, stream: RecognizerStream) -> RecognizerStream | None:
        """Once `stream` drains: find another beside it, so that where there is none yet it is heard on.

        Returns what takes over, or None where something was heard meanwhile that the other does not know: then there is
        one to be found again, from where the session is.
        """
        await stream.draining.wait()
        try:
            found = await self._opener(stream, self._deadline(), live=True).run()
        except LinkLostError:
            return None  # the draining one ends in time, and then it is a loss like any other
        holds = self._ledger.still_holds(found.plan)
        self._ledger.leave()
        self._stream = None
        stream.leave()
        if holds:
            return found
        found.cancel()
        return None

    def _deliver(self, response: pb.RecognizeResponse) -> pb.Answer | None:
        if self._stream is not None:
            self._shared.pods.heard(self._ledger.request.route, self._stream.pod)
        heard = receive(self._ledger, response)
        for event in heard.show:
            self._events.put(event)
        for trouble in heard.troubles:
            self._shared.metrics.troubles.inc()
            log.warning("contract broken", session=self._ledger.request.session_id, trouble=trouble)
        if self._replay is not None and (gap := self._replay.caught_up(self._ledger)) is not None:
            self._replay = None
            self._went_on_after(gap)
        self._shared.metrics.held.set(self._shared.budget.used)
        return heard.answer

    def _went_on_after(self, gap: float) -> None:
        """The session is where it was when its recogniser was lost, `gap` seconds ago."""
        request, stream = self._ledger.request, self._stream
        self._shared.metrics.gap.labels(request.route).observe(gap)
        epoch, pod = (stream.plan.open.epoch, stream.pod) if stream else (0, "")
        log.info(
            "session went on",
            session=request.session_id,
            route=request.route,
            epoch=epoch,
            pod=pod,
            gap_seconds=round(gap, 3),
        )

    def _note(self, lost: RecognizerStream, loss: StreamLost) -> None:
        """A stream is over. Raises LinkLostError where another would help nothing."""
        shared, opening = self._shared, lost.plan.open
        shared.metrics.failovers.labels(opening.route, loss.reason).inc()
        status = loss.status.name if loss.status else ""
        log.warning(
            "recogniser lost",
            session=opening.session_id,
            route=opening.route,
            epoch=opening.epoch,
            reason=loss.reason,
            status=status,
            pod=lost.pod,
        )
        if loss.fatal:
            raise LinkLostError(f"the recogniser ended the stream for good: {status}")
        self._give_up_on_poison(loss)
        lost.endpoint.in_trouble()
        if loss.reason != "diverged":
            shared.pods.troubled(opening.route, lost.pod)
        if self._replay is None:
            self._replay = Replay(
                shared.replays.of(opening.route),
                lost_at=lost.last_message,
                processed=self._ledger.processed,
                deadline=self._deadline(),
            )

    async def _resume(self, lost: RecognizerStream) -> RecognizerStream:
        """Another stream, with the replay under way. Raises LinkLostError."""
        assert self._replay is not None
        if self._fruitless > 1:
            await asyncio.sleep(_FIRST_PAUSE * 2 ** (self._fruitless - 2))
        # Before a recogniser is asked: its places for replays are few, and not to wait in.
        await self._replay.take_place()
        with self._replay.place_kept_for_a_while():
            return await self._opener(lost, self._replay.deadline).run()

    def _opener(self, left: RecognizerStream, deadline: float, *, live: bool = False) -> Opener:
        avoid = Avoid(left.endpoint.address, left.pod)
        return Opener(self._shared, self._ledger, avoid=avoid, admitting=False, deadline=deadline, live=live)

    def _deadline(self) -> float:
        """When a search for a recogniser that begins now is given up."""
        return time.monotonic() + buffer_seconds(self._shared, self._ledger.request)

    def _give_up_on_poison(self, loss: StreamLost) -> None:
        """Audio that breaks every recogniser must not take them all away. Raises LinkLostError."""
        ledger = self._ledger
        # Who breaks the contract would break it again, whether audio waits or not.
        waiting = ledger.audio.end - ledger.processed > FRAME or loss.reason == "contract"
        stuck = waiting and loss.reason != "draining" and ledger.processed <= self._lost_at_sample + SAMPLE_RATE
        self._fruitless = self._fruitless + 1 if stuck else 0
        self._lost_at_sample = ledger.processed
        if self._fruitless >= _FRUITLESS_STREAMS:
            raise LinkLostError(f"{_FRUITLESS_STREAMS} recognisers in a row were lost over the same audio")


def _cancel_result(moving: "asyncio.Task[RecognizerStream | None]") -> None:
    """A stream that nobody takes up any more."""
    if not moving.cancelled() and moving.exception() is None and (found := moving.result()) is not None:
        found.cancel()
