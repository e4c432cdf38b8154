"""A whole gateway, put together from its settings."""

import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from uuid import uuid4

import httpx2
from license_client.counts import Counts
from license_client.license import License, ProxiedLicense
from license_client.shares import SharedCounts, Shares
from license_client.usage import Metered, Usage, UsageReporter
from license_client.usage_spool import UsageSpool
from prometheus_client import CollectorRegistry
from service_kit.background import in_background
from service_kit.http import serve_http
from service_kit.logs import get_logger
from service_kit.watched_file import WatchedFile
from stack_model.api_keys import parse_keys
from stack_model.catalogue import parse_models

from streaming_gateway.auth import Authenticator
from streaming_gateway.catalogue import Catalogue
from streaming_gateway.gateway import Gates, Gateway
from streaming_gateway.limits import SessionLimits
from streaming_gateway.link import Recognizers
from streaming_gateway.metrics import GatewayMetrics
from streaming_gateway.orders import metrics_and_orders
from streaming_gateway.server import serve_clients
from streaming_gateway.settings import GatewaySettings
from streaming_gateway.tls import ServingCertificate
from streaming_gateway.token_uses import SpentAtProxy, SpentHere, TokenUses
from streaming_gateway.tokens import parse_secrets

_log = get_logger(__name__)


@dataclass(frozen=True)
class RunningGateway:
    """`port` and `metrics_port` are the bound ones."""

    gateway: Gateway
    port: int
    metrics_port: int


@contextlib.asynccontextmanager
async def run_gateway(settings: GatewaySettings) -> AsyncIterator[RunningGateway]:
    """A gateway that serves while the context is open. Raises OSError or ValueError naming what cannot be used."""
    registry = CollectorRegistry()
    metrics = GatewayMetrics(registry)
    async with contextlib.AsyncExitStack() as stack:
        recognizers = Recognizers(settings.link(), registry)
        stack.push_async_callback(recognizers.close)
        client = None
        if settings.license_endpoint:
            client = httpx2.AsyncClient(base_url=settings.license_endpoint, timeout=5, trust_env=False)
            stack.push_async_callback(client.aclose)
        else:
            _log.warning("no licence proxy configured: development, sessions are neither checked nor metered")
        license_ = ProxiedLicense(client) if client else License()
        usage = _usage(settings, client, lambda: gateway.sessions, metrics, stack)
        shares = _shares(settings, lambda: gateway.counts, stack)
        auth, uses = _authenticator(settings), _token_uses(settings, stack)
        most, universal3 = settings.max_sessions, settings.universal3()
        gates = Gates(auth, _catalogue(settings), license_, usage, shares, uses, most, universal3)
        limits = SessionLimits(settings.max_session_seconds, settings.max_backlog_seconds, settings.max_unread_bytes)
        gateway = Gateway(gates, recognizers, limits, metrics)
        certificate = _certificate(settings)
        await stack.enter_async_context(
            in_background(license_.watch, usage.run, shares.run, *([certificate.watch] if certificate else []))
        )
        metrics_port = await stack.enter_async_context(
            serve_http(metrics_and_orders(registry, gateway, settings.pod_uid), settings.host, settings.metrics_port)
        )
        server = await stack.enter_async_context(
            serve_clients(gateway, settings.host, settings.port, settings.patience, certificate)
        )
        port = next(iter(server.sockets)).getsockname()[1]
        yield RunningGateway(gateway, port, metrics_port)
        await gateway.drain(0)
        await usage.flush()
        await shares.report()


def _authenticator(settings: GatewaySettings) -> Authenticator:
    if settings.api_keys_file is None:
        _log.warning("no API_KEYS_FILE: any non-empty credential opens a session")
    keys = WatchedFile(settings.api_keys_file, parse_keys).content if settings.api_keys_file else None
    secrets = WatchedFile(settings.token_secret_file, parse_secrets).content if settings.token_secret_file else None
    return Authenticator(keys, secrets)


def _token_uses(settings: GatewaySettings, stack: contextlib.AsyncExitStack) -> TokenUses:
    if not settings.single_use_tokens:
        return TokenUses()
    if settings.counting_endpoint is None:
        _log.warning("no licence proxy configured: spent tokens are known to this process alone")
        return SpentHere()
    client = httpx2.AsyncClient(base_url=settings.counting_endpoint, timeout=1, trust_env=False)
    stack.push_async_callback(client.aclose)
    return SpentAtProxy(client)


def _certificate(settings: GatewaySettings) -> ServingCertificate | None:
    if settings.tls_cert_file is None or settings.tls_key_file is None:
        return None
    return ServingCertificate(settings.tls_cert_file, settings.tls_key_file)


def _catalogue(settings: GatewaySettings) -> Callable[[], Catalogue]:
    def read(text: str) -> Catalogue:
        models = tuple(parse_models(text))
        marked = next((model.speech_model for model in models if model.default), None)
        return Catalogue(models, settings.default_speech_model or marked, settings.speech_model_aliases)

    if settings.models_file is not None:
        return WatchedFile(settings.models_file, read).content
    if settings.models is None:
        raise ValueError("GATEWAY_MODELS or GATEWAY_MODELS_FILE: give the list of {speech_model, route} to serve")
    fixed = read(settings.models)
    return lambda: fixed


def _usage(
    settings: GatewaySettings,
    client: httpx2.AsyncClient | None,
    sessions: Callable[[], Sequence[Metered]],
    metrics: GatewayMetrics,
    stack: contextlib.AsyncExitStack,
) -> Usage:
    if client is None:
        return Usage()
    if settings.spool_dir is None:
        _log.warning("no SPOOL_DIR: undelivered usage is kept in memory only")
    spool = UsageSpool(settings.spool_dir, settings.spool_sessions)
    stack.callback(spool.close)
    return UsageReporter(spool, client, sessions, metrics.usage_refused)


def _shares(settings: GatewaySettings, mine: Callable[[], Counts], stack: contextlib.AsyncExitStack) -> Shares:
    if settings.counting_endpoint is None:
        return Shares()
    client = httpx2.AsyncClient(base_url=settings.counting_endpoint, timeout=1, trust_env=False)
    stack.push_async_callback(client.aclose)
    # A process that is started anew in its pod takes over what the one before it had; the uid itself is for the pod.
    holder = hashlib.sha256(settings.pod_uid.encode()).hexdigest()[:32] if settings.pod_uid else str(uuid4())
    return SharedCounts(client, holder, mine)
