"""The walks of the contract, played message by message against the real link.

What the recogniser says is sent as it stands in the walk; what the session does is what the gateway's side of the walk
asks for. The link has to say all of it in its turn. How it cuts audio, and how far before a position it begins a
replay, are its own choice; an order goes out when the audio is there, not before.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
from asr_contract.clock import ms_to_samples
from asr_contract.testing.steps import CREDIT_MS, Down, End, HalfClose, Step, Up
from asr_contract.testing.walks import WALKS, Walk
from prometheus_client import CollectorRegistry
from streaming_gateway.link import Hearing, LinkRequest, LinkSettings, RecognizerLink, Recognizers
from streaming_gateway.link.ledger import FRAME
from streamingstack.asr.v1 import recognizer_pb2 as pb
from streamingstack.asr.v1 import recognizer_pb2_grpc as rpc
from streamingstack_bench.coded_audio import coded_pcm

PATIENCE = 20.0
SAME_IN_EVERY_OPEN = (
    "session_id",
    "epoch",
    "reason",
    "traffic_class",
    "route",
    "checkpoints_ms",
    "segment_cap_samples",
    "next_word_index",
    "final_words",
    "segment_open",
    "segment",
    "segment_floor",
)


class WalkedSession:
    """Does what the walk has the gateway say, and notes what it is told."""

    def __init__(self, link: RecognizerLink) -> None:
        self.link = link
        self.words: defaultdict[int, list[str]] = defaultdict(list)
        self.finalized: list[int] = []
        self._finalizes = 0
        self._asked: list[pb.Checkpoint] = []
        self._news = asyncio.Event()
        self.listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for event in self.link.events():
            kind = event.WhichOneof("message")
            if kind == "words":
                self._settle(event.words.segment, event.words.final)
            elif kind == "checkpoint":
                self._asked.append(event.checkpoint)
                if not self.link.replacing:
                    self._settle(event.checkpoint.segment, event.checkpoint.words)
            elif kind == "finalized":
                self._settle(event.finalized.segment, event.finalized.words)
                self.finalized.append(event.finalized.id)
            self._news.set()

    def _settle(self, segment: int, words: Any) -> None:
        self.words[segment] += [word.text for word in words]

    @property
    def segments(self) -> tuple[str, ...]:
        """The text of the segments that have any."""
        return tuple(" ".join(self.words[number]) for number in sorted(self.words) if self.words[number])

    async def does(self, message: pb.RecognizeRequest) -> None:
        """What makes the link say `message`; nothing where a replay says it again."""
        kind = message.WhichOneof("message")
        if kind == "audio":
            self.give(message.audio.first_sample + len(message.audio.pcm) // 2)
        elif kind == "finalize":
            self.give(message.finalize.at_sample)
            if message.finalize.id > self._finalizes:
                self._finalizes = self.link.finalize()
            assert self._finalizes == message.finalize.id
        elif kind == "update":
            self.give(message.update.at_sample)
            self.link.update(checkpoints_ms=tuple(message.update.checkpoints.ms))
        elif kind == "answer":
            await self.until(lambda: bool(self._asked))
            checkpoint = self._asked.pop(0)
            if self.link.replacing and message.answer.decision == pb.DECISION_END_SEGMENT:
                self._settle(checkpoint.segment, checkpoint.words)
            self.link.answer(checkpoint, message.answer.decision)

    def give(self, end: int) -> None:
        """Audio up to a position in the session."""
        given = self.link.received_samples
        self.link.send_audio(coded_pcm(given, max(given, end)))

    async def outlives(self, walk: "asyncio.Future[None]") -> None:
        """Waits for the end of the walk; raises what ended the link before it, or broke the walk."""
        await asyncio.wait({walk, self.listening}, return_when=asyncio.FIRST_COMPLETED)
        for ended in (self.listening, walk):
            if ended.done():
                ended.result()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                if self.listening.done():
                    self.listening.result()
                self._news.clear()
                await self._news.wait()


class WalkedRecogniser(rpc.RecognizerServiceServicer):  # type: ignore[misc]
    """The recogniser's side of a walk; `over` has its outcome when the last stream has ended."""

    def __init__(self, walk: Walk) -> None:
        self._streams = list(walk.streams)
        self.session: asyncio.Future[WalkedSession] = asyncio.get_running_loop().create_future()
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def Recognize(self, requests: AsyncIterator[pb.RecognizeRequest], context: Any) -> None:
        """The next stream of the walk."""
        try:
            await WalkedStream(requests, context).play(self._streams.pop(0), self.session)
            if not self._streams:
                self.over.set_result(None)
                await asyncio.Event().wait()  # the session leaves
        except Exception as failure:
            self.over.set_exception(failure)
            raise


