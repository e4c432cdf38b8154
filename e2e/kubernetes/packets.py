"""Which connections are made from inside a pod."""

from collections.abc import Iterable

from live_namespace import LiveNamespace

# All at once: what is stopped is not refused, it has to time out.
_KNOCK = """
import asyncio, sys
async def knock(way):
    name, address, port = way.split(",")
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(address, int(port)), 2)
    except (OSError, TimeoutError):
        return
    writer.close()
    print("arrived", name, port)
async def main():
    await asyncio.gather(*map(knock, sys.argv[1:]))
asyncio.run(main())
"""


def arrived(home: LiveNamespace, pod: str, ways: Iterable[tuple[str, str, int]]) -> set[tuple[str, int]]:
    """Of the ways (name, address, port) from a pod those on which a connection is made, as (name, port)."""
    said = home.run_in(pod, "python", "-c", _KNOCK, *(f"{name},{address},{port}" for name, address, port in ways))
    lines = (line.split() for line in said.splitlines() if line.startswith("arrived"))
    return {(name, int(port)) for _, name, port in lines}
