"""The walks of the contract, played message by message against the real recogniser.

What the gateway says is sent as it stands in the walk; what the recogniser says has to come in the walk's order, at the
walk's positions. Three things are the recogniser's own choice: how often it tells its progress, with which message
before a checkpoint a word becomes final, and whether it decodes a silence again, which may punctuate a word otherwise.
Voices and words are made from the walk.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import grpc
import pytest
from asr_contract.conversation import Conversation
from asr_contract.testing.steps import Down, End, HalfClose, Up
from asr_contract.testing.walks import WALKS, Walk
from streaming_asr.engine import VAD_FRAME, HeardWord, Hypothesis, Pcm, Window
from streaming_asr.server import Serving, serve_recogniser
from streamingstack.asr.v1 import recognizer_pb2 as pb
from streamingstack.asr.v1 import recognizer_pb2_grpc as rpc
from streamingstack_bench.scripted import ROUTES

OPEN_WORDS = ("checkpoint", "finalized")


def bodies(walk: Walk) -> Iterator[tuple[str, Any]]:
    """Every message of the recogniser, over all streams."""
    for step in (step for stream in walk.streams for step in stream):
        if isinstance(step, Down):
            kind = step.message.WhichOneof("message") or ""
            yield kind, getattr(step.message, kind)


class WalkedVoice:
    """A voice from where the walk says that it started until it stopped."""

    def __init__(self, walk: Walk) -> None:
        self.spans: list[tuple[int, float]] = []
        for kind, body in bodies(walk):
            speaking = bool(self.spans) and self.spans[-1][1] == float("inf")
            if kind == "speech_started" and not speaking:
                self.spans.append((body.at_sample, float("inf")))
            elif kind == "speech_stopped" and speaking:
                self.spans[-1] = (self.spans[-1][0], body.at_sample)

    def open(self, first_sample: int) -> "WalkedVoiceStream":
        return WalkedVoiceStream(self.spans, first_sample)


class WalkedVoiceStream:
    def __init__(self, spans: Sequence[tuple[int, float]], first_sample: int) -> None:
        self._spans, self._at = spans, first_sample

    async def probabilities(self, pcm: Pcm) -> list[float]:
        frames = range(self._at, self._at + len(pcm), VAD_FRAME)
        self._at += len(pcm)
        return [0.9 if any(s < frame + VAD_FRAME and frame < e for s, e in self._spans) else 0.02 for frame in frames]


class WalkedEngine:
    """Hears the walk's words; one that the walk writes otherwise later, as the audio that is there has it."""

    def __init__(self, walk: Walk) -> None:
        self._written: defaultdict[int, dict[int, pb.Word]] = defaultdict(dict)
        for kind, body in bodies(walk):
            if kind in OPEN_WORDS:
                said, at = body.words, body.at_sample
            elif kind == "words":
                said, at = [*body.final, *body.tentative], body.through_sample
            else:
                continue
            for word in said:
                self._written[word.start_sample][at] = word

    async def decode(self, window: Window) -> Hypothesis:
        begin, end = window.first_sample, window.first_sample + len(window.pcm)
        heard = []
        for start in sorted(start for start in self._written if begin <= start < end):
            written = self._written[start]
            # The walk may ask a frame later.
            word = written[max((at for at in written if at <= end + VAD_FRAME), default=min(written))]
            heard.append(HeardWord(word.text, start, min(word.end_sample, end), word.confidence))
        return Hypothesis(tuple(heard), "en", 0.9)

    async def glimpse(self, window: Window) -> Hypothesis | None:
        return await self.decode(window)

    async def end_of_turn(self, window: Window) -> float:
        return 0.5


