"""A scripted recogniser as a process of its own, to be killed, frozen and started again."""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from streamingstack_bench.scripted import Script


class ScriptedProcess:
    """`port` is bound and ready. Every end is waited for."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process, self.port = process, port

    @property
    def endpoint(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self.port}"

    def freeze(self) -> None:
        """Stop it where it is: its sockets stay open and silent."""
        os.kill(self._process.pid, signal.SIGSTOP)

    async def kill(self) -> None:
        """SIGKILL: nothing is said, nothing is saved."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


@contextlib.asynccontextmanager
async def scripted_process(
    script: Script, *, port: int = 0, capacity: int = 64, delay_seconds: float = 0.0, replacing: bool = False
) -> AsyncIterator[ScriptedProcess]:
    """A process that takes streams while the context is open. Raises RuntimeError when it does not start."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "script.json")
        script.dump(path)
        options = [f"--script={path}", f"--port={port}", f"--capacity={capacity}", f"--delay-seconds={delay_seconds}"]
        options += ["--replacing"] if replacing else []
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "streamingstack_bench.scripted", *options, stdout=asyncio.subprocess.PIPE
        )
        try:
            yield ScriptedProcess(process, await _ready_port(process))
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _ready_port(process: asyncio.subprocess.Process) -> int:
    assert process.stdout is not None
    async with asyncio.timeout(60):
        line = (await process.stdout.readline()).decode()
    if "Ready to serve" not in line:
        raise RuntimeError(f"the scripted recogniser did not start; its exit code is {await process.wait()}")
    return int(line.rsplit(maxsplit=1)[-1])