class WalkedStream:
    """One stream, step by step; orders whose audio is not there yet are waited for with it."""

    def __init__(self, requests: Any, context: Any) -> None:
        self._requests, self._context = aiter(requests), context
        self._heard = 0
        self._orders: list[pb.RecognizeRequest] = []
        self._due: list[pb.RecognizeRequest] = []
        self._answers: list[pb.Answer] = []

    async def play(self, steps: tuple[Step, ...], session: "asyncio.Future[WalkedSession]") -> None:
        opened, ready, *rest = steps
        assert isinstance(opened, Up)
        assert isinstance(ready, Down)
        await self._begin(opened.message.open, ready.message)
        for step in rest:
            if isinstance(step, Up):
                await (await session).does(step.message)
                await self._expect(step.message)
            elif isinstance(step, Down):
                await self._context.write(step.message)
            elif isinstance(step, End) and step.status != "OK":
                # The grpc library raises out of abort; the stream ends there.
                with contextlib.suppress(grpc.aio.AbortError):
                    await self._context.abort(getattr(grpc.StatusCode, step.status), "lost")
                return
            elif isinstance(step, HalfClose):
                assert self._due == [], "what the walk has, the link never said"
                return

    async def _begin(self, expected: pb.Open, ready: pb.RecognizeResponse) -> None:
        async with asyncio.timeout(PATIENCE):
            first = await anext(self._requests)
        opening = first.open
        for field in SAME_IN_EVERY_OPEN:
            assert getattr(opening, field) == getattr(expected, field), field
        assert opening.vad_threshold == pytest.approx(expected.vad_threshold)
        assert opening.first_sample <= expected.first_sample
        assert opening.segment_start == expected.segment_start
        assert expected.emit_after_sample - FRAME <= opening.emit_after_sample <= expected.emit_after_sample
        self._heard = opening.first_sample
        sooner = pb.RecognizeResponse()
        sooner.CopyFrom(ready)
        sooner.ready.send_through_sample = opening.first_sample + ms_to_samples(CREDIT_MS)
        await self._context.write(sooner)
        if opening.first_sample < expected.first_sample:  # more context than the walk has: heard first
            await self._hear_through(expected.first_sample)
            heard = pb.Progress(
                processed_through_sample=expected.first_sample, send_through_sample=ready.ready.send_through_sample
            )
            await self._context.write(pb.RecognizeResponse(progress=heard))

    async def _expect(self, message: pb.RecognizeRequest) -> None:
        kind = message.WhichOneof("message")
        if kind == "audio":
            await self._hear_through(message.audio.first_sample + len(message.audio.pcm) // 2)
        elif kind == "answer":
            while not self._answers:
                await self._take()
            assert self._answers.pop(0) == message.answer
        else:
            self._due.append(message)
        await self._take_orders()

    async def _hear_through(self, position: int) -> None:
        while self._heard < position:
            await self._take()

    async def _take_orders(self) -> None:
        """Every order of the walk whose position the audio has reached is there, as the walk has it."""
        while self._due and _position(self._due[0]) <= self._heard:
            while not self._orders:
                await self._take()
            assert self._orders.pop(0) == self._due.pop(0)
        assert not self._orders or self._due, f"an order that the walk does not have: {self._orders}"

    async def _take(self) -> None:
        async with asyncio.timeout(PATIENCE):
            request = await anext(self._requests)
        kind = request.WhichOneof("message")
        if kind == "audio":
            end = self._heard + len(request.audio.pcm) // 2
            assert request.audio.first_sample == self._heard
            assert request.audio.pcm == coded_pcm(self._heard, end)
            self._heard = end
        elif kind == "answer":
            self._answers.append(request.answer)
        else:
            assert kind in ("finalize", "update"), kind
            self._orders.append(request)


def _position(order: pb.RecognizeRequest) -> int:
    return int(getattr(order, order.WhichOneof("message") or "").at_sample)


@contextlib.asynccontextmanager
async def walked(walk: Walk) -> AsyncIterator[tuple[WalkedRecogniser, str]]:
    recogniser, server = WalkedRecogniser(walk), grpc.aio.server()
    rpc.add_RecognizerServiceServicer_to_server(recogniser, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield recogniser, f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


@pytest.mark.parametrize("walk", WALKS.values(), ids=WALKS.keys())
async def test_the_link_walks_it_message_by_message(walk: Walk) -> None:
    first = walk.streams[0][0]
    assert isinstance(first, Up)
    opened = first.message.open
    request = LinkRequest(
        opened.session_id, opened.route, Hearing(round(opened.vad_threshold, 3), tuple(opened.checkpoints_ms))
    )
    finalizes = {s.message.finalize.id for stream in walk.streams for s in stream if isinstance(s, Up)} - {0}
    registry = CollectorRegistry()
    async with walked(walk) as (recogniser, endpoint):
        several = Recognizers(LinkSettings(endpoints=(endpoint,), check_contract=True), registry)
        try:
            session = WalkedSession(await several.open(request))
            recogniser.session.set_result(session)
            await session.outlives(recogniser.over)
            await session.until(lambda: session.segments == walk.segments and finalizes <= set(session.finalized))
            await session.link.close()
            await session.listening
        finally:
            await several.close()
    assert session.segments == walk.segments
    assert len(session.finalized) == len(finalizes)
    assert registry.get_sample_value("gateway_recognizer_contract_troubles_total") == 0
    assert registry.get_sample_value("gateway_audio_held_bytes") == 0
