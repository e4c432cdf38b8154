"""Pipecat's service of 0.0.85, when voice activity was the transport's: behind a transport with Pipecat's own."""

import asyncio

from order import read_order
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.audio.vad.vad_analyzer import VADParams
from pipecat.frames.frames import InputAudioRawFrame, StartFrame
from pipecat.pipeline.task import PipelineTask
from pipecat.services.assemblyai.models import AssemblyAIConnectionParams
from pipecat.services.assemblyai.stt import AssemblyAISTTService
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat_conversation import converse


class Microphone(BaseInputTransport):
    """A transport that is ready when it is started."""

    async def start(self, frame: StartFrame) -> None:
        """Be ready."""
        await super().start(frame)
        await self.set_transport_ready(frame)


async def main() -> None:
    """One conversation."""

    async def hear(_: PipelineTask, frame: InputAudioRawFrame) -> None:
        await microphone.push_audio_frame(frame)

    order = read_order()
    analyzer = SileroVADAnalyzer(params=VADParams(stop_secs=0.2))
    microphone = Microphone(TransportParams(audio_in_enabled=True, vad_analyzer=analyzer))
    service = AssemblyAISTTService(
        api_key=order["key"],
        api_endpoint_base_url=order["url"],
        connection_params=AssemblyAIConnectionParams(**order["parameters"]),
    )
    await converse([microphone, service], hear, order)


if __name__ == "__main__":
    asyncio.run(main())
