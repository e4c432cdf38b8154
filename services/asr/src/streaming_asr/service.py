"""The gRPC side of the recogniser: admission, one RecognitionStream for each call, draining."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc
from service_kit.faults import place_of
from service_kit.logs import get_logger
from streamingstack.asr.v1 import recognizer_pb2 as pb
from streamingstack.asr.v1 import recognizer_pb2_grpc as rpc

from streaming_asr.engine import SAMPLE_RATE, EngineLostError, VoiceActivity, WindowEngine
from streaming_asr.inbox import ContractError, Inbox
from streaming_asr.metrics import UNAVAILABLE, RecogniserMetrics
from streaming_asr.opening import check_opening
from streaming_asr.replies import Offer
from streaming_asr.slots import Full, Slot, Slots
from streaming_asr.stream import RecognitionStream

REPLAY_SECONDS = 30.0  # a replay that takes longer no longer holds up others
IDLE_SECONDS = 20.0  # rule 13: a slot without any message for this long is freed
OUTGOING = 256
WRITE_SECONDS = 1.0

log = get_logger(__name__)


class StreamEnd(Exception):
    """Ends the call with a gRPC status."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code, self.details = code, details


class Recognizer(rpc.RecognizerServiceServicer):  # type: ignore[misc]
    """Serves `Recognize` for one model."""

    def __init__(
        self,
        *,
        routes: frozenset[str],
        engine: WindowEngine,
        voice: VoiceActivity,
        slots: Slots,
        offer: Offer,
        metrics: RecogniserMetrics,
    ) -> None:
        self._routes, self._engine, self._voice = routes, engine, voice
        self._slots, self._offer, self._metrics = slots, offer, metrics
        self._calls: set[Call] = set()
        self._unavailable = "the recogniser is starting"

    def set_available(self, reason_against: str = "") -> None:
        """Open for streams, or, with a reason, end every stream UNAVAILABLE and refuse new ones."""
        self._unavailable = reason_against
        if reason_against:
            for call in self._calls:
                call.end(StreamEnd(grpc.StatusCode.UNAVAILABLE, reason_against))

    async def drain(self, seconds: float) -> None:
        """Ask every gateway to move its streams away, wait for that, then end the rest UNAVAILABLE."""
        self._metrics.draining.set(1)
        self._unavailable = "the recogniser drains"
        for call in self._calls:
            call.announce_draining(seconds)
        deadline = time.monotonic() + seconds
        while self._calls and time.monotonic() < deadline:  # noqa: ASYNC110 - a poll keeps the calls simple
            await asyncio.sleep(0.05)
        self.set_available("the recogniser drained")

    async def Recognize(self, requests: AsyncIterator[pb.RecognizeRequest], context: Any) -> None:
        """One stream of the contract."""
        try:
            opening = await self._opening(requests, dict(context.invocation_metadata()))
            slot = self._admit(opening)
        except StreamEnd as end:
            await context.abort(end.code, end.details)
        status = "OK"
        call = Call(requests, context, slot, opening, self._metrics)
        self._calls.add(call)
        self._metrics.active.set(self._slots.active)
        try:
            await call.run(opening, engine=self._engine, voice=self._voice, offer=self._offer)
        except StreamEnd as end:
            status = end.code.name
            log.warning("stream ended", session=opening.session_id, status=status, reason=end.details)
            await context.abort(end.code, end.details)
        except asyncio.CancelledError:
            status = "CANCELLED"
            raise
        except Exception as failure:  # noqa: BLE001 - gRPC would tell the peer its text, which may quote speech
            status = "INTERNAL"
            kind, place = type(failure).__name__, place_of(failure)
            log.error("stream failed", session=opening.session_id, kind=kind, place=place)
            await context.abort(grpc.StatusCode.INTERNAL, "the recogniser failed on this stream; see its log")
        finally:
            self._calls.discard(call)
            slot.free()
            self._metrics.active.set(self._slots.active)
            self._metrics.ended.labels(status).inc()

    async def _opening(self, requests: AsyncIterator[pb.RecognizeRequest], headers: Mapping[str, str]) -> pb.Open:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                first = await anext(aiter(requests), pb.RecognizeRequest())
        except TimeoutError:
            raise StreamEnd(grpc.StatusCode.DEADLINE_EXCEEDED, f"no Open within {IDLE_SECONDS:.0f} s") from None
        wrong = check_opening(first, headers, self._routes)
        if wrong is not None:
            raise StreamEnd(grpc.StatusCode[wrong[0]], wrong[1])
        return first.open

    def _admit(self, opening: pb.Open) -> Slot:
        resume = opening.reason == pb.REASON_RESUME
        if self._unavailable:
            self._refuse(opening, UNAVAILABLE)
            raise StreamEnd(grpc.StatusCode.UNAVAILABLE, self._unavailable)
        for call in self._calls:
            call.give_way_to(opening)
        try:
            slot = self._slots.take(resume=resume, bulk=opening.traffic_class == pb.TRAFFIC_CLASS_BULK)
        except Full as full:
            self._refuse(opening, full.shortage)
            raise StreamEnd(grpc.StatusCode.RESOURCE_EXHAUSTED, str(full)) from None
        if self._slots.crowded:
            max((call for call in self._calls if call.bulk), key=lambda call: call.began).yield_place()
        if resume:
            self._metrics.resumed.inc()
        return slot

    def _refuse(self, opening: pb.Open, reason: str) -> None:
        if opening.attempt == 0:  # rule 12: a session's refusal counts once
            self._metrics.refused.labels(reason).inc()


