"""Before scripted recognisers, on free ports: a whole gateway, or its link alone, also through nginx."""

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from scripted_gateway import Stack, scripted_gateway
from stack_model.nginx import BalancerOptions, BalancerRoute, Dialect, render_nginx
from stand_in_proxy import Proxy, stand_in_proxy
from streaming_gateway.link import Hearing, LinkRequest, LinkSettings, RecognizerLink, Recognizers
from streamingstack_bench.coded_audio import coded_pcm
from streamingstack_bench.scripted import Script, serve_scripted
from streamingstack_bench.told import Told


@pytest.fixture
def stack() -> Any:
    """`async with stack(script, replacing=..., capacity=..., **settings) as running: ...`."""
    return scripted_gateway


@pytest.fixture
async def plain_stack() -> AsyncIterator[Stack]:
    """A stack with the default script and settings."""
    async with scripted_gateway() as running:
        yield running


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """A licence proxy that says what a test wants."""
    async with stand_in_proxy() as made:
        yield made


# -- the link alone --------------------------------------------------------------------------------------------------

MS = 16
# Coded: every sample that a recogniser gets, the first time or again, has to be the one of its position.
SPOKEN = Script.of(
    "aubergine aubergine bassoon | | chrysalis dromedary | ecclesiastic fandango | | gargoyle | |", coded=True
)
SECONDS = 10.0
CHECKPOINTS = (160, 400, 640, 880, 1120, 1280)


@contextlib.asynccontextmanager
async def _recognizers(*endpoints: str, **settings: Any) -> AsyncIterator[tuple[Recognizers, CollectorRegistry]]:
    registry = CollectorRegistry()
    several = Recognizers(LinkSettings(endpoints=endpoints, check_contract=True, **settings), registry)
    try:
        yield several, registry
    finally:
        await several.close()


class Caller:
    """One session: gives audio, decides checkpoints, notes what it is told."""

    def __init__(self, link: RecognizerLink, *, replacing: bool = False) -> None:
        self.link = link
        self.told = Told(replacing=replacing)
        self.listening = asyncio.create_task(self._listen())
        self.last_event = time.monotonic()

    @classmethod
    async def open(
        cls,
        several: Recognizers,
        number: int = 0,
        route: str = "en-default",
        buffer_seconds: float | None = None,
        **more: Any,
    ) -> "Caller":
        session_id = f"5d3f9a1e-0000-4000-8000-{number:012}"
        request = LinkRequest(session_id, route, Hearing(0.4, CHECKPOINTS), buffer_seconds=buffer_seconds)
        return cls(await several.open(request), **more)

    async def _listen(self) -> None:
        async for event in self.link.events():
            self.last_event = time.monotonic()
            checkpoint = self.told.take(event)
            if checkpoint is not None:
                self.link.answer(checkpoint, self.told.decide(checkpoint))

    def give(self, milliseconds: int) -> None:
        """Audio up to a position in the session."""
        given, wanted = self.link.received_samples, milliseconds * MS
        self.link.send_audio(coded_pcm(given, max(given, wanted)))

    async def heard(self, milliseconds: int) -> None:
        """Wait until everything before a position was heard, but for the last frame."""
        await self._until(lambda: self.link.processed_samples > milliseconds * MS - 1024)

    async def finish(self) -> Told:
        """Give the rest of the audio and wait for its last word."""
        self.give(int(SECONDS * 1000))
        last = self.link.finalize()
        await self._until(lambda: last in self.told.finalized())
        await self.close()
        return self.told

    async def close(self) -> None:
        await self.link.close()
        await self.listening

    async def _until(self, condition: Any) -> None:
        async with asyncio.timeout(60):
            while not condition():
                if self.listening.done():
                    self.listening.result()
                await asyncio.sleep(0.01)


@pytest.fixture
def spoken() -> Script:
    """What the scripted recognisers of the link's tests hear."""
    return SPOKEN


@pytest.fixture
def recognizers() -> Any:
    """`async with recognizers("host:port", ..., **settings) as (several, registry): ...`."""
    return _recognizers


@pytest.fixture
def call() -> Callable[..., Awaitable[Caller]]:
    """`await call(several, number, route=..., replacing=...)` opens a session that says SPOKEN."""
    return Caller.open


_UNDISTURBED: dict[bool, Told] = {}


@pytest.fixture
def undisturbed() -> Callable[..., Awaitable[Told]]:
    """`await undisturbed(replacing=...)`: what a session without any loss is told."""

    async def tell(*, replacing: bool = False) -> Told:
        if replacing not in _UNDISTURBED:
            async with (
                serve_scripted(SPOKEN, replacing=replacing) as server,
                _recognizers(f"127.0.0.1:{server.port}") as (several, _),
            ):
                told = await (await Caller.open(several, replacing=replacing)).finish()
            assert told.text() == "aubergine aubergine bassoon chrysalis dromedary ecclesiastic fandango gargoyle"
            _UNDISTURBED[replacing] = told
        return _UNDISTURBED[replacing]

    return tell


class Nginx:
    """The stack's nginx, running. `kill` and `freeze` take master and worker at once."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process, self.endpoint = process, f"127.0.0.1:{port}"

    def freeze(self) -> None:
        """Stop it where it is: its sockets stay open and silent."""
        os.killpg(self._process.pid, signal.SIGSTOP)

    async def kill(self) -> None:
        """SIGKILL: every connection breaks."""
        if self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()


@pytest.fixture
def nginx(tmp_path: Path) -> Any:
    """`async with nginx(en_default=[...], ml_default=[...]) as balancer: ...`: the stack's nginx, by route."""

    @contextlib.asynccontextmanager
    async def serve(**routes: list[str]) -> AsyncIterator[Nginx]:
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/bin")
        assert program, "nginx is not installed; run `apt-get install nginx-light`, or your system's equivalent"
        named = [BalancerRoute(name=n.replace("_", "-"), backends=tuple(backends)) for n, backends in routes.items()]
        async with _nginx(program, named, tmp_path) as started:
            yield started

    return serve


@pytest.fixture
def balancer(nginx: Any) -> Any:
    """`async with balancer(en_default=[...]) as endpoint: ...`: the same, where its address is enough."""

    @contextlib.asynccontextmanager
    async def serve(**routes: list[str]) -> AsyncIterator[str]:
        async with nginx(**routes) as started:
            yield started.endpoint

    return serve


@contextlib.asynccontextmanager
async def _nginx(program: str, routes: list[BalancerRoute], base: Path) -> AsyncIterator[Nginx]:
    async with serve_scripted(SPOKEN) as first, serve_scripted(SPOKEN) as second:
        ports = first.port, second.port  # free ones
    options = BalancerOptions(
        dialect=Dialect.STATIC, listen=("127.0.0.1",), grpc_port=ports[0], health_port=ports[1], workers=1
    )
    folder = base / f"nginx-{ports[0]}"
    folder.mkdir()
    (folder / "nginx.conf").write_text(render_nginx(routes, options))
    process = await asyncio.create_subprocess_exec(
        program, "-p", f"{folder}/", "-c", "nginx.conf", "-e", "stderr", start_new_session=True
    )
    started = Nginx(process, ports[0])
    try:
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", ports[0])
                    writer.close()
                    break
                assert process.returncode is None, "nginx did not start"
                await asyncio.sleep(0.05)
        yield started
    finally:
        await started.kill()
