"""The gateway as the process that is deployed."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field


@dataclass
class Process:
    """A running gateway."""

    process: asyncio.subprocess.Process
    port: int = 0
    metrics_port: int = 0
    lines: list[str] = field(default_factory=list)

    async def read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.lines.append(line.decode())

    async def ready(self) -> None:
        async with asyncio.timeout(30):
            while not (found := [line for line in self.lines if "Ready to serve!" in line]):
                assert self.process.returncode is None, self.lines
                await asyncio.sleep(0.05)
        told = json.loads(found[0])
        self.port, self.metrics_port = told["port"], told["metrics_port"]


def environment(**variables: str) -> dict[str, str]:
    fixed = {"AAI_WSS_PORT": "0", "METRICS_PORT": "0", "HOST": "127.0.0.1", "AAI_USE_STRUCTURED_LOGGING": "true"}
    return {**os.environ, **fixed, **variables}


@contextlib.asynccontextmanager
async def gateway_process(**variables: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "streaming_gateway", env=environment(**variables), stderr=asyncio.subprocess.PIPE
    )
    running = Process(process)
    reading = asyncio.create_task(running.read())
    try:
        await running.ready()
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading
