"""How often a token opens a session: as often as one likes, or once, over all gateways where there is a licence proxy.

A session is let in only after its token was spent for it. Where nobody can say whether it was, nobody is let in.
"""

import asyncio
import heapq
import math
import time
from collections.abc import Callable

import httpx2
from pydantic import BaseModel, ConfigDict, ValidationError
from service_kit.logs import get_logger
from service_kit.outages import Outage

from streaming_gateway.problems import unchecked_token, used_token
from streaming_gateway.tokens import Token

_log = get_logger(__name__)
# Where nobody says how long one may wait.
_PATIENCE_SECONDS = 0.8
# Known beyond its end: who came in time may spend it a moment later, and clocks are set back.
_LONGER_SECONDS = 300
_MOST = 100_000


class TokenUses:
    """A token opens as many sessions as one likes, in its time."""

    async def spend(self, token: Token, session_id: str, within: float = _PATIENCE_SECONDS) -> None:
        """Let the session have the token. Raises Problem 1008 where another one had it, 3005 where nobody knows, or
        says so `within` seconds."""


class SpentHere(TokenUses):
    """Once, at this gateway: in memory, so that a restart forgets. At most `most` are known at a time."""

    def __init__(self, clock: Callable[[], float] = time.time, most: int = _MOST) -> None:
        self._clock = clock
        self._most = most
        self._spent: set[str] = set()
        self._ends: list[tuple[float, str]] = []

    async def spend(self, token: Token, session_id: str, within: float = _PATIENCE_SECONDS) -> None:
        """See TokenUses.spend."""
        now = self._clock()
        while self._ends and self._ends[0][0] <= now:
            self._spent.discard(heapq.heappop(self._ends)[1])
        if token.id in self._spent:
            raise used_token()
        if len(self._spent) >= self._most:
            _log.error("as many tokens are spent as can be known at a time", most=self._most)
            raise unchecked_token()
        self._spent.add(token.id)
        heapq.heappush(self._ends, (max(now, token.expires_at) + _LONGER_SECONDS, token.id))


class _Answer(BaseModel):
    """Of `POST /v1/spent-tokens`. `first`: no other session has it."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    first: bool


class SpentAtProxy(TokenUses):
    """Once, over all gateways that tell the same licence proxy, the one behind `client`."""

    def __init__(self, client: httpx2.AsyncClient, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._clock = clock
        self._outage = Outage(_log, "nobody says whether tokens are spent, refusing them", "tokens are spent again")

    async def spend(self, token: Token, session_id: str, within: float = _PATIENCE_SECONDS) -> None:
        """See TokenUses.spend."""
        # Seconds that are left, as the proxy's clock may be another.
        left = max(0, math.ceil(token.expires_at - self._clock()))
        body: dict[str, str | int] = {"token": token.id, "session_id": session_id, "expires_in_seconds": left}
        try:
            async with asyncio.timeout(within):
                first = await self._first(body)
        except (TimeoutError, httpx2.HTTPError, ValidationError) as failure:
            self._outage.failed(failure)
            raise unchecked_token() from None
        self._outage.answered()
        if not first:
            raise used_token()

    async def _first(self, body: dict[str, str | int]) -> bool:
        try:
            answer = await self._post(body)
        except httpx2.TransportError:
            # Such as a connection that idled until the proxy closed it. Told twice, a session still has its token.
            answer = await self._post(body)
        answer.raise_for_status()
        return _Answer.model_validate_json(answer.content).first

    async def _post(self, body: dict[str, str | int]) -> httpx2.Response:
        return await self._client.post("/v1/spent-tokens", json=body)
