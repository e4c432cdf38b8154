"""The operator as a whole: everything made, connected and run until it is asked to stop or a part of it ends."""

import asyncio
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from service_kit.logs import get_logger

from streaming_operator import names
from streaming_operator.api_errors import ApiRefusal, ApiUnreachable
from streaming_operator.api_server import ApiServer, connect
from streaming_operator.cache import Cache
from streaming_operator.cluster import Cluster
from streaming_operator.cost_writer import CostWriter
from streaming_operator.discovery import FRESH_SECONDS, Discovery, Offer
from streaming_operator.facts import Inputs, LicenseFact
from streaming_operator.former_gateways import FormerGateways
from streaming_operator.handlers import watch_stacks
from streaming_operator.inputs import Gatherer
from streaming_operator.kinds import CHILDREN, CONFIG_MAP, POD, SECRET, Key, Kind
from streaming_operator.metrics import OperatorMetrics
from streaming_operator.probes import Probes, serve_probes
from streaming_operator.queue import KeyQueue
from streaming_operator.readings import Readings, pod_client
from streaming_operator.reconcile import Reconciler
from streaming_operator.seen import Seen, seen
from streaming_operator.settings import OperatorSettings, cluster_domain
from streaming_operator.sightings import Sightings
from streaming_operator.stacks import Stacks
from streaming_operator.watch import Watch
from streaming_operator.withdrawal import Withdrawal

LISTS_AT_ONCE = 2
OURS = f"{names.MANAGED_BY}={names.FIELD_MANAGER}"

log = get_logger(__name__)


@dataclass
class Operator:
    """All parts of one operator."""

    settings: OperatorSettings
    metrics: OperatorMetrics
    cache: Cache
    stacks: Stacks
    queue: KeyQueue
    api: ApiServer
    discovery: Discovery
    readings: Readings
    reconciler: Reconciler
    sightings: Sightings
    costs: CostWriter

    def notice(self, key: Key, deleted: bool) -> None:
        """kopf saw a StreamingStack."""
        if deleted:
            self.stacks.deleted(key)
        else:
            self.stacks.seen(key)
        self.queue.add(key)

    def refresh_metrics(self) -> None:
        """Gauges that are read when asked for."""
        self.metrics.objects.set(len(self.cache))
        self.metrics.stacks.set(len(self.stacks))

    def watches(self, kinds: Iterable[Kind]) -> list[Watch[Seen]]:
        """A watch of each kind in each namespace."""
        listing = asyncio.Semaphore(LISTS_AT_ONCE)
        return [
            Watch(self.api, kind, namespace, _selector(kind), self.sightings, asyncio.Event(), listing, seen)
            for kind in kinds
            for namespace in _scopes(self.settings)
        ]


def build(settings: OperatorSettings, api: ApiServer, metrics: OperatorMetrics) -> Operator:
    """Everything, connected; nothing runs yet. Needs a running event loop."""
    cache, stacks = Cache(), Stacks()

    def observe(_: Key, seconds: float, failure: Exception | None) -> None:
        metrics.reconciles.observe(seconds)
        if failure is not None:
            metrics.failures.labels(type(failure).__name__).inc()

    queue = KeyQueue(time.monotonic, observe)
    discovery = Discovery(api, time.monotonic)
    cluster = Cluster(api, cache, settings.pod_name)
    pods = pod_client()
    readings = Readings(cache, pods, queue.add)
    reconciler = Reconciler(
        api=api,
        cluster=cluster,
        former=FormerGateways(api, cache, pods),
        cache=cache,
        gatherer=Gatherer(api, cluster, discovery, _always(settings)),
        readings=readings,
        stacks=stacks,
        metrics=metrics,
        clock=lambda: datetime.now(UTC),
        unlisted_after=timedelta(seconds=settings.unlisted_seconds),
    )
    sightings = Sightings(cache, stacks, queue.add)
    costs = CostWriter(api, cache, readings.get, sightings.sighted, metrics)
    readings.taken = costs.taken
    return Operator(settings, metrics, cache, stacks, queue, api, discovery, readings, reconciler, sightings, costs)


