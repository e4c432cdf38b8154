"""The Python SDK's asynchronous client, of any version that has one."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import assemblyai.streaming.v3 as aai
from order import chunks, read_order, tell, waits


async def main() -> None:
    """One session, from connect to disconnect."""
    order = read_order()
    options = aai.StreamingClientOptions(api_key=order["key"], api_host=order["url"])
    if order["token"]:
        async with aai.AsyncStreamingClient(options) as owner:
            token = await owner.create_temporary_token(expires_in_seconds=60, max_session_duration_seconds=600)
        options = aai.StreamingClientOptions(token=token, api_host=order["url"])
    async with aai.AsyncStreamingClient(options) as client:
        client.on(aai.StreamingEvents.Begin, on_begin)
        client.on(aai.StreamingEvents.Turn, on_turn)
        client.on(aai.StreamingEvents.Termination, on_termination)
        client.on(aai.StreamingEvents.Error, on_error)
        since = time.monotonic()
        await client.connect(aai.StreamingParameters(**order["parameters"]))
        tell("connected", seconds=time.monotonic() - since)
        await client.stream(paced(client, order))
        since = time.monotonic()
        await client.disconnect(terminate=True)
        tell("disconnected", seconds=time.monotonic() - since)


async def on_begin(_: Any, begin: aai.BeginEvent) -> None:
    """The session is open."""
    tell("begin", id=str(begin.id))


async def on_turn(_: Any, turn: aai.TurnEvent) -> None:
    """A partial, or an end of turn."""
    tell(
        "turn", order=turn.turn_order, text=turn.transcript, end=turn.end_of_turn, formatted=turn.turn_is_formatted,
        words=len(turn.words),
    )  # fmt: skip


async def on_termination(_: Any, end: aai.TerminationEvent) -> None:
    """The server said goodbye."""
    tell("termination", audio=end.audio_duration_seconds)


async def on_error(_: Any, error: aai.StreamingError) -> None:
    """Whatever went wrong."""
    tell("error", code=error.code, text=str(error))


async def paced(client: aai.AsyncStreamingClient, order: dict[str, Any]) -> AsyncIterator[bytes]:
    """The audio at the speed of the order."""
    for piece, wait, midway in waits(order, chunks(order)):
        await asyncio.sleep(wait)
        if midway:
            await client.set_params(aai.StreamingSessionParameters(**order["midway"]))
            await client.keep_alive()
            await client.force_endpoint()
        yield piece


if __name__ == "__main__":
    asyncio.run(main())