class Call:
    """One gRPC call: reads always, writes in order, ends once."""

    def __init__(self, requests: Any, context: Any, slot: Slot, opening: pb.Open, metrics: RecogniserMetrics) -> None:
        self._requests, self._context, self._slot, self._metrics = requests, context, slot, metrics
        self._session = opening.session_id, opening.epoch
        self._yielded = False
        self.began = time.monotonic()
        self.in_bulk = opening.traffic_class == pb.TRAFFIC_CLASS_BULK
        self._owed: pb.RecognizeResponse | None = None
        self._out: asyncio.Queue[pb.RecognizeResponse] = asyncio.Queue(OUTGOING)
        self._verdict: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._last_message = time.monotonic()
        self._arrivals: deque[tuple[int, float]] = deque()
        self._counted = opening.first_sample
        self._writing: asyncio.Future[None] | None = None

    def end(self, reason: StreamEnd) -> None:
        """End the call with this status, from outside."""
        if not self._verdict.done():
            self._verdict.set_exception(reason)

    def give_way_to(self, opening: pb.Open) -> None:
        """End where `opening` resumes this very session: its gateway has given this stream up, and may be unable to say
        so, as when the load balancer in between is frozen. The place is free at once."""
        session, epoch = self._session
        if opening.session_id == session and opening.reason == pb.REASON_RESUME and opening.epoch > epoch:
            self._slot.free()
            self.end(StreamEnd(grpc.StatusCode.ABORTED, "the session goes on in another stream"))

    @property
    def bulk(self) -> bool:
        """Whether it is a BULK stream that still has its place."""
        return self.in_bulk and not self._yielded

    def yield_place(self) -> None:
        """End a BULK stream whose place a live session needs; the place is free at once."""
        self._yielded = True
        self._slot.free()
        self.end(StreamEnd(grpc.StatusCode.RESOURCE_EXHAUSTED, "a live session needs the place; retry later"))

    def announce_draining(self, seconds: float) -> None:
        """Ask the gateway to resume elsewhere; where much waits to be written, before all that."""
        draining = pb.RecognizeResponse(draining=pb.Draining(deadline_ms=int(seconds * 1000)))
        if self._out.full():
            self._owed = draining  # what is queued wakes the writer
        else:
            self._out.put_nowait(draining)

    async def run(self, opening: pb.Open, *, engine: WindowEngine, voice: VoiceActivity, offer: Offer) -> None:
        """Until the stream has ended; raises StreamEnd."""
        stream = RecognitionStream(opening, engine=engine, voice=voice, send=self._out.put, offer=offer)
        parts = (stream.run(), self._read(stream.inbox), self._write(), stream.tick(), self._watch(stream))
        tasks = [asyncio.create_task(part) for part in (*parts, self._follow_replay(stream))]
        try:
            done, _ = await asyncio.wait({*tasks, self._verdict}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            await self._flush(tasks[2])
        except EngineLostError as lost:
            raise StreamEnd(grpc.StatusCode.UNAVAILABLE, f"{lost}; resume elsewhere") from None
        except ContractError as broken:
            raise StreamEnd(grpc.StatusCode.INVALID_ARGUMENT, str(broken)) from None
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._count(stream)
            await self._written()
            if not self._verdict.cancel() and not self._verdict.cancelled():
                self._verdict.exception()  # one that came too late is nobody's news either

    async def _read(self, inbox: Inbox) -> None:
        async for request in self._requests:
            self._last_message = time.monotonic()
            inbox.take(request)
            if request.WhichOneof("message") == "audio" and not self.in_bulk:  # nobody waits for each of its chunks
                self._arrivals.append((inbox.recording.end, self._last_message))
        inbox.half_close()
        await asyncio.Event().wait()  # the stream ends by itself when it has heard everything

    async def _write(self) -> None:
        while True:
            response = await self._out.get()
            if self._owed is not None:
                await self._send(self._owed)
                self._owed = None
            await self._send(response)
            self._out.task_done()

    async def _send(self, response: pb.RecognizeResponse) -> None:
        # Never cancelled half-way: gRPC refuses to end a call, with whatever status, while a write is under way.
        self._writing = asyncio.ensure_future(self._context.write(response))
        self._writing.add_done_callback(_seen)
        await asyncio.shield(self._writing)

    async def _written(self) -> None:
        """Wait for the write that is under way; a gateway that reads nothing is not waited for."""
        if self._writing is not None:
            await asyncio.wait({self._writing}, timeout=WRITE_SECONDS)

    async def _flush(self, writer: "asyncio.Task[None]") -> None:
        """Let everything that was said reach the gateway; a writer that fails ends the wait."""
        emptied = asyncio.create_task(self._out.join())
        await asyncio.wait({emptied, writer}, return_when=asyncio.FIRST_COMPLETED)
        emptied.cancel()

    async def _follow_replay(self, stream: RecognitionStream) -> None:
        """At once when it is through, another may begin."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REPLAY_SECONDS):
                await stream.caught_up.wait()
        self._slot.caught_up()
        await asyncio.Event().wait()

    async def _watch(self, stream: RecognitionStream) -> None:
        """Frees an idle slot, and counts audio and how long chunks wait, to the last sample."""
        while True:
            await asyncio.sleep(0.1)
            self._count(stream)
            if time.monotonic() - self._last_message > IDLE_SECONDS:
                raise StreamEnd(grpc.StatusCode.DEADLINE_EXCEEDED, f"neither audio nor Ping for {IDLE_SECONDS:.0f} s")

    def _count(self, stream: RecognitionStream) -> None:
        heard, now = stream.processed, time.monotonic()
        self._metrics.audio.inc((heard - self._counted) / SAMPLE_RATE)
        self._counted = heard
        while self._arrivals and self._arrivals[0][0] <= heard:
            self._metrics.chunk_latency.observe(now - self._arrivals.popleft()[1])


def _seen(writing: asyncio.Future[None]) -> None:
    """A write that fails after its call is over is nobody's news."""
    if not writing.cancelled():
        writing.exception()
