"""The gateway's side of the contract, as plain as it can be: for tests and measurements of a recogniser alone.

Every message, both ways, is held against the pure model of the conversation.
"""

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
from asr_contract.conversation import Conversation
from numpy.typing import NDArray
from streaming_asr.engine import SAMPLE_RATE
from streamingstack.asr.v1 import recognizer_pb2 as pb
from streamingstack.asr.v1 import recognizer_pb2_grpc as rpc

Policy = Callable[[pb.Checkpoint], pb.Decision]
Order = pb.Update | pb.Finalize
# What is sent between a checkpoint and its answer, at the end of the audio sent so far.
Interjection = Callable[[pb.Checkpoint], Sequence[Order]]


def silence_policy(end_at_ms: int) -> Policy:
    """End the segment at any checkpoint whose silence is at least `end_at_ms`."""

    def decide(checkpoint: pb.Checkpoint) -> pb.Decision:
        ends = checkpoint.silence_ms >= end_at_ms or checkpoint.reason == pb.CHECKPOINT_REASON_CAP
        return pb.DECISION_END_SEGMENT if ends else pb.DECISION_CONTINUE

    return decide


def opening(route: str = "en-default", **overrides: Any) -> pb.Open:
    """A new interactive session with the defaults of Universal-Streaming."""
    fields: dict[str, Any] = {
        "session_id": str(uuid.uuid4()),
        "reason": pb.REASON_NEW,
        "traffic_class": pb.TRAFFIC_CLASS_INTERACTIVE,
        "route": route,
        "vad_threshold": 0.4,
        "checkpoints_ms": [160, 400, 640, 880, 1120, 1280],
        "segment_cap_samples": 60 * SAMPLE_RATE,
    }
    return pb.Open(**{**fields, **overrides})


@dataclass
class Played:
    """What came back."""

    responses: list[pb.RecognizeResponse] = field(default_factory=list)

    def of(self, kind: str) -> list[Any]:
        """All messages of one kind, unwrapped."""
        return [getattr(r, kind) for r in self.responses if r.WhichOneof("message") == kind]

    def segments(self) -> list[list[pb.Word]]:
        """The final words of each segment of an append-only model, in order."""
        words: dict[int, list[pb.Word]] = {}
        for response in self.responses:
            kind = response.WhichOneof("message")
            if kind in ("words", "checkpoint", "finalized"):
                message = getattr(response, kind)
                words.setdefault(message.segment, []).extend(message.final if kind == "words" else message.words)
        return [words[number] for number in sorted(words) if words[number]]

    def text(self) -> str:
        """All final words of an append-only model."""
        return " ".join(word.text for segment in self.segments() for word in segment)


@dataclass(frozen=True)
class Delivery:
    """How the audio is sent: chunk length, and its speed (1.0: real time; None: as fast as credit allows)."""

    chunk_ms: int = 100
    speed: float | None = None


class _Session:
    def __init__(self, call: Any, policy: Policy, observe: Callable[[str, Any], None], interject: Interjection) -> None:
        self._call, self._policy, self._observe, self._interject = call, policy, observe, interject
        self._credit = 0
        self._sent = 0
        self._finalizes = 0
        self._news = asyncio.Event()
        self._writing = asyncio.Lock()
        self._conversation = Conversation()
        self.played = Played()
        self.finalized: set[int] = set()

    async def write(self, **message: Any) -> None:
        request = pb.RecognizeRequest(**message)
        async with self._writing:  # gRPC takes one write at a time
            self._place(request)
            self._observe("up", request)
            self._conversation.up(request)
            await self._call.write(request)

    async def finish(self) -> None:
        self._conversation.half_close()
        await self._call.done_writing()

    async def read(self) -> None:
        async for response in self._call:
            self._observe("down", response)
            self._conversation.down(response)
            self.played.responses.append(response)
            kind = response.WhichOneof("message")
            body = getattr(response, kind)
            if kind in ("ready", "progress", "checkpoint"):
                self._credit = max(self._credit, body.send_through_sample)
            if kind == "checkpoint":
                for order in self._interject(body):
                    await self.order(order)
                await self.write(answer=pb.Answer(checkpoint_id=body.id, decision=self._policy(body)))
            if kind == "finalized":
                self.finalized.add(body.id)
            self._news.set()
        self._conversation.ended()

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._news.clear()
            await self._news.wait()

    async def perform(
        self, opened: pb.Open, pcm: NDArray[np.int16], orders: Mapping[int, Sequence[Order]], how: Delivery
    ) -> None:
        await self.write(open=opened)
        await self.send(pcm, orders, how, opened.first_sample)
        await self.order(pb.Finalize())
        await self.until(lambda: len(self.finalized) == self._finalizes)

    async def send(self, pcm: NDArray[np.int16], orders: Mapping[int, Sequence[Order]], how: Delivery, at: int) -> None:
        chunk = how.chunk_ms * SAMPLE_RATE // 1000
        stops = sorted({*range(at + chunk, len(pcm), chunk), *orders, len(pcm)})
        self._sent, began = at, asyncio.get_running_loop().time()
        for stop in stops:
            if how.speed is not None:
                due = began + stop / SAMPLE_RATE / how.speed
                await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
            while at < stop:
                await self.until(lambda position=at: self._credit > position)  # type: ignore[misc]
                end = min(stop, self._credit, at + SAMPLE_RATE)
                await self.write(audio=pb.Audio(first_sample=at, pcm=pcm[at:end].tobytes()))
                at = end
            for order in orders.get(stop, ()):
                await self.order(order)

    async def order(self, order: Order) -> None:
        """Sent at the end of the audio so far; Finalizes get their numbers here."""
        await self.write(**{"update" if isinstance(order, pb.Update) else "finalize": order})

    def _place(self, request: pb.RecognizeRequest) -> None:
        kind = request.WhichOneof("message")
        if kind == "audio":
            self._sent += len(request.audio.pcm) // 2
        elif kind == "update":
            request.update.at_sample = self._sent
        elif kind == "finalize":
            self._finalizes += 1
            request.finalize.id, request.finalize.at_sample = self._finalizes, self._sent


async def play(
    target: str,
    pcm: NDArray[np.int16],
    *,
    opened: pb.Open | None = None,
    policy: Policy | None = None,
    orders: Mapping[int, Sequence[Order]] | None = None,
    how: Delivery | None = None,
    observe: Callable[[str, Any], None] = lambda _direction, _message: None,
    interject: Interjection = lambda _checkpoint: (),
) -> Played:
    """Play a session to a recogniser at `target`, from `opened.first_sample` on, and finalize it at its last sample.

    `orders` maps positions to what is sent right after the audio before them. `observe` sees every message, up and
    down. Raises grpc.aio.AioRpcError when the recogniser ends the stream otherwise than OK, ContractError when either
    side breaks the contract.
    """
    opened = opened or opening()
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(target, options=options) as channel:
        metadata = (("x-model-version", opened.route),)
        call = rpc.RecognizerServiceStub(channel).Recognize(metadata=metadata)
        session = _Session(call, policy or silence_policy(1280), observe, interject)
        reading = asyncio.create_task(session.read())
        playing = asyncio.create_task(session.perform(opened, pcm, orders or {}, how or Delivery()))
        try:
            await asyncio.wait({reading, playing}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():  # the recogniser ended it: its status says why
                reading.result()
            await playing
            await session.finish()
            await reading
        finally:
            reading.cancel()
            playing.cancel()
            call.cancel()
    return session.played
