"""supervisord as a child: started, asked over its socket, stopped; it does not outlive this process."""

import asyncio
import contextlib
import json
import re
import sys
import time
import xmlrpc.client
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from streamingstack_cli.errors import CommandError

_START_SECONDS = 20.0
_STOP_SECONDS = 30.0


@dataclass(frozen=True)
class ProcessState:
    """One process as supervisord sees it; `name` is supervisord's word: RUNNING, EXITED, BACKOFF, FATAL ..."""

    process: str
    name: str
    pid: int
    exit_status: int

    @property
    def ended(self) -> bool:
        """Whether it is not running and will not be."""
        return self.name in ("EXITED", "FATAL", "UNKNOWN", "STOPPED")


class Supervisord:
    """One supervisord and its children."""

    def __init__(self, process: asyncio.subprocess.Process, socket: Path) -> None:
        self._process = process
        self._socket = socket

    @classmethod
    async def start(cls, child_file: Path, socket: Path, log: Path, environment: Mapping[str, str]) -> "Supervisord":
        """Become what `child_file` says; call from the main thread, whose death ends it. Raises CommandError.

        `environment` is what it and its children inherit.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            str(Path(__file__).with_name("child.py")),
            str(child_file),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env=environment,
            # Ctrl-C is for the command, which stops everything in order.
            start_new_session=True,
        )
        started = cls(process, socket)
        deadline = time.monotonic() + _START_SECONDS
        while True:
            with contextlib.suppress(OSError, xmlrpc.client.Error):
                await started.states()
                return started
            if not started.alive or time.monotonic() > deadline:
                await started.stop("")
                raise CommandError(f"supervisord did not start (exit status {process.returncode}); see {log}")
            await asyncio.sleep(0.05)

    async def states(self) -> list[ProcessState]:
        """All children. Raises OSError or xmlrpc.client.Error where it does not answer."""
        rows = await self._ask(lambda rpc: rpc.supervisor.getAllProcessInfo())
        return [ProcessState(row["name"], row["statename"], row["pid"], row["exitstatus"]) for row in rows]

    @property
    def alive(self) -> bool:
        """Whether supervisord itself runs."""
        return self._process.returncode is None

    async def stop(self, first: str) -> None:
        """Stop `first`, then all others, then supervisord; what does not end is killed."""
        with contextlib.suppress(TimeoutError, OSError, xmlrpc.client.Error):
            async with asyncio.timeout(_STOP_SECONDS):
                with contextlib.suppress(xmlrpc.client.Error):
                    await self._ask(lambda rpc: rpc.supervisor.stopProcess(first))
                await self._ask(lambda rpc: rpc.supervisor.stopAllProcesses())
        for end in (self._process.terminate, self._process.kill):
            if not self.alive:
                break
            # Killed as the last resort: its children ask the kernel for SIGTERM when it ends.
            end()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_SECONDS):
                    await self._process.wait()
        self._socket.unlink(missing_ok=True)

    async def _ask(self, question: Callable[[Any], Any]) -> Any:
        def ask() -> Any:
            transport = SupervisorTransport(None, None, f"unix://{self._socket}")
            with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport) as rpc:
                return question(rpc)

        return await asyncio.to_thread(ask)


def cause_of_death(log: str, process: str) -> str:
    """How `process` ended by supervisord's log, whose text is `log`: "exit status 3", "killed by SIGKILL"."""
    found = re.findall(rf"(?:exited|gave up): {re.escape(process)}(?:_\d+)? \((.*?);", log)
    found += re.findall(rf"(?:spawnerr|FATAL).*{re.escape(process)}.*", log) if not found else []
    if not found:
        return "ended"
    return re.sub(r"^terminated by ", "killed by ", str(found[-1])).replace(" (core dumped)", ", core dumped")


def last_error(log: str) -> str:
    """The line of a process's log that tells best why it ended; '' for an empty log."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return next((said for said in map(_error, reversed(lines)) if said), lines[-1] if lines else "")


def _error(line: str) -> str:
    if line.startswith("{"):
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            return ""
        if record.get("level") not in ("error", "critical"):
            return ""
        details = [f"{name}: {value}" for name, value in record.items() if name in ("reason", "kind", "place")]
        return "; ".join([str(record.get("event")), *details]).replace("\n", " ")
    if re.match(r"E\d{4} [\d:.]+ \d+ ", line):
        return line
    return line if re.search(r"\b(error|cannot|failed|Error:|environment variable)\b", line, re.IGNORECASE) else ""
