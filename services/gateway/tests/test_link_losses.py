"""The link over real sockets: recognisers are killed, frozen, drained and away, and the session must not notice."""

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from stack_model.nginx import BalancerOptions, BalancerRoute, Dialect, render_nginx
from streaming_gateway.link import (
    Hearing,
    LinkLostError,
    LinkRequest,
    LinkSettings,
    RecognizerLink,
    Recognizers,
)
from streamingstack_bench.scripted import Script, serve_scripted
from streamingstack_bench.scripted_process import scripted_process
from streamingstack_bench.told import Told

MS = 16
SPOKEN = Script.of("aubergine aubergine bassoon | | chrysalis dromedary | ecclesiastic fandango | | gargoyle | |")
SECONDS = 10.0
CHECKPOINTS = (160, 400, 640, 880, 1120, 1280)


@contextlib.asynccontextmanager
async def recognizers(*endpoints: str, **settings: Any) -> AsyncIterator[tuple[Recognizers, CollectorRegistry]]:
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
    async def open(cls, several: Recognizers, number: int = 0, **more: Any) -> "Caller":
        request = LinkRequest(f"5d3f9a1e-0000-4000-8000-{number:012}", "en-default", Hearing(0.4, CHECKPOINTS))
        return cls(await several.open(request), **more)

    async def _listen(self) -> None:
        async for event in self.link.events():
            self.last_event = time.monotonic()
            checkpoint = self.told.take(event)
            if checkpoint is not None:
                self.link.answer(checkpoint, self.told.decide(checkpoint))

    def give(self, milliseconds: int) -> None:
        """Audio up to a position in the session."""
        missing = milliseconds * MS - self.link.received_samples
        self.link.send_audio(bytes(2 * max(0, missing)))

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


async def undisturbed(*, replacing: bool = False) -> Told:
    """What a session without any loss is told."""
    async with serve_scripted(SPOKEN, replacing=replacing) as server, recognizers(f"127.0.0.1:{server.port}") as (r, _):
        told = await (await Caller.open(r, replacing=replacing)).finish()
    assert told.text() == "aubergine aubergine bassoon chrysalis dromedary ecclesiastic fandango gargoyle"
    return told


def failovers(registry: CollectorRegistry, reason: str) -> float:
    return registry.get_sample_value("gateway_recognizer_failovers_total", {"reason": reason}) or 0.0


