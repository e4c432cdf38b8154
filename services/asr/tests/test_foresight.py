"""What the engine is asked early makes a stream quicker, and changes nothing that it says."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streaming_asr.endpointing import Endpointer
from streaming_asr.engine import SAMPLE_RATE, VAD_FRAME, EngineLostError, Hypothesis, Window
from streaming_asr.foresight import EarlyCalls, Standing, coming_asks
from streaming_asr.replies import Offer
from streaming_asr.stream import RecognitionStream
from streamingstack.asr.v1 import recognizer_pb2 as pb
from streamingstack_bench.peer import opening, silence_policy
from streamingstack_bench.scripted import Script, ScriptedEngine, ScriptedVoice

MS = SAMPLE_RATE // 1000
CHUNK = 100 * MS
LAST = 9
SILENCE = np.zeros(VAD_FRAME, np.int16)
TALK = Script.of("please book a table for two | at seven and | | bring some flowers | | thank you")


class Paced(ScriptedEngine):
    """Each call takes so many turns of the loop, while the client goes on speaking; no glimpses, which are optional."""

    def __init__(self, script: Script, turns: int) -> None:
        super().__init__(script)
        self.turns = turns
        self.calls: list[tuple[str, int, int]] = []
        self.most_at_once = self._at_once = 0

    async def decode(self, window: Window) -> Hypothesis:
        async def decode() -> Hypothesis:
            return await super(Paced, self).decode(window)

        heard: Hypothesis = await self._take("words", window, decode)
        return heard

    async def end_of_turn(self, window: Window) -> float:
        async def score() -> float:
            return await super(Paced, self).end_of_turn(window)

        scored: float = await self._take("score", window, score)
        return scored

    async def glimpse(self, window: Window) -> Hypothesis | None:
        return None

    async def _take(self, kind: str, window: Window, call: Callable[[], Any]) -> Any:
        self.calls.append((kind, window.first_sample, window.first_sample + len(window.pcm)))
        self._at_once += kind == "words"
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            for _ in range(self.turns):
                await asyncio.sleep(0)
            return await call()
        finally:
            self._at_once -= kind == "words"


@dataclass
class Client:
    """Speaks a chunk each so many turns of the loop, answers at once, and keeps what it is told but Progress."""

    stream: RecognitionStream
    told: list[bytes] = field(default_factory=list)
    heard_all: asyncio.Event = field(default_factory=asyncio.Event)

    async def hear(self, response: pb.RecognizeResponse) -> None:
        kind = response.WhichOneof("message")
        if kind == "checkpoint":
            answer = pb.Answer(checkpoint_id=response.checkpoint.id, decision=silence_policy(1280)(response.checkpoint))
            self.stream.inbox.take(pb.RecognizeRequest(answer=answer))
            response.checkpoint.send_through_sample = 0
        if kind == "finalized" and response.finalized.id == LAST:
            self.heard_all.set()
        if kind not in ("progress", "ready"):
            self.told.append(response.SerializeToString(deterministic=True))

    async def speak(self, seconds: float, orders: dict[int, Any]) -> None:
        at, inbox = 0, self.stream.inbox
        while at < int(seconds * SAMPLE_RATE):
            if at + CHUNK <= inbox.credit:
                if at in orders:
                    inbox.take(pb.RecognizeRequest(**orders[at]))
                inbox.take(pb.RecognizeRequest(audio=pb.Audio(first_sample=at, pcm=bytes(2 * CHUNK))))
                at += CHUNK
            for _ in range(4):
                await asyncio.sleep(0)
        inbox.take(pb.RecognizeRequest(finalize=pb.Finalize(id=LAST, at_sample=at)))
        await self.heard_all.wait()


async def told(engine: Paced, script: Script = TALK, *, replacing: bool = False, orders: Any = None) -> list[bytes]:
    def hear(response: pb.RecognizeResponse) -> Any:
        return client.hear(response)

    voice = ScriptedVoice(script)
    opened = opening(session_id="the same")
    stream = RecognitionStream(opened, engine=engine, voice=voice, send=hear, offer=Offer(1, 3000, replacing))
    client = Client(stream)
    running = asyncio.create_task(stream.run())
    speaking = asyncio.create_task(client.speak(script.words[-1].end_ms / 1000 + 2.0, orders or {}))
    try:
        await asyncio.wait({running, speaking}, return_when=asyncio.FIRST_COMPLETED)
        stream.inbox.half_close()
        await running
    finally:
        speaking.cancel()
        await asyncio.gather(running, speaking, return_exceptions=True)
    return client.told


UPDATE = {"update": pb.Update(at_sample=30 * CHUNK, checkpoints=pb.Checkpoints(ms=[200, 1280]))}
FINALIZE = {"finalize": pb.Finalize(id=1, at_sample=33 * CHUNK)}


@pytest.mark.parametrize("replacing", [False, True])
@pytest.mark.parametrize("orders", [{}, {30 * CHUNK: UPDATE}, {33 * CHUNK: FINALIZE}])
async def test_what_is_said_is_the_same_however_long_the_engine_takes(replacing: bool, orders: Any) -> None:
    quick = Paced(TALK, 0)
    expected = await told(quick, replacing=replacing, orders=orders)
    assert quick.most_at_once == 1
    for turns in (5, 17, 40):
        slow = Paced(TALK, turns)
        assert await told(slow, replacing=replacing, orders=orders) == expected
        assert set(quick.calls) <= set(slow.calls)
        assert len(set(slow.calls)) == len(slow.calls), "nothing is asked twice"


async def test_a_checkpoint_is_decoded_while_the_decode_before_it_still_runs() -> None:
    slow = Paced(TALK, 40)
    await told(slow)
    assert slow.most_at_once == 2


async def test_an_engine_that_is_lost_ends_the_stream_and_leaves_nothing() -> None:
    unheard: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unheard.append(context))

    class Lost(Paced):
        async def decode(self, window: Window) -> Hypothesis:
            await super().decode(window)
            raise EngineLostError("gone")

    with pytest.raises(EngineLostError):
        await told(Lost(TALK, 40))
    for _ in range(3):
        await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == 1
    assert unheard == []


async def test_a_call_that_was_begun_is_not_made_again_and_one_that_nobody_wants_ends() -> None:
    made: list[int] = []

    async def call(window: Window) -> int:
        made.append(window.first_sample)
        await asyncio.sleep(0)
        return window.first_sample

    early = EarlyCalls()
    one, two = (Window(pcm=SILENCE, first_sample=at) for at in (0, 512))
    for _ in range(2):
        early.begin("words", one, call)
    early.begin("words", two, call)
    assert await early.finish("words", one, call) == 0
    early.drop()
    assert await early.finish("words", two, call) == 512
    assert made == [0, 512, 512]
    assert len(asyncio.all_tasks()) == 1


VOICES = st.lists(st.tuples(st.booleans(), st.integers(1, 40)), max_size=8)


@settings(max_examples=200, deadline=None)
@given(voices=VOICES, known=st.integers(0, 300), finalize=st.none() | st.integers(0, 200))
def test_asks_come_in_order_within_the_audio_that_is_there(
    voices: list[tuple[bool, int]], known: int, finalize: int | None
) -> None:
    frames = [0.9 if voiced else 0.1 for voiced, count in [(True, 5), *voices] for _ in range(count)]
    endpointer = Endpointer(threshold=0.4, checkpoints_ms=[160, 400, 1280], cap=60 * SAMPLE_RATE)
    for number in range(5):
        endpointer.hear(number * VAD_FRAME, (number + 1) * VAD_FRAME, frames[number])
    at = 5 * VAD_FRAME
    end = at + known * 100
    finalize_at = None if finalize is None else at + finalize * 100
    standing = Standing(at, at, voiced=True, undecoded=False, grid=800 * MS, finalize_at=finalize_at)
    asks = list(coming_asks(endpointer, standing, frames[5:], end))
    assert [ask.at for ask in asks] == sorted(ask.at for ask in asks)
    assert all(at <= ask.at <= end for ask in asks)
    if finalize_at is not None:
        assert all(ask.at <= finalize_at for ask in asks)
    if not any(probability > 0.4 for probability in frames[5:]):
        assert not any(ask.voiced for ask in asks[1:]), "what was closed is not decoded again"
    assert endpointer.speaking, "looking ahead moves nothing"