class Played:
    """One stream of a walk on a real call."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._rules = Conversation()
        self._credit = 0
        self._events: asyncio.Queue[pb.RecognizeResponse] = asyncio.Queue()
        self._news = asyncio.Event()
        self._said: defaultdict[int, list[pb.Word]] = defaultdict(list)
        self._expected: defaultdict[int, list[pb.Word]] = defaultdict(list)
        self.closed: list[str] = []
        self._replacing = False

    async def walk(self, stream: Sequence[Any]) -> None:
        reading = asyncio.create_task(self._read())
        try:
            for step in stream:
                if isinstance(step, Up):
                    await self._say(step.message)
                elif isinstance(step, Down):
                    await self._hear(step.message)
                elif isinstance(step, HalfClose):
                    self._rules.half_close()
                    await self._call.done_writing()
                elif step == End():
                    await asyncio.wait_for(reading, 20)
                    self._rules.ended()
                    self._nothing_is_left(stream)
        finally:
            self._call.cancel()  # a loss: the recogniser is left in the middle
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        self.closed = [segment_text(segment.words) for segment in self._rules.closed if segment.words]

    def _nothing_is_left(self, stream: Sequence[Any]) -> None:
        """Nothing came that the walk does not have, but that a voice goes on behind its end."""
        end = max(s.message.audio.first_sample + len(s.message.audio.pcm) // 2 for s in stream if isinstance(s, Up))
        while not self._events.empty():
            response = self._events.get_nowait()
            assert response.speech_started.at_sample == end, response

    async def _read(self) -> None:
        async for response in self._call:
            self._rules.down(response)
            kind = response.WhichOneof("message") or ""
            body = getattr(response, kind)
            self._credit = max(self._credit, getattr(body, "send_through_sample", 0))
            if kind == "words":
                self._said[body.segment] += body.final
            elif kind != "progress":
                self._events.put_nowait(response)
            self._news.set()

    async def _say(self, message: pb.RecognizeRequest) -> None:
        if message.WhichOneof("message") == "audio":
            end = message.audio.first_sample + len(message.audio.pcm) // 2
            async with asyncio.timeout(20):
                while self._credit < end:
                    self._news.clear()
                    await self._news.wait()
        self._rules.up(message)
        await self._call.write(message)

    async def _hear(self, message: pb.RecognizeResponse) -> None:
        kind = message.WhichOneof("message") or ""
        expected = getattr(message, kind)
        if kind == "words":
            self._expected[expected.segment] += expected.final
        if kind in ("words", "progress"):
            return
        response = await asyncio.wait_for(self._events.get(), 20)
        assert response.WhichOneof("message") == kind, f"{response} where the walk has {message}"
        heard = getattr(response, kind)
        if kind == "ready":
            self._replacing = heard.replacing
            assert (heard.replacing, heard.send_through_sample) == (expected.replacing, expected.send_through_sample)
            return
        assert abs(heard.at_sample - expected.at_sample) <= VAD_FRAME
        if kind in OPEN_WORDS:
            self._compare(heard, expected)

    def _compare(self, heard: Any, expected: Any) -> None:
        for field in ("id", "segment", "reason", "silence_ms"):
            assert getattr(heard, field, None) == getattr(expected, field, None), field
        if self._replacing:
            assert plain(segment_text(heard.words)) == plain(segment_text(expected.words))
            return
        said, wanted = self._said[heard.segment], self._expected[heard.segment]
        said += heard.words
        wanted += expected.words
        assert [(word.index, word.text) for word in said] == [(word.index, word.text) for word in wanted]
        for ours, theirs in zip(said, wanted, strict=True):
            assert abs(ours.start_sample - theirs.start_sample) <= VAD_FRAME
            assert abs(ours.end_sample - theirs.end_sample) <= VAD_FRAME


def segment_text(words: Sequence[pb.Word]) -> str:
    return " ".join(word.text for word in words)


def plain(text: str) -> str:
    return text.translate(str.maketrans("", "", ".,"))


@pytest.mark.parametrize("walk", WALKS.values(), ids=WALKS.keys())
async def test_the_recogniser_walks_it_message_by_message(walk: Walk) -> None:
    replacing = any(kind == "ready" and body.replacing for kind, body in bodies(walk))
    serving = Serving(ROUTES, 4, host="127.0.0.1", replacing=replacing)
    closed: list[str] = []
    async with (
        serve_recogniser(serving, WalkedEngine(walk), WalkedVoice(walk)) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        for stream in walk.streams:
            played = Played(rpc.RecognizerServiceStub(channel).Recognize())
            await played.walk(stream)
            closed += played.closed
        async with asyncio.timeout(5):
            while server.slots.active:
                await asyncio.sleep(0.01)
    assert [plain(text) for text in closed] == [plain(text) for text in walk.segments]