async def run(settings: OperatorSettings) -> None:
    """Run until SIGTERM or SIGINT. Raises whatever ended a part that must not end."""
    metrics = OperatorMetrics()
    kubeconfig = str(settings.kubeconfig) if settings.kubeconfig else None
    with _ended_by_signals():
        async with connect(kubeconfig) as http:
            operator = build(settings, ApiServer(http, metrics.count_request), metrics)
            await _run(operator)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Cancels this task at SIGTERM or SIGINT until kopf, which begins last, takes them over.

    As the first process of its container the operator would not end at all: what nobody handles is ignored there.
    """
    loop, task, asked = asyncio.get_running_loop(), asyncio.current_task(), False

    def end() -> None:
        nonlocal asked
        asked = True
        if task is not None:
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    try:
        yield
    except asyncio.CancelledError:
        if not asked:
            raise
        log.info("stopping")


async def _run(operator: Operator) -> None:
    settings, queue = operator.settings, operator.queue
    listed = asyncio.Event()
    workers: list[asyncio.Task[None]] = []
    probes = Probes(
        queue=queue,
        metrics=operator.metrics,
        workers_alive=lambda: not any(worker.done() for worker in workers),
        synced=listed.is_set,
        refresh=operator.refresh_metrics,
    )
    async with serve_probes(probes, settings.probe_port) as port:
        log.info("probes are served", port=port)
        await _until_served(operator.discovery)
        async with asyncio.TaskGroup() as parts:
            await _start_watches(operator, parts)
            listed.set()
            log.info("everything is listed", objects=len(operator.cache))
            workers += [parts.create_task(queue.work(operator.reconciler.reconcile)) for _ in range(settings.workers)]
            others = [
                *_withdrawing(operator, parts),
                parts.create_task(queue.resync(operator.stacks.known, settings.resync_seconds)),
                parts.create_task(operator.readings.run(settings.readings_seconds)),
                parts.create_task(operator.costs.run()),
            ]
            # Last, as kopf cancels what was started after it when it ends.
            await watch_stacks(operator.notice, settings.namespaces, settings.pod_name)
            log.info("stopping")
            for task in (*workers, *others, *_watching(parts)):
                task.cancel()


def _withdrawing(operator: Operator, parts: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
    settings = operator.settings
    if not settings.withdraw_metrics_api:
        return []
    withdrawal = Withdrawal(operator.api, settings.operator_namespace, lambda: datetime.now(UTC))
    return [parts.create_task(withdrawal.run())]


def _watching(parts: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
    return [task for task in asyncio.all_tasks() if task.get_name().startswith("watch ")]


async def _start_watches(operator: Operator, parts: asyncio.TaskGroup) -> None:
    """Start all watches and wait until everything is listed; those of optional kinds follow when their API comes."""
    offered = (await _patiently(operator.discovery)).apis
    now = [kind for kind in (*CHILDREN, POD) if not kind.optional or kind.id in offered]
    watches = operator.watches(now)
    for watch in watches:
        _start(parts, watch)
    await asyncio.gather(*(watch.synced.wait() for watch in watches))
    later = [kind for kind in CHILDREN if kind not in now]
    parts.create_task(_watch_later(operator, parts, later), name="watch for APIs that come later")


async def _watch_later(operator: Operator, parts: asyncio.TaskGroup, kinds: list[Kind]) -> None:
    while kinds:
        await asyncio.sleep(FRESH_SECONDS)
        offered = (await _patiently(operator.discovery)).apis
        come = [kind for kind in kinds if kind.id in offered]
        kinds = [kind for kind in kinds if kind not in come]
        for watch in operator.watches(come):
            _start(parts, watch)
        if come:
            log.info("the cluster serves more", kinds=[kind.id for kind in come])
            for key in operator.stacks.known():
                operator.queue.add(key)


def _start(parts: asyncio.TaskGroup, watch: Watch[Seen]) -> None:
    parts.create_task(watch.run(), name=f"watch {watch.kind.name} {watch.namespace or ''}")


async def _until_served(discovery: Discovery) -> None:
    """Wait for the custom resource definition: kopf looks for it once only."""
    told = False
    while True:
        try:
            if await discovery.stacks_are_served():
                return
            problem = "the cluster does not serve StreamingStacks; apply crds/streamingstacks.yaml"
        except (ApiRefusal, ApiUnreachable) as failure:
            problem = str(failure)
        if not told:
            log.warning("waiting", problem=problem)
            told = True
        await asyncio.sleep(2)


async def _patiently(discovery: Discovery) -> Offer:
    while True:
        try:
            return await discovery.offer()
        except (ApiRefusal, ApiUnreachable) as failure:
            log.warning("waiting", problem=str(failure))
            await asyncio.sleep(2)


def _scopes(settings: OperatorSettings) -> list[str | None]:
    return [*settings.namespaces] or [None]


def _selector(kind: Kind) -> str | None:
    """All Secrets and ConfigMaps, as stacks name some that carry no label of ours: their metadata alone."""
    return None if kind in (SECRET, CONFIG_MAP) else OURS


def _always(settings: OperatorSettings) -> Inputs:
    resolv_conf = Path("/etc/resolv.conf")
    found = cluster_domain(resolv_conf.read_text()) if resolv_conf.is_file() else None
    domain = settings.cluster_domain or found or "cluster.local"
    return Inputs(
        images=settings.images(),
        license=LicenseFact("Missing"),
        cluster_dns=settings.cluster_dns or f"kube-dns.kube-system.svc.{domain}",
        cluster_domain=domain,
        operator_namespace=settings.operator_namespace,
        scaler_address=settings.scaler_address,
    )
