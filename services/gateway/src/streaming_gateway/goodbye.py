"""The end of a connection: the Error if there is one, the close frame, and never a wait without bounds."""

import asyncio
import contextlib
import json

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from streaming_gateway import wire
from streaming_gateway.problems import CLIENT_GONE, Closing, Problem, closing

GOODBYE_SECONDS = 2.0


async def refuse(connection: ServerConnection, problem: Problem) -> None:
    """End a connection that never became a session."""
    with contextlib.suppress(ConnectionClosed, Problem, TimeoutError):
        async with asyncio.timeout(GOODBYE_SECONDS):
            await connection.send(json.dumps(wire.error(problem.code, problem.text)))
    await close(connection, closing(problem))


async def close(connection: ServerConnection, how: Closing) -> None:
    """Close with code and reason; a client that does not answer, or does not even read, is cut off."""
    if how is CLIENT_GONE:
        # Returns once the connection is down; the client's close was answered, or there is nobody to answer.
        how = Closing(1011)
    # A client may go on sending; unread frames would hide its own close frame.
    reader = asyncio.create_task(_discard(connection))
    try:
        async with asyncio.timeout(GOODBYE_SECONDS):
            await connection.close(how.code, how.reason)
    except TimeoutError:
        connection.transport.abort()
    finally:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)


async def _discard(connection: ServerConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            await connection.recv()
