"""One gRPC stream of class BULK: a recording up within the credit, its words down (rules 2 and 14 of the contract)."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
from asr_contract.calls import CallOver, pod_in, told_when_over
from asr_contract.clock import BYTES_PER_SAMPLE, SAMPLE_RATE
from asr_contract.conversation import Conversation
from streamingstack.asr.v1 import recognizer_pb2 as pb

READY_SECONDS = 5.0
# A recogniser says something every second; one that is held up may be late, one that is gone says nothing.
SILENCE_SECONDS = 5.0
PING_SECONDS = 5.0
_FINALIZE_ID = 1

Observe = Callable[[str, Any], None]


class StreamEnded(Exception):
    """The stream is over before its words were. The text is free of anything spoken."""

    def __init__(self, reason: str, status: grpc.StatusCode | None = None) -> None:
        super().__init__(reason)
        self.reason, self.status = reason, status


class NoPlace(StreamEnded):
    """No recogniser that was asked has a place, or none is there."""


class GaveWay(StreamEnded):
    """It had a place, and nobody is at fault: a live session needs it, or the recogniser goes away."""


class RouteUnknown(StreamEnded):
    """The load balancer knows no such route."""


class Rejected(StreamEnded):
    """Whoever hears it would end it the same way."""


class Lost(StreamEnded):
    """The recogniser broke."""


@dataclass
class Heard:
    """What a recogniser heard in a whole recording; `pod` is where, as the load balancer names it."""

    words: list[pb.Word] = field(default_factory=list)
    language: str = ""
    pod: str = ""


def contract_check(active: bool) -> Observe:
    """An observer of one stream. Where `active`, it raises ContractError at the first message against the contract."""
    if not active:
        return lambda _direction, _message: None
    conversation = Conversation()
    return lambda direction, message: (conversation.up if direction == "up" else conversation.down)(message)


class BulkStream:
    """One attempt at one recording; `hear` it once. `pod` is known when that returned or failed."""

    def __init__(self, call: Any, opening: pb.Open, pcm: bytes, observe: Observe) -> None:
        """`call` is a new call of `Recognize`; `pcm` is mono s16le at 16 kHz."""
        self.pod = ""
        self._call, self._opening, self._pcm, self._observe = call, opening, memoryview(pcm), observe
        self._end = len(pcm) // BYTES_PER_SAMPLE
        self._credit = 0
        self._renewed = asyncio.Event()
        self._last_write = time.monotonic()

    async def hear(self) -> Heard:
        """The words of the whole recording. Raises StreamEnded; the call is over in every case."""
        sending: asyncio.Task[None] | None = None
        try:
            await self._open()
            sending = asyncio.create_task(self._send())
            return await self._receive(sending)
        finally:
            self._call.cancel()
            if sending is not None:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)

    async def _open(self) -> None:
        try:
            async with asyncio.timeout(READY_SECONDS):
                await self._write(pb.RecognizeRequest(open=self._opening))
                first = await self._read()
        except TimeoutError:
            raise NoPlace("not ready") from None
        except StreamEnded as ended:
            raise _before_ready(ended) from None
        self.pod = pod_in(await self._call.initial_metadata())
        if first.WhichOneof("message") != "ready":
            raise Lost("contract")
        self._credit = first.ready.send_through_sample

    async def _send(self) -> None:
        sent = 0
        while sent < self._end:
            through = min(self._end, self._credit, sent + SAMPLE_RATE)
            if through <= sent:
                await self._wait()
                continue
            pcm = bytes(self._pcm[sent * BYTES_PER_SAMPLE : through * BYTES_PER_SAMPLE])
            await self._write(pb.RecognizeRequest(audio=pb.Audio(first_sample=sent, pcm=pcm)))
            sent = through
        finalize = pb.Finalize(id=_FINALIZE_ID, at_sample=self._end)
        await self._write(pb.RecognizeRequest(finalize=finalize))
        while True:
            await self._wait()

    async def _wait(self) -> None:
        """For credit; keeps the place meanwhile."""
        self._renewed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, self._last_write + PING_SECONDS - time.monotonic())):
                await self._renewed.wait()
        if time.monotonic() - self._last_write >= PING_SECONDS:
            await self._write(pb.RecognizeRequest(ping=pb.Ping()))

    async def _receive(self, sending: asyncio.Task[None]) -> Heard:
        heard = Heard(pod=self.pod)
        async for response in self._responses(sending):
            kind = response.WhichOneof("message")
            if kind == "progress":
                self._credit = max(self._credit, response.progress.send_through_sample)
                self._renewed.set()
            elif kind == "words":
                heard.words.extend(response.words.final)
            elif kind == "draining":
                raise GaveWay("draining")
            elif kind == "finalized":
                heard.words.extend(response.finalized.words)
                heard.language = response.finalized.language
                return heard
        raise Lost("broken")

    async def _responses(self, sending: asyncio.Task[None]) -> AsyncIterator[pb.RecognizeResponse]:
        """Every message. A write that fails tells less than the status that the next read finds."""
        while True:
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    response = await self._read()
            except TimeoutError:
                raise Lost("silent") from None
            except StreamEnded as ended:
                raise _after_ready(ended) from None
            if sending.done() and not isinstance(failure := sending.exception(), StreamEnded):
                assert failure is not None, "it never ends by itself"
                raise failure
            yield response

    async def _write(self, request: pb.RecognizeRequest) -> None:
        self._observe("up", request)
        try:
            with told_when_over():
                await self._call.write(request)
        except CallOver as over:
            raise StreamEnded("broken", over.status) from None
        self._last_write = time.monotonic()

    async def _read(self) -> pb.RecognizeResponse:
        try:
            with told_when_over():
                response = await self._call.read()
        except CallOver as over:
            raise StreamEnded("broken", over.status) from None
        if response is grpc.aio.EOF:
            await self._name_pod()
            raise StreamEnded("broken", await self._call.code())
        self._observe("down", response)
        assert isinstance(response, pb.RecognizeResponse)
        return response

    async def _name_pod(self) -> None:
        self.pod = pod_in(await self._call.initial_metadata(), await self._call.trailing_metadata()) or self.pod


def _before_ready(ended: StreamEnded) -> StreamEnded:
    match ended.status:
        case grpc.StatusCode.NOT_FOUND:
            return RouteUnknown("route unknown", ended.status)
        case grpc.StatusCode.INVALID_ARGUMENT:
            return Rejected("rejected", ended.status)
    return NoPlace("refused", ended.status)


def _after_ready(ended: StreamEnded) -> StreamEnded:
    match ended.status:
        case grpc.StatusCode.INVALID_ARGUMENT:
            return Rejected("rejected", ended.status)
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return GaveWay("gave way", ended.status)
    return Lost("broken", ended.status)
