"""Sessions of all gateways and sync APIs, for limits that hold over all of them: told to one licence proxy, which
answers with them. "Gateway" below is either.

A session is told before it begins: of two gateways that want a key's last place, the second to tell sees
it taken. While the proxy is away what it said last holds: each gateway keeps to the share that was left to it.
"""

import asyncio
import contextlib
from collections.abc import Callable

import httpx2
from pydantic import BaseModel, ConfigDict, ValidationError
from service_kit.logs import get_logger
from service_kit.outages import Outage

from license_client.counts import NOBODY, Counts, at_least

_log = get_logger(__name__)
# A lease holds for six of them.
EVERY_SECONDS = 5.0
# Of the second within which Begin has to be there.
_PATIENCE_SECONDS = 0.3
# After a failure; meanwhile nobody waits for an answer.
_AGAIN_SECONDS = 1.0


class _Answer(BaseModel):
    """Of `POST /v1/leases`. Not `settled`: the proxy began a moment ago, and may not have heard of everybody."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    settled: bool = True
    others: Counts


class Shares:
    """Without a licence proxy: this gateway is all there is."""

    @property
    def others(self) -> Counts:
        """Sessions of the other gateways, as they were told last."""
        return NOBODY

    def tell(self) -> None:
        """This gateway's counts changed."""

    async def settle(self) -> None:
        """Tell them now, and wait a moment for the others'."""

    async def run(self) -> None:
        """Tell for ever."""

    async def report(self) -> None:
        """Tell once."""


class SharedCounts(Shares):
    """Tells the proxy behind `client`; `mine` are this gateway's counts and `holder` its name there."""

    def __init__(self, client: httpx2.AsyncClient, holder: str, mine: Callable[[], Counts]) -> None:
        self._client = client
        self._holder = holder
        self._mine = mine
        self._others = NOBODY
        # As told last by a proxy that had heard of everybody.
        self._settled = NOBODY
        self._wanted = asyncio.Event()
        self._next: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._telling = asyncio.Lock()
        self._outage = Outage(
            _log,
            "nobody counts the sessions of all gateways, keeping to the last share",
            "the sessions of all gateways are counted again",
        )

    @property
    def others(self) -> Counts:
        """Sessions of the other gateways, as they were told last."""
        return self._others

    def tell(self) -> None:
        """This gateway's counts changed: the others learn of it soon."""
        self._wanted.set()

    async def settle(self) -> None:
        """Tell now, and wait a moment for the others'; many at once share one request."""
        self._wanted.set()
        if self._outage.over:
            # One that is under way may have been sent before the caller was counted.
            await asyncio.wait([self._next], timeout=_PATIENCE_SECONDS)

    async def run(self) -> None:
        """Tell for ever: every few seconds, and whenever somebody waits for it."""
        while True:
            self._wanted.clear()
            await self.report()
            if not self._outage.over:
                await asyncio.sleep(_AGAIN_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY_SECONDS):
                    await self._wanted.wait()

    async def report(self) -> None:
        """Tell once; a proxy that is away changes nothing."""
        async with self._telling:
            told, self._next = self._next, asyncio.get_running_loop().create_future()
            try:
                body = {"holder": self._holder, **self._mine().model_dump()}
                answer = await self._client.post("/v1/leases", json=body)
                answer.raise_for_status()
                said = _Answer.model_validate_json(answer.content)
            except (httpx2.HTTPError, ValidationError) as failure:
                self._outage.failed(failure)
            else:
                self._settled = said.others if said.settled else self._settled
                self._others = said.others if said.settled else at_least(self._settled, said.others)
                self._outage.answered()
            finally:
                told.set_result(None)
