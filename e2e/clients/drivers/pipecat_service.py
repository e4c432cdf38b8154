"""Pipecat's service behind Pipecat's own voice activity detection."""

import asyncio
from typing import Any

from order import read_order
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.audio.vad.vad_analyzer import VADParams
from pipecat.frames.frames import InputAudioRawFrame
from pipecat.pipeline.task import PipelineTask
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.services.assemblyai import models
from pipecat.services.assemblyai.stt import AssemblyAISTTService
from pipecat_conversation import converse


def service(order: dict[str, Any]) -> AssemblyAISTTService:
    """Configured as this version wants it; `parameters` has `model`, who ends turns, and settings of the service."""
    parameters = dict(order["parameters"])
    by_pipecat = parameters.pop("vad_force_turn_endpoint", True)
    given = {"api_key": order["key"], "api_endpoint_base_url": order["url"], "vad_force_turn_endpoint": by_pipecat}
    if hasattr(AssemblyAISTTService, "Settings"):
        return AssemblyAISTTService(**given, settings=AssemblyAISTTService.Settings(**parameters))
    parameters["speech_model"] = parameters.pop("model")
    return AssemblyAISTTService(**given, connection_params=models.AssemblyAIConnectionParams(**parameters))


async def main() -> None:
    """One conversation."""

    async def hear(task: PipelineTask, frame: InputAudioRawFrame) -> None:
        await task.queue_frame(frame)

    order = read_order()
    voice = VADProcessor(vad_analyzer=SileroVADAnalyzer(params=VADParams(stop_secs=0.2)))
    await converse([voice, service(order)], hear, order)


if __name__ == "__main__":
    asyncio.run(main())
