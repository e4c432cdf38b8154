"""LiveKit's plugin of 1.2, whose URL cannot be chosen: in an aiohttp session for which the vendor's host is at `url`.

So it is for every program where a company's own name service and authority answer for that host.
"""

import asyncio
import socket
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from livekit.plugins import assemblyai
from livekit_plugin import on_error, on_event, push
from order import read_order, tell


class Elsewhere(AbstractResolver):
    """Every host is at one address."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._host, self._port = parts.hostname, parts.port

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The one address."""
        found = ResolveResult(
            hostname=host, host=self._host, port=self._port, family=socket.AF_INET, proto=0, flags=socket.AI_NUMERICHOST
        )
        return [found]

    async def close(self) -> None:
        """Nothing is held."""


async def main() -> None:
    """One stream, to the end of its input."""
    order = read_order()
    connector = aiohttp.TCPConnector(resolver=Elsewhere(order["url"]))
    async with aiohttp.ClientSession(connector=connector) as http:
        plugin = assemblyai.STT(api_key=order["key"], http_session=http, **order["parameters"])
        plugin.on("error", on_error)
        stream = plugin.stream()
        pushing = asyncio.create_task(push(stream, order))
        async for event in stream:
            on_event(event)
        await pushing
        await stream.aclose()
    tell("completed")


if __name__ == "__main__":
    asyncio.run(main())
