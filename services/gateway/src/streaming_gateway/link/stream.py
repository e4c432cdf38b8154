"""One gRPC stream to a recogniser, from its Open to its loss."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import grpc
from asr_contract.calls import CallOver, pod_in, told_when_over
from streamingstack.asr.v1 import recognizer_pb2 as pb

from streaming_gateway.link.endpoints import Endpoint
from streaming_gateway.link.ledger import Ledger, Plan
from streaming_gateway.link.pacing import Pacer
from streaming_gateway.link.settings import LinkSettings
from streaming_gateway.link.soundness import unsound

_TICK_SECONDS = 0.25
_FRAME_SLACK = 1600  # a recogniser may hold less than a frame back

Observe = Callable[[str, Any], None]
Deliver = Callable[[pb.RecognizeResponse], pb.Answer | None]


class StreamLost(Exception):
    """The stream is over; `status` is gRPC's where it sent one. Only a `fatal` loss is not resumed elsewhere."""

    def __init__(self, reason: str, status: grpc.StatusCode | None = None) -> None:
        super().__init__(reason)
        self.reason, self.status = reason, status

    @property
    def fatal(self) -> bool:
        """Whether any other recogniser would end it the same way."""
        return self.status in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)


@dataclass(frozen=True)
class Opening:
    """What one attempt starts from; `avoid_pods` are those that nginx shall not pick, the worst first."""

    plan: Plan
    endpoint: Endpoint
    avoid_pods: tuple[str, ...] = ()


