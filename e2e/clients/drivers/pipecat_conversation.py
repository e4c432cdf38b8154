"""A pipeline of Pipecat, of any version, that a recording is spoken into: what its application is told."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from order import RATE, chunks, tell, waits
from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    StartFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.runner import PipelineRunner
from pipecat.pipeline.task import PipelineParams, PipelineTask
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

FRAME_MS = 20
# After the last frame: for the server to answer what the voice activity detection asked for.
LINGER_SECONDS = 1.5

# What the service says of turns where it is left to find their ends, by its names in every version.
OF_THE_SERVICE = {
    "ProposedUserStartedSpeakingFrame": "turn_started",
    "UserStartedSpeakingFrame": "turn_started",
    "ProposedUserStoppedSpeakingFrame": "turn_stopped",
    "UserStoppedSpeakingFrame": "turn_stopped",
}

Hear = Callable[[PipelineTask, InputAudioRawFrame], Awaitable[None]]


class Listener(FrameProcessor):
    """Stands at an end of the pipeline and tells what comes by."""

    def __init__(self) -> None:
        super().__init__()
        self.started = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Tell it and let it go on."""
        await super().process_frame(frame, direction)
        if isinstance(frame, StartFrame):
            self.started.set()
        elif isinstance(frame, ErrorFrame):
            tell("error", text=frame.error)
        elif direction is FrameDirection.DOWNSTREAM:
            tell_frame(frame)
        await self.push_frame(frame, direction)


def tell_frame(frame: Frame) -> None:
    """What an agent would be told; `finalized` came with version 0.0.100 or so."""
    if isinstance(frame, TranscriptionFrame):
        finalized = getattr(frame, "finalized", None)
        tell("transcription", text=frame.text, finalized=finalized, formatted=frame.result.turn_is_formatted)
    elif isinstance(frame, InterimTranscriptionFrame):
        tell("interim", text=frame.text)
    elif type(frame).__name__ in OF_THE_SERVICE:
        tell(OF_THE_SERVICE[type(frame).__name__])
    elif isinstance(frame, VADUserStartedSpeakingFrame):
        tell("voice_started")
    elif isinstance(frame, VADUserStoppedSpeakingFrame):
        tell("voice_stopped")


async def converse(parts: list[FrameProcessor], hear: Hear, order: dict[str, Any]) -> None:
    """One conversation, from the pipeline's start to its end; `hear` takes each frame of the microphone."""
    first, application = Listener(), Listener()
    task = PipelineTask(
        Pipeline([first, *parts, application]),
        params=PipelineParams(audio_in_sample_rate=RATE),
        cancel_on_idle_timeout=False,
    )

    async def speak() -> None:
        await application.started.wait()
        for piece, wait, _ in waits(order, chunks(order, FRAME_MS)):
            await asyncio.sleep(wait)
            await hear(task, InputAudioRawFrame(piece, RATE, 1))
        await asyncio.sleep(LINGER_SECONDS)
        await task.queue_frame(EndFrame())

    await asyncio.gather(PipelineRunner(handle_sigint=False).run(task), speak())
    tell("completed")
