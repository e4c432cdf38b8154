"""The HTTP face of the licence proxy."""

from collections.abc import Mapping
from datetime import datetime
from time import monotonic

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from service_kit.logs import get_logger
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from license_proxy.bodies import Body, BodyRefused, read_body
from license_proxy.leases import LEASE_SECONDS, Lease, Leases, TooManyHolders
from license_proxy.ledger import LedgerUnavailable
from license_proxy.metrics import ProxyMetrics
from license_proxy.proxy import LicenseProxy
from license_proxy.spent_tokens import MOST, Spending, Spent
from license_proxy.usage import MAX_EVENTS, parse_batch

MAX_BODY_BYTES = 2 << 20
_RETRY_SECONDS = 5

log = get_logger(__name__)


class _TooLarge(Exception):
    """A body over MAX_BODY_BYTES."""


def create_app(proxy: LicenseProxy, metrics: ProxyMetrics) -> Starlette:
    """The routes over `proxy`."""
    routes = _Routes(proxy, metrics)
    return Starlette(
        routes=[
            Route("/health", routes.health),
            Route("/v1/status", routes.status),
            Route("/v1/license", routes.license),
            Route("/v1/usage", routes.usage, methods=["POST"]),
            Route("/v1/leases", routes.leases, methods=["POST"]),
            Route("/v1/spent-tokens", routes.spent_tokens, methods=["POST"]),
            Route("/metrics", routes.metrics),
        ]
    )


class _Routes:
    def __init__(self, proxy: LicenseProxy, metrics: ProxyMetrics) -> None:
        self._proxy = proxy
        self._metrics = metrics
        self._leases = Leases(monotonic())
        self._storage_failed = False

    async def health(self, _: Request) -> Response:
        """The process lives; the licence's state is no reason to restart it."""
        return JSONResponse({"status": "ok"})

    async def status(self, _: Request) -> Response:
        """The state of the licence."""
        verdict = self._proxy.verdict()
        return JSONResponse(
            {
                "state": verdict.state.value,
                "last_successful_checkin": _iso(self._proxy.last_check_in),
                "trust_expiration": _iso(verdict.trust_expiration),
            }
        )

    async def license(self, _: Request) -> Response:
        """What gateways enforce."""
        claims = self._proxy.claims
        return JSONResponse(
            {
                "customer": claims.customer,
                "billing": claims.billing.value,
                "models": claims.models,
                "session_limit": claims.session_limit,
                "expires_at": _iso(claims.expires_at),
                "trust_window_seconds": claims.trust_window_seconds,
                "development": claims.development,
            }
        )

    async def usage(self, request: Request) -> Response:
        """Acknowledges usage once it is on disk."""
        try:
            events = parse_batch(await _body(request))
            await self._proxy.accept(events)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is left to read it
        except _TooLarge:
            error = f"body over {MAX_BODY_BYTES} bytes; send at most {MAX_EVENTS} events at once"
            return self._refuse(413, "too_large", {"error": error}, {"Connection": "close"})
        except BodyRefused as refused:
            return self._refuse(422, "invalid", {"error": str(refused), "fields": refused.fields})
        except LedgerUnavailable as error:
            self._note_storage(str(error))
            reply = {"error": f"usage was not written, send it again: {error}"}
            return self._refuse(503, "storage", reply, {"Retry-After": str(_RETRY_SECONDS)})
        if events:
            self._note_storage(None)
        self._metrics.events_accepted.inc(len(events))
        return JSONResponse({"accepted": len(events)})

    async def leases(self, request: Request) -> Response:
        """Notes what a gateway has, and answers what the others have."""
        lease = await _given(Lease, request)
        if isinstance(lease, Response):
            return lease
        try:
            others = self._leases.take(lease, monotonic())
        except TooManyHolders:
            return JSONResponse({"error": "too many gateways; give each one `holder` and keep it"}, 429)
        settled = self._leases.settled(monotonic())
        return JSONResponse({"lease_seconds": LEASE_SECONDS, "settled": settled, "others": others.model_dump()})

    async def spent_tokens(self, request: Request) -> Response:
        """Lets one session have a token, once it is on disk."""
        spending = await _given(Spending, request)
        if isinstance(spending, Response):
            return spending
        try:
            spent = await self._proxy.spend(spending)
        except LedgerUnavailable as error:
            self._note_storage(str(error))
            return JSONResponse({"error": f"the token was not spent: {error}"}, 503)
        self._note_storage(None)
        if spent is Spent.FULL:
            log.error("as many tokens are spent as are kept at a time; let tokens expire sooner", most=MOST)
            return JSONResponse({"error": "too many spent tokens; let tokens expire sooner"}, 503)
        return JSONResponse({"first": spent is Spent.FIRST})

    async def metrics(self, _: Request) -> Response:
        """Prometheus' text format."""
        self._proxy.verdict()
        try:
            self._metrics.pending.set(await self._proxy.pending())
        except LedgerUnavailable as error:
            self._note_storage(str(error))
        self._metrics.sessions_leased.set(self._leases.total(monotonic()))
        self._metrics.storage_available.set(not self._storage_failed)
        return Response(generate_latest(self._metrics.registry), media_type=CONTENT_TYPE_LATEST)

    def _refuse(
        self, status: int, reason: str, body: Mapping[str, object], headers: dict[str, str] | None = None
    ) -> Response:
        self._metrics.requests_refused.labels(reason).inc()
        return JSONResponse(body, status_code=status, headers=headers)

    def _note_storage(self, problem: str | None) -> None:
        """Log when writing begins to fail and when it works again, not every request between."""
        if problem and not self._storage_failed:
            log.error("usage cannot be written", problem=problem)
        elif self._storage_failed and problem is None:
            log.info("usage is written again")
        self._storage_failed = problem is not None


async def _given(model: type[Body], request: Request) -> Body | Response:
    """The body of a request, or the answer to one that is none."""
    try:
        return read_body(model, await _body(request))
    except ClientDisconnect:
        return Response(status_code=400)  # nobody is left to read it
    except _TooLarge:
        return JSONResponse({"error": f"body over {MAX_BODY_BYTES} bytes"}, 413, {"Connection": "close"})
    except BodyRefused as refused:
        return JSONResponse({"error": str(refused), "fields": refused.fields}, 422)


async def _body(request: Request) -> bytes:
    """The body, never more of it than MAX_BODY_BYTES. Raises _TooLarge, ClientDisconnect."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise _TooLarge
        chunks.append(chunk)
    return b"".join(chunks)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
