"""One stream of the scripted recogniser without a transport: for tests that lose it at an exact message."""

import asyncio
import contextlib
from collections import deque

from streaming_asr.replies import Offer
from streaming_asr.stream import RecognitionStream
from streamingstack.asr.v1 import recognizer_pb2 as pb

from streamingstack_bench.scripted import Script, ScriptedEngine, ScriptedVoice

_TURNS = 12  # of the event loop: more than any chain of tasks in the stream core


class ScriptedStream:
    """The real stream core. `out` holds what it said and nobody took yet."""

    def __init__(
        self,
        script: Script,
        opening: pb.Open,
        *,
        replacing: bool,
        engine: ScriptedEngine | None = None,
        left_context_ms: int = 3000,
    ) -> None:
        """`engine` stands in for the script's own."""
        self.out: deque[pb.RecognizeResponse] = deque()
        offer = Offer(capacity=28, left_context_ms=left_context_ms, replacing=replacing)
        voice = ScriptedVoice(script)
        self._core = RecognitionStream(
            opening, engine=engine or ScriptedEngine(script), voice=voice, send=self._send, offer=offer
        )
        self._task = asyncio.create_task(self._core.run())

    def take(self, request: pb.RecognizeRequest) -> None:
        """A message from the gateway."""
        self._core.inbox.take(request)

    async def rest(self) -> None:
        """Let it do what it can with what it has. Raises what ended it."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        if self._task.done():
            self._task.result()

    async def die(self) -> None:
        """End it in the middle of whatever it does."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _send(self, response: pb.RecognizeResponse) -> None:
        self.out.append(response)
