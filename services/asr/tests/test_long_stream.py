"""Hours of speech neither grow a stream nor lengthen its windows."""

import asyncio

import numpy as np
from streaming_asr.engine import SAMPLE_RATE, Hypothesis, Window
from streaming_asr.replies import Offer
from streaming_asr.stream import RecognitionStream
from streaming_asr.windows import LONGEST
from streamingstack.asr.v1 import recognizer_pb2 as pb
from streamingstack_bench.peer import opening, silence_policy
from streamingstack_bench.scripted import Script, ScriptedEngine, ScriptedVoice, ScriptWord

HOURS = 3
# Eleven seconds of speech, then a pause of 1.5 s that ends the turn; and once in a while a minute without a pause.
PERIOD_MS, WORD_MS = 12_500, 250


def hours_of_speech() -> list[ScriptWord]:
    """Words all through the session, with pauses."""
    total = HOURS * 3_600_000
    starts = [
        at for at in range(500, total - 1000, WORD_MS) if at % PERIOD_MS < PERIOD_MS - 1500 or at % 600_000 < 90_000
    ]
    return [ScriptWord(f"w{at}", at, at + WORD_MS - 20) for at in starts]


class WatchedEngine(ScriptedEngine):
    """Notes the longest window and hears only its part of the script, since three hours are too much to search."""

    def __init__(self, words: list[ScriptWord]) -> None:
        super().__init__(Script(words))
        self.longest = 0
        self._all = words
        self._starts = np.array([word.start_ms for word in words])

    async def decode(self, window: Window) -> Hypothesis:
        self.longest = max(self.longest, len(window.pcm))
        low = int(np.searchsorted(self._starts, window.first_sample // 16 - 1000))
        high = int(np.searchsorted(self._starts, (window.first_sample + len(window.pcm)) // 16 + 1000))
        return await ScriptedEngine(Script(self._all[low:high])).decode(window)

    async def end_of_turn(self, window: Window) -> float:
        return 0.1


class NearbyVoice(ScriptedVoice):
    """Voice activity of a long script, looked up instead of searched."""

    def __init__(self, words: list[ScriptWord]) -> None:
        super().__init__(Script([]))
        spoken = np.zeros(HOURS * 3_600_000, dtype=bool)
        for word in words:
            spoken[word.start_ms : word.end_ms + 30] = True
        self._spoken = spoken

    def open(self, first_sample: int) -> "NearbyVoice":
        self._at = first_sample
        return self

    async def probabilities(self, pcm: np.ndarray) -> list[float]:
        frames = [0.95 if self._spoken[(self._at + i * 512 + 256) // 16] else 0.02 for i in range(len(pcm) // 512)]
        self._at += len(pcm)
        return frames


async def test_three_hours_keep_every_word_and_a_bounded_state() -> None:
    words = hours_of_speech()
    engine, voice = WatchedEngine(words), NearbyVoice(words)
    out: asyncio.Queue[pb.RecognizeResponse] = asyncio.Queue()
    stream = RecognitionStream(opening(), engine=engine, voice=voice, send=out.put, offer=Offer(1, 3000))
    running = asyncio.create_task(stream.run())
    decide = silence_policy(1280)
    final: list[str] = []
    longest_recording = at = 0
    total = HOURS * 3600 * SAMPLE_RATE
    second = bytes(SAMPLE_RATE * 2)
    while at < total:
        response = await out.get()
        kind = response.WhichOneof("message")
        message = getattr(response, kind)
        if kind == "words":
            final += [word.text for word in message.final]
        if kind == "checkpoint":
            final += [word.text for word in message.words]
            answer = pb.Answer(checkpoint_id=message.id, decision=decide(message))
            stream.inbox.take(pb.RecognizeRequest(answer=answer))
        while at < total and at + SAMPLE_RATE <= stream.inbox.credit:
            stream.inbox.take(pb.RecognizeRequest(audio=pb.Audio(first_sample=at, pcm=second)))
            at += SAMPLE_RATE
            longest_recording = max(longest_recording, stream.inbox.recording.end - stream.inbox.recording.begin)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    missing = len(words) - len(final)
    assert final == [word.text for word in words][: len(final)]
    assert missing < 20, "only what was still on its way when the audio ended"
    assert engine.longest <= LONGEST
    assert longest_recording <= LONGEST + 6 * SAMPLE_RATE
