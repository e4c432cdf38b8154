"""Takes clients: who may have a session, and all open ones."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from license_client.counts import Counts
from license_client.license import License, LicenseRefusal
from license_client.places import KeyLimitReached, Places, ProcessFull
from license_client.shares import Shares
from license_client.usage import Usage
from service_kit.faults import place_of
from service_kit.logs import get_logger
from stack_model.api_keys import ApiKey
from websockets.asyncio.server import ServerConnection

from streaming_gateway.auth import Authenticator, Caller, credential
from streaming_gateway.catalogue import Catalogue
from streaming_gateway.goodbye import close, refuse
from streaming_gateway.limits import SessionLimits
from streaming_gateway.link import (
    BudgetSpentError,
    LinkLostError,
    LinkRequest,
    NoCapacityError,
    RecognizerLink,
    Recognizers,
    UnknownModelError,
)
from streaming_gateway.metrics import GatewayMetrics
from streaming_gateway.parameters import SessionConfig, Universal3Defaults, read_query, resolve
from streaming_gateway.problems import GOING_AWAY, Closing, Problem, at_capacity, cancelled, key_limit, unauthorized
from streaming_gateway.report import SessionReport
from streaming_gateway.session import Session
from streaming_gateway.token_uses import TokenUses

_log = get_logger(__name__)
# Beyond the time that a session takes to tell its open turn.
_LAST_SECONDS = 10.0
# Clients give up when there is no Begin within a second. The others' counts and the recognisers take 0.3 s each at
# most; who spends the token has what is left.
_BEFORE_BEGIN_SECONDS = 0.8
_LEAST_SECONDS = 0.15


@dataclass(frozen=True)
class Gates:
    """What stands between a client and a session, in this order; `universal3`: what it gets where it says nothing."""

    auth: Authenticator
    catalogue: Callable[[], Catalogue]
    license: License
    usage: Usage
    shares: Shares
    token_uses: TokenUses
    max_sessions: int
    universal3: Universal3Defaults


class Gateway:
    """Every connection of this process."""

    def __init__(self, gates: Gates, recognizers: Recognizers, limits: SessionLimits, metrics: GatewayMetrics) -> None:
        self._gates = gates
        self._recognizers = recognizers
        self._limits = limits
        self._metrics = metrics
        self._sessions: dict[str, Session] = {}
        self._places = Places(gates.max_sessions, lambda: gates.shares.others)
        self.draining = False
        self._patience: asyncio.Timeout | None = None
        metrics.capacity.set(gates.max_sessions)
        metrics.active.set_function(lambda: len(self._sessions))
        metrics.backlog.set_function(lambda: sum(session.backlog_seconds for session in self.sessions))

    @property
    def sessions(self) -> list[Session]:
        """The open sessions."""
        return list(self._sessions.values())

    @property
    def counts(self) -> Counts:
        """This gateway's sessions, those among them that are about to begin."""
        return self._places.mine

    @property
    def auth(self) -> Authenticator:
        """Who decides on keys, and makes tokens of them."""
        return self._gates.auth

    @property
    def ready(self) -> bool:
        """Whether a new client is welcome; full is ready, draining is not."""
        return not self.draining and self._gates.license.checked

    async def serve(self, connection: ServerConnection) -> None:
        """One upgraded connection, to its end."""
        since = monotonic()
        if self.draining:
            self._refused("draining")
            await close(connection, GOING_AWAY)
            return
        try:
            caller, config = self._examine(connection)
            with self._place(caller.key):
                await self._confirm(caller.key, config)
                session_id = str(uuid4())
                link = await self._link(session_id, config)
                try:
                    if caller.token:  # last: whoever is refused for want of room has it still
                        left = max(_LEAST_SECONDS, since + _BEFORE_BEGIN_SECONDS - monotonic())
                        await self._gates.token_uses.spend(caller.token, session_id, left)
                    self._metrics.begin.observe(monotonic() - since)
                    how = await self._run(session_id, caller, config, connection, link)
                finally:
                    await link.close()
            # The slot is free before the client learns of the end and comes back.
            await close(connection, how)
        except Exception as failure:  # noqa: BLE001
            problem = _as_problem(failure)
            self._refused(problem.kind)
            await refuse(connection, problem)

    async def drain(self, seconds: float) -> None:
        """No new sessions; the open ones go on for up to `seconds`, then tell their open turn and close 1001."""
        self.draining = True
        self._metrics.draining.set(1)
        _log.info("draining", sessions=len(self._sessions))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds) as self._patience:
                await self._places.empty.wait()
        self._patience = None
        for session in self.sessions:
            session.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_SECONDS):
                await self._places.empty.wait()

    def drain_sooner(self, seconds: float) -> bool:
        """A drain under way goes on for at most so long from now; False: there is none that waits for sessions."""
        if self._patience is None or (until := self._patience.when()) is None:
            return False
        sooner = asyncio.get_running_loop().time() + seconds
        if sooner < until:
            _log.info("draining sooner", sessions=len(self._sessions), seconds=seconds)
            self._patience.reschedule(sooner)
        return True

    def _examine(self, connection: ServerConnection) -> tuple[Caller, SessionConfig]:
        """Who comes and what it wants; raises Problem. In order: who, what, licence, usage, capacity."""
        assert connection.request is not None
        query = urlsplit(connection.request.path).query
        token = parse_qs(query).get("token", [None])[-1]
        caller = self.auth.caller(credential(connection.request.headers.get_all("Authorization"), token))
        parameters, unknown = read_query(query)
        route = connection.request.headers.get_all("X-Model-Version")
        asked = route[-1].strip() if route else ""
        config = resolve(parameters, self._gates.catalogue(), asked, self._gates.universal3)
        if unknown:
            _log.info("unknown parameters ignored", count=len(unknown))
        if refusal := self._gates.license.refusal(_names(config), self._places.taken):
            raise _unlicensed(refusal)
        if not self._gates.usage.can_record:
            raise unauthorized("usage cannot be recorded", "usage")
        return caller, config

    @contextlib.contextmanager
    def _place(self, key: ApiKey) -> Iterator[None]:
        """See Places.one; the other gateways learn of it where a limit holds over all of them."""
        shared = self._is_shared(key)
        with self._places.one(key):
            try:
                yield
            finally:
                if shared:  # once it is free
                    self._gates.shares.tell()

    async def _confirm(self, key: ApiKey, config: SessionConfig) -> None:
        """Who has a place keeps it only where the other gateways leave it: raises Problem 3009."""
        if not self._is_shared(key):
            return
        await self._gates.shares.settle()
        self._places.confirm(key)
        if refusal := self._gates.license.refusal(_names(config), self._places.everywhere - 1):
            raise _unlicensed(refusal)

    def _is_shared(self, key: ApiKey) -> bool:
        return key.limited or self._gates.license.limited

    async def _link(self, session_id: str, config: SessionConfig) -> RecognizerLink:
        request = LinkRequest(
            session_id, config.model.route, config.hearing, buffer_seconds=config.model.buffer_seconds
        )
        try:
            return await self._recognizers.open(request)
        except BudgetSpentError:
            raise at_capacity("budget") from None
        except NoCapacityError:
            raise at_capacity("recognizers") from None
        except UnknownModelError:
            _log.error("no recogniser serves the route of a listed model", route=config.model.route)
            raise self._gates.catalogue().unknown() from None
        except LinkLostError:
            raise cancelled("recogniser_lost") from None

    async def _run(
        self,
        session_id: str,
        caller: Caller,
        config: SessionConfig,
        connection: ServerConnection,
        link: RecognizerLink,
    ) -> Closing:
        model, tenant = config.model.speech_model, caller.key.name
        session = Session(
            session_id=session_id,
            config=config,
            connection=connection,
            link=link,
            limits=self._limits.while_buffering(config.model.buffer_seconds).capped(caller.session_seconds),
            report=SessionReport(session_id, tenant, model, self._metrics),
        )
        self._sessions[session_id] = session
        _log.info("session began", session_id=session_id, model=model, tenant=tenant)
        try:
            return await session.run()
        finally:
            del self._sessions[session_id]
            self._gates.usage.ended(session.usage(ended=True))

    def _refused(self, reason: str) -> None:
        self._metrics.refused.labels(reason).inc()
        _log.info("session refused", reason=reason)


def _unlicensed(refusal: LicenseRefusal) -> Problem:
    return at_capacity("license_limit") if refusal.exhausted else unauthorized(refusal.reason, "license")


def _names(config: SessionConfig) -> set[str]:
    """What a licence may call the model."""
    return {config.model.speech_model, config.model.route}


def _as_problem(failure: Exception) -> Problem:
    """What the client is told. Of what nobody foresaw, the log has type and place: its text may quote the client."""
    match failure:
        case Problem():
            return failure
        case ProcessFull():
            return at_capacity("capacity")
        case KeyLimitReached():
            return key_limit(failure.limit)
    _log.error("session could not begin", kind=type(failure).__name__, place=place_of(failure))
    return cancelled("internal")
