"""LiveKit's plugin, of any version that takes a URL: the frames of a microphone in, its speech events out."""

import asyncio
from typing import Any

import aiohttp
from livekit import rtc
from livekit.agents import stt
from livekit.plugins import assemblyai
from order import RATE, chunks, read_order, tell, waits

# What a WebRTC track gives.
FRAME_MS = 10


async def main() -> None:
    """One stream, to the end of its input."""
    order = read_order()
    async with aiohttp.ClientSession() as http:
        plugin = assemblyai.STT(api_key=order["key"], base_url=order["url"], http_session=http, **order["parameters"])
        plugin.on("error", on_error)
        stream = plugin.stream()
        pushing = asyncio.create_task(push(stream, order))
        async for event in stream:
            on_event(event)
        await pushing
        await stream.aclose()
    tell("completed")


async def push(stream: stt.SpeechStream, order: dict[str, Any]) -> None:
    """The audio, frame by frame, and its end."""
    for piece, wait, midway in waits(order, chunks(order, FRAME_MS)):
        await asyncio.sleep(wait)
        if midway:
            stream.update_options(**order["midway"])
            stream.force_endpoint()
        stream.push_frame(rtc.AudioFrame(piece, RATE, 1, len(piece) // 2))
    stream.end_input()


def on_event(event: stt.SpeechEvent) -> None:
    """What an agent would be told."""
    texts = [alternative.text for alternative in event.alternatives]
    tell(event.type.value, text=texts[0] if texts else None)


def on_error(error: stt.STTError) -> None:
    """Also of what the plugin tries again."""
    tell("error", kind=type(error.error).__name__, code=getattr(error.error, "status_code", None))


if __name__ == "__main__":
    asyncio.run(main())
