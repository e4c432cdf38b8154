"""Usage of sessions: cumulative counts, on disk before they are sent, kept until the licence proxy has them."""

import asyncio
import contextlib
import re
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Protocol

import httpx2
from prometheus_client import Gauge
from pydantic import BaseModel, ValidationError
from service_kit.logs import get_logger
from service_kit.outages import Outage

from license_client.usage_spool import UsageEvent, UsageSpool

_log = get_logger(__name__)
# From one writing to the next, begin to begin: with what a writing takes, less than five seconds are not on disk.
WRITE_SECONDS = 4.0
# After a delivery that failed, or where there is nothing to deliver.
DELIVER_SECONDS = 4.0
_BATCH = 500
_NAMED_EVENT = re.compile(r"events\[(\d{1,9})\](?:\.([a-z_]{1,40}))?")


class Usage:
    """Development without a licence proxy: nothing is recorded."""

    can_record = True

    def ended(self, event: UsageEvent) -> None:
        """The last event of a session."""

    async def run(self) -> None:
        """Flush for ever."""

    async def flush(self) -> None:
        """Flush once."""


class Metered(Protocol):
    """A session that can say what it has used."""

    def usage(self) -> UsageEvent:
        """The next cumulative event."""


class _RefusedField(BaseModel):
    field: str


class _Refusal(BaseModel):
    fields: list[_RefusedField]


class UsageReporter(Usage):
    """Collects from the open sessions every few seconds, spools, delivers."""

    def __init__(
        self,
        spool: UsageSpool,
        client: httpx2.AsyncClient,
        open_sessions: Callable[[], Sequence[Metered]],
        refused: Gauge,
    ) -> None:
        """`client` has the licence proxy's base URL; `refused` shows how many sessions' usage it does not accept."""
        self._spool = spool
        self._client = client
        self._open_sessions = open_sessions
        self._refused = refused
        self._unwritten: dict[str, UsageEvent] = {}
        self._wanted, self._written = asyncio.Event(), asyncio.Event()
        self._writing, self._delivering = asyncio.Lock(), asyncio.Lock()
        self._outage = Outage(_log, "usage cannot be delivered, keeping it")
        self._took_over = False

    def ended(self, event: UsageEvent) -> None:
        """The last event of a session."""
        self._unwritten[event.session_id] = event
        self._wanted.set()

    async def run(self) -> None:
        """Write and deliver for ever: every few seconds, and soon after a session's end. May be run again when it
        failed. A delivery that takes long, as the licence proxy hangs, holds up no writing."""
        if not self._took_over:  # later, what is open in the spool is open here
            left = await asyncio.to_thread(self._spool.close_left_open)
            self._took_over = True
            if left:
                _log.warning("sessions of an earlier process closed in the usage spool", sessions=left)
        parts = [asyncio.create_task(part) for part in (self._keep_writing(), self._keep_delivering())]
        try:
            await asyncio.gather(*parts)
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)

    async def flush(self) -> None:
        """Spool what is new, deliver what is spooled; what fails is kept for the next time."""
        await self._write()
        await self._deliver()

    async def _keep_writing(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + WRITE_SECONDS
            self._wanted.clear()
            await self._write()
            self._written.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._wanted.wait()

    async def _keep_delivering(self) -> None:
        while True:
            self._written.clear()
            await self._deliver()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DELIVER_SECONDS):
                    await self._written.wait()

    async def _write(self) -> None:
        async with self._writing:
            for session in self._open_sessions():
                event = session.usage()
                self._unwritten[event.session_id] = event
            await self._spool_unwritten()

    async def _spool_unwritten(self) -> None:
        events = self._unwritten
        self._unwritten = {}
        try:
            await asyncio.to_thread(self._spool.write, list(events.values()))
            self.can_record = not await asyncio.to_thread(lambda: self._spool.full)
        except sqlite3.Error as failure:
            # What came meanwhile is newer.
            self._unwritten = {**events, **self._unwritten}
            _log.error("usage spool cannot be written, usage kept in memory", kind=type(failure).__name__)
        if not self.can_record:
            _log.error("usage spool is full: new sessions are refused until the licence proxy takes its usage")

    async def _deliver(self) -> None:
        try:
            async with self._delivering:
                self._refused.set(await asyncio.to_thread(self._spool.refused))
                while events := await asyncio.to_thread(self._spool.oldest, _BATCH):
                    await self._offer(events)
                    self._outage.answered()
        except (httpx2.HTTPError, sqlite3.Error) as failure:
            self._outage.failed(failure)

    async def _offer(self, events: list[UsageEvent]) -> None:
        """Deliver a batch, or set aside what the proxy names as unacceptable: the rest must not wait for that.

        Raises HTTPError where the batch is to be kept, sqlite3.Error.
        """
        answer = await self._client.post("/v1/usage", json={"events": [asdict(event) for event in events]})
        named = refused_events(answer.content, len(events)) if answer.status_code == 422 else {}
        if not named:
            answer.raise_for_status()
            await asyncio.to_thread(self._spool.forget, events)
            return
        fields = [f"events[{index}].{field}" for index, field in named.items()]
        _log.error("usage refused by the licence proxy, set aside in the spool", fields=fields)
        await asyncio.to_thread(self._spool.set_aside, [events[index] for index in named])
        self._refused.set(await asyncio.to_thread(self._spool.refused))


def refused_events(answer: bytes, count: int) -> dict[int, str]:
    """Which of `count` events the licence proxy's 422 names, with the first field it names in each; none where the
    answer is not the licence proxy's. Nothing else of it is used, so that nothing it quotes gets into a log."""
    try:
        fields = _Refusal.model_validate_json(answer).fields
    except ValidationError:
        return {}
    named: dict[int, str] = {}
    for entry in fields:
        found = _NAMED_EVENT.match(entry.field)
        if found and int(found[1]) < count:
            named.setdefault(int(found[1]), found[2] or "")
    return named
