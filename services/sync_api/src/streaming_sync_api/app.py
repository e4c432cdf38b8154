"""A whole sync API, put together from its settings."""

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from uuid import uuid4

import httpx2
from license_client.counts import Counts
from license_client.license import License, ProxiedLicense
from license_client.shares import SharedCounts, Shares
from license_client.usage import Usage, UsageReporter
from license_client.usage_spool import UsageSpool
from prometheus_client import CollectorRegistry
from service_kit.background import in_background
from service_kit.http import metrics_app, serve_http
from service_kit.logs import get_logger
from service_kit.watched_file import WatchedFile
from stack_model.api_keys import ApiKey, parse_keys
from stack_model.catalogue import parse_models

from streaming_sync_api.audio import Lengths
from streaming_sync_api.auth import Authenticator
from streaming_sync_api.choice import Models
from streaming_sync_api.metrics import SyncMetrics
from streaming_sync_api.recognisers import Recognisers
from streaming_sync_api.server import NO_HTTP, sync_app
from streaming_sync_api.service import Gates, Limits, SyncApi
from streaming_sync_api.settings import SyncSettings

_log = get_logger(__name__)


@dataclass(frozen=True)
class RunningSyncApi:
    """`port` and `metrics_port` are the bound ones."""

    api: SyncApi
    port: int
    metrics_port: int


@contextlib.asynccontextmanager
async def run_sync_api(settings: SyncSettings) -> AsyncIterator[RunningSyncApi]:
    """A sync API that serves while the context is open. Raises OSError or ValueError naming what cannot be used."""
    registry = CollectorRegistry()
    metrics = SyncMetrics(registry, settings.max_requests)
    async with contextlib.AsyncExitStack() as stack:
        recognisers = Recognisers(
            settings.endpoints,
            queue_seconds=settings.queue_seconds,
            ended=lambda reason: metrics.streams_ended.labels(reason).inc(),
            check_contract=settings.check_contract,
        )
        stack.push_async_callback(recognisers.close)
        license_, usage = await _proxied(settings, metrics, stack)
        shares = await _shares(settings, lambda: api.counts, stack)
        gates = Gates(Authenticator(_keys(settings)), license_, usage, shares, _models(settings))
        api = SyncApi(gates, _limits(settings), recognisers, metrics)
        await stack.enter_async_context(in_background(license_.watch, usage.run, shares.run, api.warm_up))
        metrics_port = await stack.enter_async_context(
            serve_http(metrics_app(registry), settings.host, settings.metrics_port)
        )
        app = serve_http(sync_app(api, metrics), settings.host, settings.port, no_http=NO_HTTP)
        port = await stack.enter_async_context(app)
        yield RunningSyncApi(api, port, metrics_port)
        await usage.flush()
        await shares.report()


async def _proxied(
    settings: SyncSettings, metrics: SyncMetrics, stack: contextlib.AsyncExitStack
) -> tuple[License, Usage]:
    if not settings.license_endpoint:
        _log.warning("no licence proxy configured: development, recordings are neither checked nor metered")
        return License(), Usage()
    client = await stack.enter_async_context(
        httpx2.AsyncClient(base_url=settings.license_endpoint, timeout=5, trust_env=False)
    )
    if settings.spool_dir is None:
        _log.warning("no SPOOL_DIR: undelivered usage is kept in memory only")
    spool = UsageSpool(settings.spool_dir, settings.spool_sessions)
    stack.callback(spool.close)
    # A recording is metered once, when it was heard: none is open.
    return ProxiedLicense(client), UsageReporter(spool, client, lambda: [], metrics.usage_refused)


async def _shares(settings: SyncSettings, mine: Callable[[], Counts], stack: contextlib.AsyncExitStack) -> Shares:
    if settings.counting_endpoint is None:
        return Shares()
    client = await stack.enter_async_context(
        httpx2.AsyncClient(base_url=settings.counting_endpoint, timeout=1, trust_env=False)
    )
    return SharedCounts(client, str(uuid4()), mine)


def _limits(settings: SyncSettings) -> Limits:
    return Limits(
        requests=settings.max_requests,
        request_bytes=settings.max_request_bytes,
        lengths=Lengths(settings.min_audio_ms, settings.max_audio_ms),
        upload_seconds=settings.upload_seconds,
        quiet_seconds=settings.quiet_seconds,
        inference_seconds=settings.inference_seconds,
    )


def _models(settings: SyncSettings) -> Callable[[], Models]:
    def read(text: str) -> Models:
        return Models(tuple(parse_models(text)), settings.default_speech_model)

    if settings.models_file is not None:
        return WatchedFile(settings.models_file, read).content
    if settings.models is None:
        raise ValueError("GATEWAY_MODELS or GATEWAY_MODELS_FILE: give the list of {speech_model, route} to serve")
    fixed = read(settings.models)
    return lambda: fixed


def _keys(settings: SyncSettings) -> Callable[[], list[ApiKey]] | None:
    if settings.api_keys_file is None:
        return None
    return WatchedFile(settings.api_keys_file, parse_keys).content