@pytest.mark.parametrize("replacing", [False, True])
async def test_a_recogniser_killed_under_sessions_in_every_state_costs_no_word(
    replacing: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    expected = await undisturbed(replacing=replacing)
    options = {"delay_seconds": 0.02, "replacing": replacing}
    async with (
        scripted_process(SPOKEN, **options) as victim,
        scripted_process(SPOKEN, **options) as other,
        recognizers(victim.endpoint, other.endpoint) as (several, registry),
    ):
        callers = [await Caller.open(several, number, replacing=replacing) for number in range(24)]
        points = [400 * (number // 2) for number in range(24)]  # silence, speech, at checkpoints, between them
        for caller, point in zip(callers, points, strict=True):
            caller.give(point)
        await asyncio.gather(*(c.heard(p) for c, p in zip(callers, points, strict=True) if p % 800))
        finishing = [asyncio.create_task(caller.finish()) for caller in callers[:6]]  # Finalize under way, or backlog
        await asyncio.sleep(0.05)
        await victim.kill()
        finishing += [asyncio.create_task(caller.finish()) for caller in callers[6:]]
        for told in await asyncio.gather(*finishing):
            assert told.comparable() == expected.comparable()
        assert failovers(registry, "broken") >= 8
    logged = "".join(capfd.readouterr()).lower()
    assert "recogniser lost" in logged
    assert not [word.text for word in SPOKEN.words if word.text in logged]


async def test_a_frozen_recogniser_is_left_after_three_seconds_of_silence() -> None:
    expected = await undisturbed()
    async with (
        scripted_process(SPOKEN) as victim,
        serve_scripted(SPOKEN) as other,
        recognizers(victim.endpoint, f"127.0.0.1:{other.port}") as (several, registry),
    ):
        callers = [await Caller.open(several, number) for number in range(2)]
        for caller in callers:
            caller.give(2_500)
        await asyncio.gather(*(caller.heard(2_500) for caller in callers))
        victim.freeze()
        frozen_at = time.monotonic()
        for caller in callers:
            caller.give(4_000)
        await asyncio.gather(*(caller.heard(4_000) for caller in callers))
        # The bound is 4 s; the rest is for a machine with other things to do.
        assert time.monotonic() - frozen_at < 4.0 + 4.0
        for told in await asyncio.gather(*(caller.finish() for caller in callers)):
            assert told.comparable() == expected.comparable()
        assert failovers(registry, "silent") == 1
        assert registry.get_sample_value("gateway_recognizer_failover_gap_seconds_count") == 1
        assert 0 < (registry.get_sample_value("gateway_recognizer_replayed_audio_seconds_total") or 0) <= 4


async def test_a_recogniser_that_accepts_and_says_nothing_is_hedged() -> None:
    async with (
        scripted_process(SPOKEN) as frozen,
        serve_scripted(SPOKEN) as other,
        recognizers(frozen.endpoint, f"127.0.0.1:{other.port}") as (several, registry),
    ):
        frozen.freeze()
        callers = [await Caller.open(several, number) for number in range(2)]
        expected = await undisturbed()
        for told in await asyncio.gather(*(caller.finish() for caller in callers)):
            assert told.comparable() == expected.comparable()
        assert registry.get_sample_value("gateway_recognizer_hedges_total") == 1


async def test_a_recogniser_that_dies_before_ready_costs_nothing() -> None:
    expected = await undisturbed()
    async with (
        scripted_process(SPOKEN) as victim,
        serve_scripted(SPOKEN) as other,
        recognizers(victim.endpoint, f"127.0.0.1:{other.port}", hedge_seconds=30.0) as (several, _),
    ):
        victim.freeze()
        callers = [await Caller.open(several, number) for number in range(2)]
        for caller in callers:
            caller.give(2_000)
        await victim.kill()
        for told in await asyncio.gather(*(caller.finish() for caller in callers)):
            assert told.comparable() == expected.comparable()


async def test_a_draining_recogniser_is_left_at_once() -> None:
    expected = await undisturbed()
    async with (
        serve_scripted(SPOKEN) as leaving,
        serve_scripted(SPOKEN) as other,
        recognizers(f"127.0.0.1:{leaving.port}", f"127.0.0.1:{other.port}") as (several, registry),
    ):
        callers = [await Caller.open(several, number) for number in range(8)]
        for number, caller in enumerate(callers):
            caller.give(700 * number)
            await caller.heard(700 * number)
        began = time.monotonic()
        await leaving.drain(30)
        assert time.monotonic() - began < 15, "the streams moved away before the deadline"
        for told in await asyncio.gather(*(caller.finish() for caller in callers)):
            assert told.comparable() == expected.comparable()
        assert failovers(registry, "draining") == 4


@pytest.mark.parametrize("replacing", [False, True])
async def test_a_session_outlives_a_time_without_any_recogniser(replacing: bool) -> None:
    expected = await undisturbed(replacing=replacing)
    async with contextlib.AsyncExitStack() as stack:
        async with (
            scripted_process(SPOKEN, replacing=replacing) as only,
            contextlib.AsyncExitStack() as opened,
        ):
            several, _ = await opened.enter_async_context(recognizers(only.endpoint))
            caller = await Caller.open(several, replacing=replacing)
            caller.give(3_000)
            await caller.heard(3_000)
            stack.push_async_exit(opened.pop_all())
        caller.give(5_000)
        caller.link.update(keyterms=("unheard",))
        await asyncio.sleep(1.0)
        again = serve_scripted(SPOKEN, replacing=replacing, port=int(only.port))
        await stack.enter_async_context(again)
        told = await caller.finish()
    assert told.comparable() == expected.comparable()


async def test_a_recogniser_that_lives_and_gets_nowhere_is_left() -> None:
    expected = await undisturbed()
    async with (
        serve_scripted(SPOKEN, delay_seconds=600) as stuck,
        serve_scripted(SPOKEN) as other,
        recognizers(f"127.0.0.1:{stuck.port}", f"127.0.0.1:{other.port}", stall_seconds=0.75) as (several, registry),
    ):
        callers = [await Caller.open(several, number) for number in range(2)]
        for told in await asyncio.gather(*(caller.finish() for caller in callers)):
            assert told.comparable() == expected.comparable()
        assert failovers(registry, "stalled") == 1


async def test_audio_that_breaks_every_recogniser_ends_its_session_instead_of_going_round() -> None:
    async with (
        serve_scripted(SPOKEN, delay_seconds=600) as server,
        recognizers(f"127.0.0.1:{server.port}") as (several, registry),
    ):
        caller = await Caller.open(several)
        caller.give(3_000)

        async def break_every_stream() -> None:
            while True:
                if server.slots.active:
                    await asyncio.sleep(0.1)
                    await server.suspend("the model broke")
                    await server.serve()
                await asyncio.sleep(0.02)

        breaking = asyncio.create_task(break_every_stream())
        with pytest.raises(LinkLostError, match="same audio"):
            await asyncio.wait_for(caller.listening, 60)
        breaking.cancel()
        assert failovers(registry, "broken") <= 8
        await caller.link.close()


async def test_a_load_balancer_is_found_by_name() -> None:
    expected = await undisturbed()
    async with (
        serve_scripted(SPOKEN) as server,
        recognizers(f"localhost:{server.port}", resolve_seconds=0.05) as (several, _),
    ):
        callers = []
        for number in range(4):
            callers.append(await Caller.open(several, number))
            await asyncio.sleep(0.06)
        for told in await asyncio.gather(*(caller.finish() for caller in callers)):
            assert told.comparable() == expected.comparable()


async def test_a_session_without_any_recogniser_ends_when_the_buffer_time_is_over() -> None:
    async with (
        serve_scripted(SPOKEN) as server,
        recognizers(f"127.0.0.1:{server.port}", buffer_seconds=0.5) as (several, registry),
    ):
        caller = await Caller.open(several)
        caller.give(2_000)
        await caller.heard(2_000)
        await server.drain(0)
        with pytest.raises(LinkLostError, match="en-default"):
            await asyncio.wait_for(caller.listening, 20)
        caller.give(3_000)  # the session may not know yet
        await caller.link.close()
        assert registry.get_sample_value("gateway_recognizer_sessions_lost_total") == 1
        assert registry.get_sample_value("gateway_audio_held_bytes") == 0


async def test_a_session_that_begins_without_any_recogniser_is_heard_from_its_first_sample() -> None:
    expected = await undisturbed()
    async with serve_scripted(SPOKEN) as server:
        port = server.port
    async with recognizers(f"127.0.0.1:{port}") as (several, _):
        caller = await Caller.open(several)
        assert caller.link.replacing is None
        caller.give(3_000)
        await asyncio.sleep(0.3)
        async with serve_scripted(SPOKEN, port=port):
            told = await caller.finish()
    assert told.comparable() == expected.comparable()


async def test_through_nginx_a_killed_recogniser_is_avoided(tmp_path: Path) -> None:
    expected = await undisturbed()
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/bin")
    assert nginx, "nginx is not installed; run `apt-get install nginx-light`, or your system's equivalent"
    async with scripted_process(SPOKEN) as one, scripted_process(SPOKEN) as two:
        route = BalancerRoute(name="en-default", backends=(one.endpoint, two.endpoint))
        async with contextlib.AsyncExitStack() as stack:
            port = await stack.enter_async_context(_nginx(nginx, route, tmp_path))
            several, registry = await stack.enter_async_context(recognizers(f"127.0.0.1:{port}"))
            callers = [await Caller.open(several, number) for number in range(6)]
            for number, caller in enumerate(callers):
                caller.give(1_500 + 400 * number)
                await caller.heard(1_500 + 400 * number)
            await one.kill()
            for told in await asyncio.gather(*(caller.finish() for caller in callers)):
                assert told.comparable() == expected.comparable()
            assert failovers(registry, "broken") == 3


@contextlib.asynccontextmanager
async def _nginx(program: str, route: BalancerRoute, folder: Path) -> AsyncIterator[int]:
    async with serve_scripted(SPOKEN) as first, serve_scripted(SPOKEN) as second:
        ports = first.port, second.port  # free ones
    options = BalancerOptions(
        dialect=Dialect.STATIC, listen=("127.0.0.1",), grpc_port=ports[0], health_port=ports[1], workers=1
    )
    (folder / "nginx.conf").write_text(render_nginx([route], options))
    process = await asyncio.create_subprocess_exec(program, "-p", f"{folder}/", "-c", "nginx.conf", "-e", "stderr")
    try:
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", ports[0])
                    writer.close()
                    break
                assert process.returncode is None, "nginx did not start"
                await asyncio.sleep(0.05)
        yield ports[0]
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
