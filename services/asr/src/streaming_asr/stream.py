"""One stream: hears the audio in order, decodes at fixed positions, stops at checkpoints and waits (rules 1 to 7).

Everything that ends up in a final word happens at a position of the audio, one thing after the other. Only tentative
words are decoded on the side, and only they may be skipped under load.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from streamingstack.asr.v1 import recognizer_pb2 as pb

from streaming_asr import replies
from streaming_asr.agreement import GLIMPSE, GRID, SegmentWords
from streaming_asr.endpointing import Endpointer, Started, Stopped
from streaming_asr.engine import (
    SAMPLE_RATE,
    VAD_FRAME,
    EngineLostError,
    HeardWord,
    Hypothesis,
    VoiceActivity,
    Window,
    WindowEngine,
)
from streaming_asr.inbox import Inbox

CREDIT = 2 * SAMPLE_RATE
RENEW_AFTER = CREDIT // 2
PROGRESS_SECONDS = 0.8  # the contract asks for one a second at least
PREFERRED_CHUNK_MS = 96  # three voice-activity frames
END_OF_TURN_AUDIO = 8 * SAMPLE_RATE
# The first window of a segment begins up to 8 s before it, and is decoded up to 2 s after its start.
KEPT_AUDIO = 10 * SAMPLE_RATE
FRAMES_AT_ONCE = 32

Send = Callable[[pb.RecognizeResponse], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Offer:
    """What this recogniser is to every stream."""

    capacity: int
    left_context_ms: int
    replacing: bool = False


class HalfClosed(Exception):
    """The gateway left while a checkpoint was open."""


class RecognitionStream:
    """The life of one stream between its Open and its end."""

    def __init__(
        self, opening: pb.Open, *, engine: WindowEngine, voice: VoiceActivity, send: Send, offer: Offer
    ) -> None:
        self.inbox = Inbox(opening.first_sample)
        self.caught_up = asyncio.Event()
        self._engine, self._send, self._offer = engine, send, offer
        self._emit_after = opening.emit_after_sample
        self._config = Window(
            pcm=self.inbox.recording.slice(0, 0),
            first_sample=0,
            language_codes=tuple(opening.language_codes),
            prompt=opening.prompt,
            keyterms=tuple(opening.keyterms),
        )
        self._endpointer = Endpointer(
            threshold=opening.vad_threshold,
            checkpoints_ms=opening.checkpoints_ms,
            cap=opening.segment_cap_samples,
            number=opening.segment,
            floor=opening.segment_floor,
            open_start=opening.segment_start if opening.segment_open else None,
            first_sample=opening.first_sample,
            context_until=opening.emit_after_sample,
        )
        self._index = replies.WordIndex(opening.next_word_index, counting=not offer.replacing)
        self._words: SegmentWords | None = None
        self._before: list[HeardWord] = []
        self._begin_segment([replies.heard_word(word) for word in opening.final_words])
        self._at = opening.first_sample
        self._frame_start = -(-opening.first_sample // VAD_FRAME) * VAD_FRAME
        self._voice = voice.open(self._frame_start)
        self._probabilities: deque[float] = deque()
        self._peak = 0.0
        self._voiced_since_grid = self._voiced_since_close = self._endpointer.segment is not None
        self._closing: list[HeardWord] = []
        self._heard = Hypothesis()
        self._eot_score = 0.0
        self._checkpoints = 0
        self._asking = False
        self._last_event = self._emit_after
        self._last_progress = time.monotonic()
        self._side: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Hear until the gateway half-closes. Raises EngineLostError."""
        self.inbox.credit = self._at + CREDIT
        ready = pb.Ready(
            capacity=self._offer.capacity,
            preferred_chunk_ms=PREFERRED_CHUNK_MS,
            left_context_ms=self._offer.left_context_ms,
            send_through_sample=self.inbox.credit,
            replacing=self._offer.replacing,
        )
        await self._send(pb.RecognizeResponse(ready=ready))
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
            stop = self._next_stop()
            if stop > self.inbox.recording.end:
                return
            await self._arrive(stop)
            self._at = stop
            if stop + CREDIT - self.inbox.credit >= RENEW_AFTER:
                await self._progress()

    def _next_stop(self) -> int:
        stops: list[int] = [self._frame_start + VAD_FRAME, (self._at // GLIMPSE + 1) * GLIMPSE]
        order_at, cap_at = self.inbox.order_at(), self._cap_at()
        stops += [max(at, self._at) for at in (order_at, cap_at) if at is not None]
        return min(stops)

    def _cap_at(self) -> int | None:
        """Where the open segment is capped: never in the context of a RESUME, of which nothing is said."""
        cap_at = self._endpointer.cap_at
        return None if cap_at is None else max(cap_at, self._emit_after + 1)

    async def _arrive(self, at: int) -> None:
        self._apply_updates(at)
        if at == self._frame_start + VAD_FRAME:
            await self._hear_frame()
        await self._ask_if_due(at)
        await self._obey(at)
        cap_at = self._cap_at()
        if cap_at is not None and cap_at <= at:
            await self._ask(at, pb.CHECKPOINT_REASON_CAP, self._endpointer.silence_ms(at))
        if at % GLIMPSE == 0 and at != self._at and at > self._emit_after:
            await self._decode_on_grid(at)

    # -- voice activity -----------------------------------------------------------------------------------------

    async def _hear_frame(self) -> None:
        start, end = self._frame_start, self._frame_start + VAD_FRAME
        if not self._probabilities:
            frames = min(FRAMES_AT_ONCE, (self.inbox.recording.end - start) // VAD_FRAME)
            pcm = self.inbox.recording.slice(start, start + frames * VAD_FRAME)
            self._probabilities.extend(await self._voice.probabilities(pcm))
        probability = self._probabilities.popleft()
        self._frame_start = end
        self._peak = max(self._peak, probability)
        happening = self._endpointer.hear(start, end, probability)
        if self._endpointer.speaking:
            self._voiced_since_grid = self._voiced_since_close = True
        await self._announce(happening)

    async def _announce(self, happening: Started | Stopped | None) -> None:
        if happening is None:
            return
        self._begin_segment([])
        if happening.at > self._emit_after or (happening.at == self._emit_after == 0):
            await self._emit(happening.at, replies.speech(happening))

    def _begin_segment(self, final: list[HeardWord]) -> None:
        segment = self._endpointer.segment
        if segment is not None and self._words is None:
            self._words = SegmentWords(
                replacing=self._offer.replacing,
                start=max(segment.start, self.inbox.recording.begin),  # a resumed one begins where its replay does
                floor=segment.floor,
                final=final,
                before=self._before,
            )
            self._closing = []

    # -- checkpoints, orders, segments --------------------------------------------------------------------------

    async def _ask_if_due(self, at: int) -> None:
        due = self._endpointer.due(at)
        if due is None:
            return
        if self._frame_start > self._emit_after:  # the frame that the context ends in may have a voice
            self._endpointer.asked(due)
            await self._ask(at, pb.CHECKPOINT_REASON_SILENCE, due)
        elif due != self._endpointer.checkpoints_ms[-1]:
            # Asked by the stream before, or nearly. The last one always ends the segment, which is open: it was not.
            self._endpointer.asked(due)

    async def _ask(self, at: int, reason: pb.CheckpointReason, silence_ms: int) -> None:
        """Send a checkpoint and wait for its answer. Raises HalfClosed."""
        segment = self._endpointer.next_segment
        closed = await self._close_words(at)
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
            eot_score=self._eot_score,
            language=self._heard.language,
            language_confidence=self._heard.language_confidence,
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
        self._before = self._words.ending(self._closing) if self._words is not None else []
        if self._words is not None:
            self._before = self._words.ending(self._closing)
        self._words = None
        self._closing, self._heard = [], Hypothesis()
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
        config = self._config
        self._config = Window(
            pcm=config.pcm,
            first_sample=0,
            language_codes=tuple(update.language_codes.codes)
            if update.HasField("language_codes")
            else config.language_codes,
            prompt=update.prompt if update.HasField("prompt") else config.prompt,
            keyterms=tuple(update.keyterms.terms) if update.HasField("keyterms") else config.keyterms,
        )

    async def _obey(self, at: int) -> None:
        """Finalizes of this position, and the updates behind them."""
        while (position := self.inbox.order_at()) is not None and position <= at:
            order = self.inbox.next_finalize()
            if order is None:
                return
            segment = self._endpointer.next_segment
            closed = await self._close_words(at)
            reply = replies.finalized(order, segment, at, closed, self._eot_score, self._heard)
            await self._emit(at, reply)
            await self._end_segment(at)
            self._apply_updates(at)

    # -- words --------------------------------------------------------------------------------------------------

    def _window(self, start: int, at: int) -> Window:
        recording, config = self.inbox.recording, self._config
        start = max(start, recording.begin)
        return Window(recording.slice(start, at), start, config.language_codes, config.prompt, config.keyterms)

    async def _close_words(self, at: int) -> list[pb.Word]:
        """Decode everything up to `at`; sets the end-of-turn score."""
        if self._words is None or self._endpointer.segment is None:
            self._eot_score = 0.0
            return []
        turn = self._window(max(self._endpointer.segment.start, at - END_OF_TURN_AUDIO), at)
        if not self._voiced_since_close:
            self._eot_score = await self._engine.end_of_turn(turn)
            return self._index.final(self._closing if self._offer.replacing else [])
        window = self._window(self._words.window_start(at), at)
        self._heard, self._eot_score = await asyncio.gather(self._engine.decode(window), self._engine.end_of_turn(turn))
        self._closing = self._words.close(self._heard, at)
        self._voiced_since_close = self._voiced_since_grid = False
        return self._index.final(self._closing)

    async def _decode_on_grid(self, at: int) -> None:
        if self._words is None or self._endpointer.segment is None:
            self.inbox.recording.forget(at - KEPT_AUDIO)
            return
        begin = self._words.window_start(at)
        self.inbox.recording.forget(min(begin, at - KEPT_AUDIO))
        if not self._voiced_since_grid:
            return
        window = self._window(begin, at)
        if at % GRID:
            self._glimpse(window, at)
            return
        self._voiced_since_grid = False
        self._heard = await self._engine.decode(window)
        final, tentative = self._words.commit(self._heard, at)
        numbered = self._index.final(final)
        if numbered or tentative:
            segment = self._endpointer.next_segment
            await self._emit(at, replies.words(segment, at, numbered, tentative, self._eot_score))

    def _glimpse(self, window: Window, at: int) -> None:
        if self._side is None or self._side.done():
            self._side = asyncio.create_task(self._tentative(window, at, self._endpointer.next_segment))

    async def _tentative(self, window: Window, at: int, segment: int) -> None:
        """Tentative words on the side; dropped when the stream has gone on to something newer."""
        with contextlib.suppress(EngineLostError):  # the next decode of the stream itself reports it
            hypothesis = await self._engine.glimpse(window)
            stale = self._asking or segment != self._endpointer.next_segment or at < self._last_event
            if hypothesis is None or stale or self._words is None:
                return
            tentative = self._words.glimpse(hypothesis, at)
            await self._emit(at, replies.words(segment, at, [], tentative, self._eot_score))

    # -- out ----------------------------------------------------------------------------------------------------

    async def _emit(self, at: int, response: pb.RecognizeResponse) -> None:
        self._last_event = max(self._last_event, at)
        await self._send(response)

    async def _progress(self) -> None:
        self._last_progress = time.monotonic()
        self.inbox.credit = max(self.inbox.credit, self._at + CREDIT)
        peak, self._peak = self._peak, 0.0
        await self._send(replies.progress(self._at, self.inbox.credit, peak))
