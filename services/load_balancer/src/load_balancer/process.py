"""nginx as a child process: found, checked, started, told to reload and to drain."""

import asyncio
import contextlib
import ctypes
import grp
import json
import os
import pwd
import shutil
import signal
import sys
from pathlib import Path

import httpx
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

    def __init__(self, program: str, folder: Path, health_url: str) -> None:
        """`health_url` is where /nginx_health will answer."""
        self._program = program
        self._folder = folder
        self._health_url = health_url
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
        self._child = await asyncio.create_subprocess_exec(
            self._program,
            *self._arguments(CONFIG),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            process_group=0,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
        self._pump = asyncio.create_task(self._relay_log(self._child))

    def reload(self) -> None:
        """Take the configuration checked last; streams of the old one go on."""
        self._adopt()
        self._signal(signal.SIGHUP)

    def drain(self) -> None:
        """Accept nothing more and end with the last stream."""
        self._signal(signal.SIGQUIT)

    async def wait(self) -> int:
        """Exit status of nginx."""
        assert self._child is not None
        status = await self._child.wait()
        if self._pump is not None:
            await self._pump
        return status

    async def kill(self) -> None:
        """End it and its streams now."""
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.wait(), 5)
        except TimeoutError:
            self._signal(signal.SIGKILL)
            await self.wait()

    async def in_force(self, generation: str, seconds: float) -> bool:
        """Whether new connections meet this generation within `seconds`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), httpx.AsyncClient(trust_env=False) as client:
                while not await self._shows(client, generation):  # noqa: ASYNC110 - the event is nginx's, not ours
                    await asyncio.sleep(0.05)
                return True
        return False

    async def _shows(self, client: httpx.AsyncClient, generation: str) -> bool:
        try:
            answer = await client.get(self._health_url, headers={"connection": "close"})
        except httpx.TransportError:
            return False
        return answer.status_code == 200 and answer.headers.get("x-config-generation") == generation

    def _arguments(self, config: str) -> list[str]:
        return ["-p", f"{self._folder}/", "-c", config, "-e", "stderr"]

    def _adopt(self) -> None:
        (self._folder / f"{CONFIG}.next").replace(self._folder / CONFIG)

    def _signal(self, number: signal.Signals) -> None:
        if self._child is not None and self._child.returncode is None:
            self._child.send_signal(number)

    async def _relay_log(self, child: asyncio.subprocess.Process) -> None:
        assert child.stderr is not None
        while line := (await child.stderr.readline()).decode(errors="replace").strip():
            try:
                fields = json.loads(line) if line.startswith("{") else {}
            except ValueError:
                fields = {}
            if fields:
                _log.info(fields.pop("event", "stream ended"), **fields)
            elif "[emerg]" in line or "[alert]" in line or "[crit]" in line:
                _log.error("nginx", line=line)
            else:
                _log.warning("nginx", line=line)


def _die_with_parent() -> None:
    """Runs in the child: nginx must not outlive a balancer that was killed, it would hold the port."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _reason(output: str) -> str:
    """nginx's own words for what is wrong, without the time stamp."""
    lines = [line.partition("[emerg]")[2].strip() for line in output.splitlines() if "[emerg]" in line]
    return "; ".join(line.partition(": ")[2] if line[:1].isdigit() else line for line in lines)


async def _run(program: str, *arguments: str) -> tuple[int, str]:
    child = await asyncio.create_subprocess_exec(
        program, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await child.communicate()
    return child.returncode or 0, output.decode(errors="replace")
