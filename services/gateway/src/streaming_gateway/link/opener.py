"""Finds one recogniser that is Ready: admission, retries and hedges (rules 11, 12 and 13)."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from dataclasses import dataclass

import grpc
from service_kit.logs import get_logger

from streaming_gateway.link.api import LinkLostError, LinkRequest, NoCapacityError, UnknownModelError
from streaming_gateway.link.audio import ByteBudget
from streaming_gateway.link.checks import contract_check
from streaming_gateway.link.endpoints import Endpoints
from streaming_gateway.link.ledger import Ledger
from streaming_gateway.link.metrics import LinkMetrics
from streaming_gateway.link.places import Places
from streaming_gateway.link.settings import LinkSettings
from streaming_gateway.link.stream import Opening, RecognizerStream, StreamLost
from streaming_gateway.link.troubled import Pods

log = get_logger(__name__)

# Names no pod: the load balancer then picks at random, where the fewest connections would be the same pod again.
_NO_POD = "-"
_FIRST_BACKOFF, _LONGEST_BACKOFF = 0.05, 1.0


@dataclass(frozen=True)
class Shared:
    """What all links of one gateway share."""

    settings: LinkSettings
    endpoints: Endpoints
    metrics: LinkMetrics
    budget: ByteBudget
    replays: Places
    openings: Places
    pods: Pods


def buffer_seconds(shared: Shared, request: LinkRequest) -> float:
    """How long a session waits for a recogniser."""
    return max(shared.settings.buffer_seconds, request.buffer_seconds or 0)


@dataclass(frozen=True)
class Avoid:
    """Where the session was lost."""

    address: str = ""
    pod: str = ""


class Opener:
    """One search for a recogniser. While `admitting`, a refusal by every recogniser asked ends it."""

    def __init__(
        self, shared: Shared, ledger: Ledger, *, avoid: Avoid, admitting: bool, deadline: float, live: bool = False
    ) -> None:
        """`deadline` is on the monotonic clock: after it the search is given up. `live`: a stream goes on meanwhile."""
        self.admitting, self._live = admitting, live
        self.refusals = 0
        self._shared, self._ledger, self._avoid, self._deadline = shared, ledger, avoid, deadline
        self._refusers: list[str] = []  # the newest first
        self._open: dict[asyncio.Task[None], RecognizerStream] = {}
        self._tried: Counter[str] = Counter()
        self._attempt = 0
        self._next_at = time.monotonic()
        self._places = shared.openings.of(ledger.request.route)
        self._backoff = _FIRST_BACKOFF
        self._hedge = shared.settings.hedge_seconds

    async def run(self) -> RecognizerStream:
        """The first stream that is Ready; all others are cancelled.

        Raises NoCapacityError while admitting, UnknownModelError before any stream carried the session, LinkLostError.
        """
        winner = None
        try:
            while winner is None:
                await self._start_if_due()
                winner = self._settle(await self._news())
            return winner
        finally:
            for task, stream in self._open.items():
                task.cancel()
                stream.cancel()
            try:
                await asyncio.gather(*self._open, return_exceptions=True)
            except asyncio.CancelledError:
                if winner is not None:
                    winner.cancel()
                raise

    async def _start_if_due(self) -> None:
        now, settings = time.monotonic(), self._shared.settings
        if now >= self._deadline:
            raise LinkLostError(f"no recogniser of route {self._ledger.request.route} could be reached in time")
        if now < self._next_at:
            return
        if not await self._take_place():
            return
        if self._open:
            self._shared.metrics.hedges.inc()
        if len(self._open) >= settings.streams_at_once:
            self._drop(next(iter(self._open)))
        try:
            endpoint = await self._shared.endpoints.pick(self._tried, (self._avoid.address,))
            plan = self._ledger.plan(self._attempt, live=self._live)
            check = contract_check(settings.check_contract)
            stream = RecognizerStream(Opening(plan, endpoint, self._pods_to_avoid()), settings, check)
            task = asyncio.create_task(stream.open())
        except BaseException:
            self._places.release()
            raise
        task.add_done_callback(lambda _: self._places.release())
        self._attempt += 1
        self._tried[endpoint.address] += 1
        self._open[task] = stream
        self._next_at = time.monotonic() + self._hedge
        self._hedge = min(2 * self._hedge, settings.ready_seconds)

    async def _take_place(self) -> bool:
        """A place among the streams that are waited for. False: there is none for a hedge, or none in time."""
        if not self._open:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, self._deadline - time.monotonic())):
                    return await self._places.acquire()
        elif not self._places.locked():
            return await self._places.acquire()
        self._next_at = time.monotonic() + self._hedge
        return False

    def _pods_to_avoid(self) -> tuple[str, ...]:
        """Who refused or lost this session, who is in trouble; for a hedge also whoever may be the one that is slow."""
        slow_since = min((stream.began for stream in self._open.values()), default=None)
        first = (*self._refusers, self._avoid.pod)
        found = self._shared.pods.avoid(self._ledger.request.route, first, slow_since)
        return found or ((_NO_POD,) if self._open else ())

    async def _news(self) -> set[asyncio.Task[None]]:
        """Streams that are Ready or lost; none when it is time for another."""
        patience = max(0.0, min(self._next_at, self._deadline) - time.monotonic())
        if not self._open:
            await asyncio.sleep(patience)
            return set()
        done, _ = await asyncio.wait(self._open, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        return done

    def _settle(self, done: set[asyncio.Task[None]]) -> RecognizerStream | None:
        ready = next((task for task in done if task.exception() is None), None)
        if ready is not None:
            stream = self._open.pop(ready)
            self._shared.pods.heard(self._ledger.request.route, stream.pod)
            return stream
        for task in done:
            stream = self._open.pop(task)
            stream.cancel()
            error = task.exception()
            if not isinstance(error, StreamLost):
                assert error is not None
                raise error
            self._refused(stream, error)
        return None

    def _refused(self, stream: RecognizerStream, loss: StreamLost) -> None:
        """Decide when to try again; raises where that is pointless."""
        shared, status = self._shared, loss.status.name if loss.status else loss.reason
        shared.metrics.refusals.labels(status).inc()
        opening = stream.plan.open
        log.info("no stream", session=opening.session_id, epoch=opening.epoch, attempt=opening.attempt, status=status)
        if loss.status == grpc.StatusCode.NOT_FOUND and opening.epoch == 0:
            raise UnknownModelError(f"the load balancer knows no route {opening.route}")
        if loss.fatal:
            raise LinkLostError(f"the recogniser refused the stream for good: {status}")
        self._refusers.insert(0, stream.pod)
        if loss.status == grpc.StatusCode.RESOURCE_EXHAUSTED:
            self._full()
        else:
            stream.endpoint.in_trouble()
            shared.pods.troubled(opening.route, stream.pod)
            self._retry_in(self._backoff * (0.5 + random.random()))  # noqa: S311 - spreads retries, guards nothing
            self._backoff = min(2 * self._backoff, _LONGEST_BACKOFF)

    def _full(self) -> None:
        self.refusals += 1
        pauses = self._shared.settings.admission_retry_seconds
        if not self.admitting:
            self._retry_in(self._backoff * (0.5 + random.random()))  # noqa: S311
            self._backoff = min(2 * self._backoff, _LONGEST_BACKOFF)
        elif self.refusals <= len(pauses):
            self._retry_in(pauses[self.refusals - 1])
        elif not self._open:
            raise NoCapacityError("every recogniser asked is full")

    def _retry_in(self, seconds: float) -> None:
        self._next_at = min(self._next_at, time.monotonic() + seconds)

    def _drop(self, task: asyncio.Task[None]) -> None:
        """Give up the stream that has waited longest."""
        task.cancel()
        self._open.pop(task).cancel()
