"""Pipecat's service in a pipeline: microphone, Pipecat's own voice activity detection, the service."""

import asyncio
from typing import Any

from order import RATE, chunks, read_order, tell, waits
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.audio.vad.vad_analyzer import VADParams
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
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.assemblyai import models
from pipecat.services.assemblyai.stt import AssemblyAISTTService

FRAME_MS = 20
# After the last frame: for the server to answer what the voice activity detection asked for.
LINGER_SECONDS = 1.5


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
    """What an agent would be told."""
    if isinstance(frame, TranscriptionFrame):
        tell("transcription", text=frame.text, finalized=frame.finalized, formatted=frame.result.turn_is_formatted)
    elif isinstance(frame, InterimTranscriptionFrame):
        tell("interim", text=frame.text)
    elif isinstance(frame, VADUserStartedSpeakingFrame):
        tell("voice_started")
    elif isinstance(frame, VADUserStoppedSpeakingFrame):
        tell("voice_stopped")


def service(order: dict[str, Any]) -> AssemblyAISTTService:
    """Configured as this version wants it; `parameters` has `model` and settings of the service."""
    given = {"api_key": order["key"], "api_endpoint_base_url": order["url"]}
    if hasattr(AssemblyAISTTService, "Settings"):
        return AssemblyAISTTService(**given, settings=AssemblyAISTTService.Settings(**order["parameters"]))
    parameters = dict(order["parameters"])
    parameters["speech_model"] = parameters.pop("model")
    return AssemblyAISTTService(**given, connection_params=models.AssemblyAIConnectionParams(**parameters))


async def main() -> None:
    """One conversation, from the pipeline's start to its end."""
    order = read_order()
    microphone, application = Listener(), Listener()
    voice = VADProcessor(vad_analyzer=SileroVADAnalyzer(params=VADParams(stop_secs=0.2)))
    task = PipelineTask(
        Pipeline([microphone, voice, service(order), application]),
        params=PipelineParams(audio_in_sample_rate=RATE),
        cancel_on_idle_timeout=False,
    )

    async def speak() -> None:
        await application.started.wait()
        for piece, wait in waits(order, chunks(order, FRAME_MS)):
            await asyncio.sleep(wait)
            await task.queue_frame(InputAudioRawFrame(piece, RATE, 1))
        await asyncio.sleep(LINGER_SECONDS)
        await task.queue_frame(EndFrame())

    await asyncio.gather(PipelineRunner(handle_sigint=False).run(task), speak())
    tell("completed")


if __name__ == "__main__":
    asyncio.run(main())
