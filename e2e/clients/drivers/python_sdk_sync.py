"""The Python SDK's clients of the sync API, of any version that has them.

Of the order's parameters `how` is one of `file`, `raw`, `live` and `asynchronous`, and `config` what it says of the
recording.
"""

from __future__ import annotations  # where the clients are missing, what they are given is, too

import asyncio
from typing import Any

import assemblyai as aai
from order import chunks, read_order, tell


def main() -> None:
    """One recording, or what it was refused with."""
    order = read_order()
    how = order["parameters"]["how"]
    needed = "AsyncSyncTranscriber" if how == "asynchronous" else "SyncTranscriber"
    if not hasattr(aai, needed):
        tell("missing", name=needed)
        return
    settings = aai.Settings(api_key=order["key"], sync_base_url=order["url"])
    config = aai.SyncTranscriptionConfig(**order["parameters"].get("config", {}))
    try:
        if how == "asynchronous":
            heard = asyncio.run(later(order, settings, config))
        else:
            heard = at_once(order, settings, config)
        tell_words(heard)
    except aai.SyncTranscriptError as refused:
        tell(
            "refused",
            status=refused.status_code,
            code=refused.error_code,
            retry_after=refused.retry_after,
            text=str(refused),
        )


def at_once(order: dict[str, Any], settings: aai.Settings, config: aai.SyncTranscriptionConfig) -> Any:
    """By the synchronous client."""
    how = order["parameters"]["how"]
    transcriber = aai.SyncTranscriber(client=aai.Client(settings=settings), config=config)
    if how == "live" and not hasattr(transcriber, "transcribe_live"):
        tell("missing", name="transcribe_live")
        raise SystemExit
    if hasattr(transcriber, "warm"):
        tell("warm", open=transcriber.warm())
    match how:
        case "live":
            return transcriber.transcribe_live(iter(chunks(order)))
        case "raw":
            return transcriber.transcribe(b"".join(chunks(order)))
    return transcriber.transcribe(order["audio"])


async def later(order: dict[str, Any], settings: aai.Settings, config: aai.SyncTranscriptionConfig) -> Any:
    """By the asynchronous client."""
    async with aai.AsyncSyncTranscriber(client=aai.AsyncClient(settings=settings), config=config) as transcriber:
        return await transcriber.transcribe(order["audio"])


def tell_words(heard: aai.SyncTranscriptResponse) -> None:
    """What the client knows of them."""
    words = [[word.text, word.start, word.end] for word in heard.words]
    tell("words", text=heard.text, words=words, audio_ms=heard.audio_duration_ms, session=heard.session_id)


if __name__ == "__main__":
    main()
