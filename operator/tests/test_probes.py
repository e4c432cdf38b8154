"""What a kubelet is told: the operator's probes over real sockets, before a queue that works or does not."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest
from streaming_operator.kinds import Key
from streaming_operator.metrics import OperatorMetrics
from streaming_operator.probes import OLDEST_KEY_SECONDS, Probes, serve_probes
from streaming_operator.queue import KeyQueue

STACK = Key("speech", "demo")


@dataclass
class Operator:
    """One that has a queue and no cluster; time passes when the test says so."""

    seconds: float = 0.0
    alive: bool = True
    listed: bool = True
    queue: KeyQueue = field(init=False)

    def __post_init__(self) -> None:
        self.queue = KeyQueue(lambda: self.seconds)

    async def asked(self, path: str) -> tuple[int, str]:
        """Status and text of an answer."""
        probes = Probes(self.queue, OperatorMetrics(), lambda: self.alive, lambda: self.listed, lambda: None)
        async with (
            serve_probes(probes, 0, "127.0.0.1") as port,
            aiohttp.ClientSession() as http,
            http.get(f"http://127.0.0.1:{port}{path}") as answer,
        ):
            return answer.status, await answer.text()

    @asynccontextmanager
    async def reconciling(self) -> AsyncIterator[None]:
        """A worker is at a stack and does not come to an end, while the context is open."""
        taken = asyncio.Event()

        async def forever(_: Key) -> float | None:
            taken.set()
            await asyncio.Event().wait()
            return None

        self.queue.add(STACK)
        worker = asyncio.create_task(self.queue.work(forever))
        try:
            await asyncio.wait_for(taken.wait(), 10)
            yield
        finally:
            worker.cancel()


@pytest.fixture
def operator() -> Operator:
    """It is well."""
    return Operator()


@contextmanager
def later(operator: Operator, seconds: float) -> Iterator[None]:
    before = operator.seconds
    operator.seconds += seconds
    yield
    operator.seconds = before


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_an_operator_that_is_well_is_alive_and_ready(operator: Operator, path: str) -> None:
    assert await operator.asked(path) == (200, "ok")


async def test_it_is_not_ready_before_everything_is_listed_and_lives_meanwhile(operator: Operator) -> None:
    operator.listed = False
    assert await operator.asked("/readyz") == (503, "listing")
    assert await operator.asked("/healthz") == (200, "ok")


async def test_an_operator_with_a_worker_that_ended_is_to_be_restarted(operator: Operator) -> None:
    operator.alive = False
    assert await operator.asked("/healthz") == (503, "a worker has ended")


async def test_a_stack_that_nobody_comes_to_is_told_with_the_reason(operator: Operator) -> None:
    operator.queue.add(STACK)
    with later(operator, OLDEST_KEY_SECONDS):
        assert await operator.asked("/healthz") == (200, "ok")
    with later(operator, OLDEST_KEY_SECONDS + 1):
        told = "a stack has been due for more than 300 s, and none is done"
        assert await operator.asked("/healthz") == (503, told)
        assert await operator.asked("/readyz") == (200, "ok"), "a restart mends it, no other pod would"


async def test_a_stack_that_is_reconciled_for_ever_is_told_with_the_reason(operator: Operator) -> None:
    async with operator.reconciling():
        with later(operator, OLDEST_KEY_SECONDS):
            assert await operator.asked("/healthz") == (200, "ok")
        with later(operator, OLDEST_KEY_SECONDS + 1):
            assert await operator.asked("/healthz") == (503, "a stack has been reconciled for more than 300 s")


async def test_the_metrics_tell_how_long_the_queue_is_and_how_old(operator: Operator) -> None:
    operator.queue.add(STACK)
    with later(operator, 7):
        status, page = await operator.asked("/metrics")
    assert status == 200
    assert {"streaming_operator_queue_depth 1.0", "streaming_operator_queue_oldest_seconds 7.0"} <= set(
        page.splitlines()
    )
