"""All recogniser links of one gateway process."""

import asyncio
import time

from prometheus_client import CollectorRegistry

from streaming_gateway.link.api import BudgetSpentError, LinkRequest, NoCapacityError
from streaming_gateway.link.audio import ByteBudget
from streaming_gateway.link.endpoints import Endpoints
from streaming_gateway.link.ledger import Ledger
from streaming_gateway.link.link import RecognizerLink
from streaming_gateway.link.metrics import LinkMetrics
from streaming_gateway.link.opener import Avoid, Opener, Shared, buffer_seconds
from streaming_gateway.link.places import Places
from streaming_gateway.link.settings import LinkSettings
from streaming_gateway.link.troubled import Pods


class Recognizers:
    """Opens links. Make it inside a running event loop; `close` ends every link that is still open."""

    def __init__(self, settings: LinkSettings, registry: CollectorRegistry) -> None:
        """Raises OSError when `settings.ca_file` cannot be read."""
        self._shared = Shared(
            settings=settings,
            endpoints=Endpoints(settings),
            metrics=LinkMetrics(registry),
            budget=ByteBudget(settings.budget_bytes),
            replays=Places(settings.concurrent_replays),
            openings=Places(settings.concurrent_openings),
            pods=Pods(time.monotonic),
        )
        self._links: set[RecognizerLink] = set()

    @property
    def held_bytes(self) -> int:
        """Audio held for all sessions, backlog and replay."""
        return self._shared.budget.used

    @property
    def open_links(self) -> int:
        """Links that were opened and not closed."""
        return len(self._links)

    async def open(self, request: LinkRequest) -> RecognizerLink:
        """A link for one session. Sends Open at once; waits at most `admission_seconds`, and only for a refusal.

        Raises BudgetSpentError, NoCapacityError, UnknownModelError, or LinkLostError when the recogniser refuses the
        request itself.
        """
        shared, settings = self._shared, self._shared.settings
        if shared.budget.spent:
            raise BudgetSpentError("this gateway holds as much audio as it may")
        ledger = Ledger(request, shared.budget)
        deadline = time.monotonic() + buffer_seconds(shared, request)
        opener = Opener(shared, ledger, avoid=Avoid(), admitting=True, deadline=deadline)
        opening = asyncio.create_task(opener.run())
        try:
            await asyncio.wait({opening}, timeout=settings.admission_seconds)
            if opening.done():
                opening.result()
            elif opener.refusals:
                raise NoCapacityError("every recogniser that answered in time is full")
        except BaseException:
            opening.cancel()
            await asyncio.wait({opening})
            raise
        opener.admitting = False
        link = RecognizerLink(shared, ledger, opening)
        self._links.add(link)
        link.on_close = lambda: self._links.discard(link)
        link.on_audio = self._keep_within_budget
        return link

    def _keep_within_budget(self) -> None:
        """Where backlogs alone are more than may be held, the largest one ends its session: the others go on."""
        budget = self._shared.budget
        if budget.used > budget.limit and sum(link.backlog_bytes for link in self._links) > budget.limit:
            max(self._links, key=lambda link: link.backlog_bytes).drop_backlog()

    async def close(self) -> None:
        """End every link and close the channels."""
        await asyncio.gather(*(link.close() for link in list(self._links)))
        await self._shared.endpoints.close()