class RecognizerStream:
    """One attempt: `open` until Ready, then `carry` the session until the stream is lost."""

    def __init__(self, opening: Opening, settings: LinkSettings, observe: Observe) -> None:
        self.plan, self.endpoint = opening.plan, opening.endpoint
        self.pod = ""  # the recogniser behind the load balancer, where that one names it
        self.ready = pb.Ready()
        self.began = self.last_message = self._last_write = time.monotonic()
        self._settings, self._observe = settings, observe
        metadata = [("x-model-version", self.plan.open.route)]
        if opening.avoid_pods:
            metadata.append(("x-avoid-pod", ",".join(opening.avoid_pods)))
        self._call = opening.endpoint.recognize(metadata)
        self._pacer: Pacer | None = None
        self._answers: deque[pb.Answer] = deque()
        self._news = asyncio.Event()
        self.draining = asyncio.Event()  # the recogniser asked for the session to be moved; it goes on until then
        self._left = asyncio.Event()

    async def open(self) -> None:
        """Send Open and wait for Ready. Raises StreamLost; `pod` is known then too, where it was that which refused."""
        try:
            async with asyncio.timeout(self._settings.ready_seconds):
                await self._write(pb.RecognizeRequest(open=self.plan.open))
                first = await self._read()
        except TimeoutError:
            raise StreamLost("not ready") from None
        except StreamLost:
            if self._call.done():
                self.pod = pod_in(await self._call.initial_metadata(), await self._call.trailing_metadata())
            raise
        self.pod = pod_in(await self._call.initial_metadata())
        if first.WhichOneof("message") != "ready":
            raise StreamLost("contract")
        self.ready = first.ready

    async def carry(self, ledger: Ledger, deliver: Deliver) -> StreamLost:
        """Send what the ledger holds and hand every message to `deliver` until the stream is lost; says why."""
        self._pacer = Pacer(
            ledger.audio,
            ledger.orders,
            first_sample=self.plan.open.first_sample,
            folded=self.plan.folded,
            ready=self.ready,
        )
        parts: list[Coroutine[Any, Any, None]] = [
            self._send(self._pacer),
            self._receive(self._pacer, ledger, deliver),
            self._watch(ledger),
            self._until_left(),
        ]
        tasks = [asyncio.create_task(part) for part in parts]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            loss = _loss(done)
            if loss.status is None and loss.reason == "broken" and self._call.done():
                loss.status = await self._call.code()
            return loss
        finally:
            self._call.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def leave(self) -> None:
        """End `carry`; nothing more is delivered from now on."""
        self._left.set()

    def wake(self) -> None:
        """Audio or an order was added to the ledger."""
        self._news.set()

    def answer(self, answer: pb.Answer) -> None:
        """Send the answer before anything else."""
        self._answers.append(answer)
        self._news.set()

    @property
    def sent(self) -> int:
        """Position up to which audio was sent."""
        return self.plan.open.first_sample if self._pacer is None else self._pacer.sent

    def cancel(self) -> None:
        """End the call; the recogniser frees the slot."""
        self._call.cancel()

    async def _send(self, pacer: Pacer) -> None:
        while True:
            self._news.clear()
            while (request := self._next(pacer)) is not None:
                await self._write(request)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._ping_in()):
                    await self._news.wait()

    def _next(self, pacer: Pacer) -> pb.RecognizeRequest | None:
        if self._answers:
            return pb.RecognizeRequest(answer=self._answers.popleft())
        request = pacer.next()
        if request is None and self._ping_in() <= 0:
            return pb.RecognizeRequest(ping=pb.Ping())
        return request

    def _ping_in(self) -> float:
        """Seconds until a Ping is due. Only what is sent puts it off: the recogniser hears nothing of its own news."""
        return self._last_write + self._settings.ping_seconds - time.monotonic()

    async def _receive(self, pacer: Pacer, ledger: Ledger, deliver: Deliver) -> None:
        while True:
            response = await self._read()
            if self._left.is_set():
                raise StreamLost("draining")
            if unsound(response, ledger.audio.end) is not None:
                raise StreamLost("contract")
            kind = response.WhichOneof("message")
            if kind == "draining":
                self.draining.set()
                continue
            if kind in ("progress", "checkpoint"):
                pacer.renew(getattr(response, kind).send_through_sample)
            answer = deliver(response)
            if answer is not None:
                self._answers.append(answer)
            if ledger.diverged:
                raise StreamLost("diverged")
            self._news.set()

    async def _until_left(self) -> None:
        await self._left.wait()
        raise StreamLost("draining")

    async def _watch(self, ledger: Ledger) -> None:
        """Rule 9: too long without a message, or without progress while audio waits.

        Time is counted in ticks, so that a gateway that was held up itself does not take its recognisers for lost.
        """
        silent = stalled = 0.0
        heard_at, processed = self.last_message, ledger.stream_processed
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            silent = 0.0 if self.last_message != heard_at else silent + _TICK_SECONDS
            waiting = ledger.audio.end > ledger.stream_processed + _FRAME_SLACK
            waiting = waiting and not self._checkpoint_open(ledger)
            moved = ledger.stream_processed != processed
            stalled = 0.0 if moved or not waiting else stalled + _TICK_SECONDS
            heard_at, processed = self.last_message, ledger.stream_processed
            if silent >= self._settings.silence_seconds:
                raise StreamLost("silent")
            if stalled >= self._settings.stall_seconds:
                raise StreamLost("stalled")

    @staticmethod
    def _checkpoint_open(ledger: Ledger) -> bool:
        return ledger.asked is not None and ledger.asked.met is not None

    async def _write(self, request: pb.RecognizeRequest) -> None:
        self._observe("up", request)
        try:
            with told_when_over():
                await self._call.write(request)
        except CallOver as over:
            raise StreamLost("broken", over.status) from None
        self._last_write = time.monotonic()

    async def _read(self) -> pb.RecognizeResponse:
        try:
            with told_when_over():
                response = await self._call.read()
        except CallOver as over:
            raise StreamLost("broken", over.status) from None
        if response is grpc.aio.EOF:
            raise StreamLost("broken", await self._call.code())
        self.last_message = time.monotonic()
        self._observe("down", response)
        assert isinstance(response, pb.RecognizeResponse)
        return response


def _loss(done: set[asyncio.Task[None]]) -> StreamLost:
    """Why the stream ended; a status from the recogniser says more than a failed write."""
    errors = [error for error in (task.exception() for task in done if not task.cancelled()) if error is not None]
    losses = [error for error in errors if isinstance(error, StreamLost)]
    for error in errors:
        if not isinstance(error, StreamLost):
            raise error
    return max(losses, key=lambda loss: loss.status is not None)
