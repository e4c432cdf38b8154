"""One stream: hears the audio in order, decodes at fixed positions, stops at checkpoints and waits (rules 1 to 7).

Everything that ends up in a final word happens at a position of the audio, one thing after the other. Only tentative
words are decoded on the side, and only they may be skipped under load.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from service_kit.faults import place_of
from service_kit.logs import get_logger
from streamingstack.asr.v1 import recognizer_pb2 as pb

from streaming_asr import replies
from streaming_asr.agreement import GLIMPSE
from streaming_asr.endpointing import Endpointer, Started, Stopped
from streaming_asr.engine import SAMPLE_RATE, VAD_FRAME, EngineLostError, VoiceActivity, Window, WindowEngine
from streaming_asr.foresight import asked_soon, coming_asks, next_stop, waited_for
from streaming_asr.frames import Frames
from streaming_asr.hearing import Hearing
from streaming_asr.inbox import HalfClosed, Inbox
from streaming_asr.replies import Offer

CREDIT = 2 * SAMPLE_RATE
RENEW_AFTER = CREDIT // 2
PROGRESS_SECONDS = 0.8  # the contract asks for one a second at least

log = get_logger(__name__)

T = TypeVar("T")
Send = Callable[[pb.RecognizeResponse], Awaitable[None]]


class RecognitionStream:
    """The life of one stream between its Open and its end."""

    def __init__(
        self, opening: pb.Open, *, engine: WindowEngine, voice: VoiceActivity, send: Send, offer: Offer
    ) -> None:
        self.inbox = Inbox(opening.first_sample)
        self.caught_up = asyncio.Event()
        self._send, self._offer = send, offer
        self._session = opening.session_id
        self._emit_after = opening.emit_after_sample
        self._bulk = opening.traffic_class == pb.TRAFFIC_CLASS_BULK
        self._endpointer = Endpointer(
            threshold=opening.vad_threshold,
            checkpoints_ms=opening.checkpoints_ms,
            cap=None if self._bulk else opening.segment_cap_samples,  # rule 14: BULK is never asked
            number=opening.segment,
            floor=opening.segment_floor,
            open_start=opening.segment_start if opening.segment_open else None,
            first_sample=opening.first_sample,
            context_until=opening.emit_after_sample,
        )
        self._hearing = Hearing(opening, engine, self.inbox.recording, replacing=offer.replacing)
        if self._endpointer.segment is not None:
            self._hearing.resume(self._endpointer.segment, opening)
        self._at = opening.first_sample
        self._frames = Frames(voice, self.inbox.recording, opening.first_sample)
        self._checkpoints = 0
        self._asking = False
        self._last_event = self._emit_after
        self._last_progress = time.monotonic()
        self._side: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Hear until the gateway half-closes. Raises EngineLostError."""
        self.inbox.credit = self._at + CREDIT
        await self._send(self._offer.ready(self.inbox.credit))
        try:
            while True:
                await self._hear_what_is_there()
                if self.inbox.recording.end >= self._emit_after:
                    self.caught_up.set()
                if self.inbox.closed:
                    return
                await self.inbox.news()
        except HalfClosed:
            return
        finally:
            if self._side is not None:
                self._side.cancel()
            self._hearing.drop_early()

    async def tick(self) -> None:
        """Progress about every second, whatever the stream waits for; run beside `run`."""
        while True:
            await asyncio.sleep(PROGRESS_SECONDS / 4)
            if time.monotonic() - self._last_progress >= PROGRESS_SECONDS:
                await self._progress()

    @property
    def processed(self) -> int:
        """Everything before this position was heard."""
        return self._at

    async def _hear_what_is_there(self) -> None:
        while True:
            stop = next_stop(self._at, self._frames.start, self.inbox.order_at(), self._cap_at())
            if stop > self.inbox.recording.end:
                return
            await self._arrive(stop)
            self._at = stop
            if stop >= self._emit_after:
                self.caught_up.set()
            if stop + CREDIT - self.inbox.credit >= RENEW_AFTER:
                await self._progress()

    def _cap_at(self) -> int | None:
        """Where the open segment is capped: never in the context of a RESUME, of which nothing is said."""
        cap_at = self._endpointer.cap_at
        return None if cap_at is None else max(cap_at, self._emit_after + 1)

    async def _arrive(self, at: int) -> None:
        self._apply_updates(at)
        if at == self._frames.start + VAD_FRAME:
            await self._hear_frame()
        await self._ask_if_due(at)
        await self._obey(at)
        cap_at = self._cap_at()
        if cap_at is not None and cap_at <= at:
            await self._ask(at, pb.CHECKPOINT_REASON_CAP, self._endpointer.silence_ms(at))
        if at % GLIMPSE == 0 and at != self._at:
            if at > self._emit_after:
                await self._decode_on_grid(at)
            elif at % self._hearing.grid == 0 and at > self._emit_after - self._hearing.grid and not self._soon_asked:
                await self._hearing.hear_again(at)

    # -- voice activity -----------------------------------------------------------------------------------------

    async def _hear_frame(self) -> None:
        start, end = self._frames.start, self._frames.start + VAD_FRAME
        happening = self._endpointer.hear(start, end, await self._frames.next())
        if self._endpointer.speaking and end > self._endpointer.floor:  # not in a closed segment that is replayed
            self._hearing.voiced()
        await self._announce(happening)

    async def _announce(self, happening: Started | Stopped | None) -> None:
        if happening is None:
            return
        self._hearing.begin(self._endpointer.segment)
        # A voice that begins where the context ends is not of it: the lost stream may have asked there first. Voices of
        # the context are clipped to its end where a segment ended there.
        context = self._emit_after
        begins = isinstance(happening, Started) and happening.at == context < self._frames.start
        if happening.at > context or begins:
            await self._emit(happening.at, replies.speech(happening))

    # -- checkpoints, orders, segments --------------------------------------------------------------------------

    async def _ask_if_due(self, at: int) -> None:
        due = self._endpointer.due(at)
        if due is None:
            return
        if self._frames.start > self._emit_after:  # the frame that the context ends in may have a voice
            self._endpointer.asked(due)
            await self._ask(at, pb.CHECKPOINT_REASON_SILENCE, due)
        elif due != self._endpointer.checkpoints_ms[-1]:
            # Asked by the stream before, or nearly. The last one always ends the segment, which is open: it was not.
            self._endpointer.asked(due)
            self._hearing.was_closed()

    async def _ask(self, at: int, reason: pb.CheckpointReason, silence_ms: int) -> None:
        """Send a checkpoint and wait for its answer. Raises HalfClosed."""
        segment = self._endpointer.next_segment
        closed = await self._meanwhile(at, self._hearing.close(at), closing=True)
        self._checkpoints += 1
        answer = self.inbox.expect_answer(self._checkpoints)
        self.inbox.credit = max(self.inbox.credit, at + CREDIT)
        checkpoint = pb.Checkpoint(
            id=self._checkpoints,
            segment=segment,
            at_sample=at,
            reason=reason,
            silence_ms=silence_ms,
            words=closed,
            eot_score=self._hearing.eot_score,
            language=self._hearing.last.language,
            language_confidence=self._hearing.last.language_confidence,
            send_through_sample=self.inbox.credit,
        )
        self._asking = True
        await self._emit(at, pb.RecognizeResponse(checkpoint=checkpoint))
        decision = await answer
        self._asking = False
        if decision == pb.DECISION_UNSPECIFIED:
            raise HalfClosed
        if decision == pb.DECISION_END_SEGMENT or reason == pb.CHECKPOINT_REASON_CAP:
            await self._end_segment(at)

    async def _end_segment(self, at: int) -> None:
        self._hearing.end()
        await self._announce(self._endpointer.close(at))

    def _apply_updates(self, at: int) -> None:
        while (position := self.inbox.order_at()) is not None and position <= at:
            order = self.inbox.next_update()
            if order is None:
                return
            self._update(order)

    def _update(self, update: pb.Update) -> None:
        if update.HasField("vad_threshold"):
            self._endpointer.threshold = update.vad_threshold
        if update.HasField("checkpoints"):
            self._endpointer.checkpoints_ms = tuple(update.checkpoints.ms)
        self._hearing.steer(update)

    async def _obey(self, at: int) -> None:
        """Finalizes of this position, and the updates behind them."""
        while (position := self.inbox.order_at()) is not None and position <= at:
            order = self.inbox.next_finalize()
            if order is None:
                return
            segment = self._endpointer.next_segment
            closed = await self._hearing.close(at, forced=True)
            reply = replies.finalized(order, segment, at, closed, self._hearing.eot_score, self._hearing.last)
            await self._emit(at, reply)
            await self._end_segment(at)
            self._apply_updates(at)

    # -- words --------------------------------------------------------------------------------------------------

    async def _decode_on_grid(self, at: int) -> None:
        commits = at % self._hearing.grid == 0
        window = self._hearing.window(at) if commits or not self._bulk else None  # nobody reads its tentative words
        if window is None or self._soon_asked:
            return
        if not commits:
            if self._side is None or self._side.done():
                self._side = asyncio.create_task(self._glimpse(window, at, self._endpointer.next_segment))
            return
        final, tentative = await self._meanwhile(at, self._hearing.commit(window, at))
        if final or tentative:
            segment = self._endpointer.next_segment
            await self._emit(at, replies.words(segment, at, final, tentative, self._hearing.eot_score))

    @property
    def _soon_asked(self) -> bool:
        return not self._bulk and asked_soon(self._endpointer)

    async def _glimpse(self, window: Window, at: int, segment: int) -> None:
        """Tentative words on the side; dropped when the stream has gone on to something newer."""
        try:
            hypothesis = await self._hearing.glimpse(window)
            stale = self._asking or segment != self._endpointer.next_segment or at < self._last_event
            if hypothesis is None or stale:
                return
            tentative = self._hearing.tentative(hypothesis, at)
            if tentative is not None:
                await self._emit(at, replies.words(segment, at, [], tentative, self._hearing.eot_score))
        except EngineLostError:
            return  # the next decode of the stream itself reports it
        except Exception as failure:  # noqa: BLE001 - nobody waits for this task, and the text may quote speech
            log.error("a glimpse failed", session=self._session, kind=type(failure).__name__, place=place_of(failure))

    async def _meanwhile(self, at: int, call: Coroutine[Any, Any, T], *, closing: bool = False) -> T:
        """Wait for the engine, and have it begin with what audio that arrives meanwhile will ask for."""
        if self._bulk or at <= self._emit_after:
            return await call

        async def look_ahead() -> None:
            await self._frames.look_ahead()
            standing = self._hearing.standing(at, self._frames.start, self.inbox.finalize_at(), closing=closing)
            for ask in coming_asks(self._endpointer, standing, self._frames.ahead, self.inbox.undisturbed()):
                self._hearing.foresee(ask)

        return await waited_for(call, look_ahead, self.inbox.news)

    # -- out ----------------------------------------------------------------------------------------------------

    async def _emit(self, at: int, response: pb.RecognizeResponse) -> None:
        self._last_event = max(self._last_event, at)
        await self._send(response)

    async def _progress(self) -> None:
        self._last_progress = time.monotonic()
        self.inbox.credit = max(self.inbox.credit, self._at + CREDIT)
        peak, self._frames.peak = self._frames.peak, 0.0
        await self._send(replies.progress(self._at, self.inbox.credit, peak))
