"""The adapter as a whole: everything made, connected and run until it is asked to stop or a part of it ends."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web
from service_kit.drain import terminate_event
from service_kit.logs import get_logger
from streaming_operator import names
from streaming_operator.api_server import ApiServer, connect
from streaming_operator.kinds import POD, STACK, Kind
from streaming_operator.watch import Watch

from metrics_adapter.api import MetricsApi
from metrics_adapter.authorization import Authorizer
from metrics_adapter.health import serve_health
from metrics_adapter.identity import Identities
from metrics_adapter.load import Loads
from metrics_adapter.metrics import AdapterMetrics
from metrics_adapter.pods import Pods, read_pod
from metrics_adapter.registration import Registration
from metrics_adapter.samples import History
from metrics_adapter.scaler import serve_scaler
from metrics_adapter.scraping import Scraper, pod_client
from metrics_adapter.settings import AdapterSettings
from metrics_adapter.stacks import Stacks, read_stack
from metrics_adapter.tls import Tls

# The API server and KEDA hear of our end a moment after it began.
_LINGER_SECONDS = 5.0
# The spec is read, so the whole object is watched.
_STACK = Kind(STACK.group, STACK.version, STACK.name, STACK.plural, "whole")
_OURS = f"{names.MANAGED_BY}={names.FIELD_MANAGER},{names.COMPONENT} in ({names.GATEWAY},{names.ASR})"

log = get_logger(__name__)


@dataclass
class Adapter:
    """All parts of one adapter."""

    settings: AdapterSettings
    metrics: AdapterMetrics
    loads: Loads
    watches: list[Watch[Any]]
    scraper: Scraper
    tls: Tls
    identities: Identities
    authorizer: Authorizer
    registration: Registration

    def waiting_for(self) -> str | None:
        """Why it cannot answer yet; None once it can, whatever becomes of the API server after that."""
        if not all(watch.synced.is_set() for watch in self.watches):
            return "listing"
        if not self.scraper.rounds:
            return "asking the pods"
        if self.settings.serve_api and not self.tls.ready:
            return "waiting for the certificate and for the front proxy's CA"
        return None


def build(settings: AdapterSettings, api: ApiServer, http: aiohttp.ClientSession, metrics: AdapterMetrics) -> Adapter:
    """Everything, connected; nothing runs yet. Needs a running event loop."""
    histories: dict[str, History] = {}
    pods, stacks, tls = Pods(), Stacks(), Tls()
    listing = asyncio.Semaphore(1)
    scopes: list[str | None] = [*settings.namespaces] or [None]
    watches: list[Watch[Any]] = []
    for scope in scopes:
        watches.append(Watch(api, POD, scope, _OURS, pods, asyncio.Event(), listing, read_pod))
        watches.append(Watch(api, _STACK, scope, None, stacks, asyncio.Event(), listing, read_stack))
    name = f"{settings.service}.{settings.namespace}.svc"
    identities = Identities(api, tls, settings.namespace, settings.tls_secret, name, metrics)
    metrics.show_pods(lambda: len(pods))
    adapter = Adapter(
        settings=settings,
        metrics=metrics,
        loads=Loads(pods, stacks, histories, settings.stale_seconds),
        watches=watches,
        scraper=Scraper(pods, histories, http, metrics.count_scrape),
        tls=tls,
        identities=identities,
        authorizer=Authorizer(api, time.monotonic),
        registration=Registration(
            api,
            settings.namespace,
            settings.service,
            settings.owner,
            settings.service_port,
            authorities=lambda: identities.shown.authorities if identities.shown else None,
            serving=lambda: adapter.waiting_for() is None,
        ),
    )
    metrics.registered.set_function(lambda: adapter.registration.state == "Registered")
    return adapter


async def run(settings: AdapterSettings) -> None:
    """Run until SIGTERM or SIGINT. Raises whatever ended a part that must not end."""
    metrics = AdapterMetrics()
    kubeconfig = str(settings.kubeconfig) if settings.kubeconfig else None
    async with connect(kubeconfig) as http, pod_client() as pods:
        adapter = build(settings, ApiServer(http, metrics.count_request), pods, metrics)
        async with _serving(adapter):
            await _run(adapter, terminate_event())


@asynccontextmanager
async def _serving(adapter: Adapter) -> AsyncIterator[None]:
    settings = adapter.settings
    async with AsyncExitStack() as stack:
        probes = await stack.enter_async_context(
            serve_health(adapter.metrics.registry, adapter.waiting_for, settings.probe_port)
        )
        scaler = await stack.enter_async_context(serve_scaler(adapter.loads, "0.0.0.0", settings.scaler_port))
        api = await stack.enter_async_context(_serve_api(adapter)) if settings.serve_api else None
        log.info("served", probes=probes, scaler=scaler, api=api)
        yield


@asynccontextmanager
async def _serve_api(adapter: Adapter) -> AsyncIterator[int]:
    api = MetricsApi(
        adapter.loads, adapter.authorizer, lambda: adapter.identities.front_proxy, adapter.tls, adapter.metrics
    )
    runner = web.AppRunner(api.application(), access_log=None, handle_signals=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, "0.0.0.0", adapter.settings.api_port, ssl_context=adapter.tls.context).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def _run(adapter: Adapter, stop: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as parts:
        tasks = [parts.create_task(watch.run()) for watch in adapter.watches]
        tasks.append(parts.create_task(_scrape(adapter)))
        if adapter.settings.serve_api:
            tasks.append(parts.create_task(adapter.identities.run()))
            tasks.append(parts.create_task(adapter.registration.run()))
        await stop.wait()
        log.info("stopping")
        await asyncio.sleep(_LINGER_SECONDS)
        for task in tasks:
            task.cancel()


async def _scrape(adapter: Adapter) -> None:
    """Not before all pods are known: an answer for some of them would be taken for all."""
    await asyncio.gather(*(watch.synced.wait() for watch in adapter.watches))
    log.info("everything is listed", pods=len(adapter.loads.pods), stacks=len(adapter.loads.stacks))
    await adapter.scraper.run(adapter.settings.scrape_seconds)
