"""What the example of the self-hosted stack does, in our own words: root path, any key, no limit on any wait.

It reads in one task and writes in another, takes fields of messages by name without asking whether they are there,
and is over when the server closes, however long that takes.
"""

import asyncio
import json
from importlib.metadata import version
from typing import Any
from urllib.parse import urlencode

from order import chunks, read_order, tell, waits
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedOK


async def main() -> None:
    """One session; a close that is not clean ends it with an exception."""
    order = read_order()
    query = {"sample_rate": 16_000, "format_turns": "true", **order["parameters"]}
    headers = {"Authorization": order["key"]}
    async with connect(f"{order['url']}?{urlencode(query)}", additional_headers=headers) as socket:
        writing = asyncio.create_task(write(socket, order))
        try:
            while True:
                read(json.loads(await socket.recv()))
        except ConnectionClosedOK:
            tell("closed", code=socket.close_code, reason=socket.close_reason)
        await writing
    tell("completed", websockets=version("websockets"))


async def write(socket: ClientConnection, order: dict[str, Any]) -> None:
    """The audio, from the first moment on, then Terminate."""
    for piece, wait, _ in waits(order, chunks(order)):
        await asyncio.sleep(wait)
        await socket.send(piece)
    await socket.send(json.dumps({"type": "Terminate"}))


def read(message: dict[str, Any]) -> None:
    """Every field that the example shows."""
    match message["type"]:
        case "Begin":
            tell("begin", id=message["id"], expires_at=message["expires_at"])
        case "SpeechStarted":
            tell("speech_started", at=message["timestamp"], confidence=message["confidence"])
        case "Turn":
            times = [(word["text"], word["start"], word["end"]) for word in message["words"]]
            tell(
                "turn", order=message["turn_order"], text=message["transcript"], end=message["end_of_turn"],
                formatted=message["turn_is_formatted"], words=len(times),
            )  # fmt: skip
        case "Termination":
            tell("termination", audio=message["audio_duration_seconds"], session=message["session_duration_seconds"])
        case other:
            tell("unknown", type=other)


if __name__ == "__main__":
    asyncio.run(main())
