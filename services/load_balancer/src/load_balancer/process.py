"""nginx as a child process: found, checked, started, told to reload and to drain."""

import asyncio
import contextlib
import ctypes
import grp
import http.client
import json
import os
import pwd
import shutil
import signal
import sys
from pathlib import Path

from service_kit.logs import get_logger
from stack_model.nginx import parse_version

_log = get_logger(__name__)

CONFIG = "nginx.conf"
_PR_SET_PDEATHSIG = 1


class NginxError(Exception):
    """nginx cannot do what was asked; the text is one line with the remedy where there is one."""


async def find_nginx(program: str) -> tuple[str, tuple[int, int, int]]:
    """Path and version of nginx; raises NginxError."""
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin:/opt/homebrew/bin")
    if path is None:
        raise NginxError(
            f"{program} is not installed; install it (Debian, Ubuntu: apt-get install nginx-light; "
            "Fedora: dnf install nginx; Alpine: apk add nginx; macOS: brew install nginx), or set NGINX to its path"
        )
    status, output = await _run(path, "-v")
    try:
        return path, parse_version(output)
    except ValueError as failure:
        raise NginxError(f"{path} -v ended with status {status}: {failure}") from None


def worker_user() -> str | None:
    """Account for nginx's workers, as `user` takes it; None when this process is not root."""
    if os.geteuid() != 0:
        return None
    account = pwd.getpwnam("nobody")
    return f"{account.pw_name} {grp.getgrgid(account.pw_gid).gr_name}"


class Nginx:
    """One nginx, in the foreground, with all its files in one folder."""

    def __init__(self, program: str, folder: Path, health: tuple[str, int]) -> None:
        """`health` is the address and port where /nginx_health will answer."""
        self._program = program
        self._folder = folder
        self._health = health
        self._child: asyncio.subprocess.Process | None = None
        self._pump: asyncio.Task[None] | None = None

    async def check(self, text: str) -> None:
        """Write the configuration beside the one in force and let nginx judge it; raises NginxError."""
        candidate = self._folder / f"{CONFIG}.next"
        await asyncio.to_thread(candidate.write_text, text)
        status, output = await _run(self._program, "-t", "-q", *self._arguments(candidate.name))
        if status != 0:
            raise NginxError(_reason(output) or f"nginx -t ended with status {status}")

    async def start(self) -> None:
        """Start with the configuration checked last; raises NginxError when it ends at once."""
        self._adopt()
        # Not asyncio's own pipe: with that, wait() would wait for every worker that holds it.
        reading, writing = os.pipe()
        try:
            self._child = await asyncio.create_subprocess_exec(
                self._program,
                *self._arguments(CONFIG),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=writing,
                env=_environment(),
                process_group=0,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )
        finally:
            os.close(writing)
        log = asyncio.StreamReader()
        pipe = os.fdopen(reading, "rb", 0)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(log), pipe)
        self._pump = asyncio.create_task(_relay(log))

    def reload(self) -> None:
        """Take the configuration checked last; streams of the old one go on."""
        self._adopt()
        self._signal(signal.SIGHUP)

    def drain(self) -> None:
        """Accept nothing more and end with the last stream."""
        self._signal(signal.SIGQUIT)

    async def wait(self) -> int:
        """Exit status of nginx; workers that outlived a killed master are ended too, they would hold the ports."""
        assert self._child is not None
        status = await self._child.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        if self._pump is not None:
            await asyncio.wait({self._pump}, timeout=1)
        return status

    async def kill(self) -> None:
        """End it and its streams now."""
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(5):
                await self.wait()
        except TimeoutError:
            self._signal(signal.SIGKILL)
            await self.wait()

    async def in_force(self, generation: str, seconds: float) -> bool:
        """Whether new connections meet this generation within `seconds`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while await asyncio.to_thread(self._generation) != generation:  # noqa: ASYNC110 - nginx has no event
                    await asyncio.sleep(0.05)
                return True
        return False

    def _generation(self) -> str | None:
        """What /nginx_health shows to a new connection; None when nobody answers."""
        connection = http.client.HTTPConnection(*self._health, timeout=1)
        try:
            connection.request("GET", "/nginx_health")
            return connection.getresponse().headers["x-config-generation"]
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def _arguments(self, config: str) -> list[str]:
        return ["-p", f"{self._folder}/", "-c", config, "-e", "stderr"]

    def _adopt(self) -> None:
        (self._folder / f"{CONFIG}.next").replace(self._folder / CONFIG)

    def _signal(self, number: signal.Signals) -> None:
        if self._child is not None and self._child.returncode is None:
            self._child.send_signal(number)


async def _relay(log: asyncio.StreamReader) -> None:
    """nginx's lines as our own: its errors, and one line a stream where that is on."""
    async for raw in log:
        line = raw.decode(errors="replace").strip()
        if line.startswith("{"):
            fields = json.loads(line)
            _log.info(fields.pop("event"), **{**fields, "seconds": float(fields["seconds"])})
        elif any(level in line for level in ("[emerg]", "[alert]", "[crit]")):
            _log.error("nginx", line=line)
        else:
            _log.warning("nginx", line=line)


def _environment() -> dict[str, str]:
    """Ours but for NGINX, which names the program to us: nginx would take it for the sockets of a nginx before it."""
    return {name: value for name, value in os.environ.items() if name != "NGINX"}


def _die_with_parent() -> None:
    """Runs in the child: nginx must not outlive a balancer that was killed, it would hold the port."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _reason(output: str) -> str:
    """nginx's own words for what is wrong, without the time stamp."""
    lines = [line.partition("[emerg]")[2].strip() for line in output.splitlines() if "[emerg]" in line]
    return "; ".join(line.partition(": ")[2] if line[:1].isdigit() else line for line in lines)


async def _run(program: str, *arguments: str) -> tuple[int, str]:
    child = await asyncio.create_subprocess_exec(
        program, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=_environment()
    )
    output, _ = await child.communicate()
    return child.returncode or 0, output.decode(errors="replace")
