"""Writes the costs of `costs` onto pods: after each reading, the most urgent first, never more than a few a second."""

import asyncio
from collections.abc import Callable

import msgspec
from service_kit.logs import get_logger

from streaming_operator import names
from streaming_operator.api_errors import ApiRefusal, ApiUnreachable
from streaming_operator.api_server import ApiServer
from streaming_operator.cache import Cache
from streaming_operator.costs import CostChange, cost_changes
from streaming_operator.kinds import DEPLOYMENT, POD, Key, Kind
from streaming_operator.metrics import OperatorMetrics
from streaming_operator.reading import Reading
from streaming_operator.seen import Metadata, Seen, seen

# Each write is one to etcd, and goes out to every watch of pods: all of a thousand pods are told in two minutes.
PATCHES_PER_SECOND = 10
COST_MANAGER = f"{names.FIELD_MANAGER}-cost"
# A missing right or a policy is not mended within a second.
REFUSED_SECONDS = 60.0
_GONE = (404, 409, 422)

log = get_logger(__name__)


class CostWriter:
    """Told of every reading, it writes for all stacks. `sighted` takes what the API server answers, as a watch does."""

    def __init__(
        self,
        api: ApiServer,
        cache: Cache,
        read: Callable[[Seen], Reading | None],
        sighted: Callable[[Kind, Metadata, Seen], None],
        metrics: OperatorMetrics,
    ) -> None:
        self._api = api
        self._cache = cache
        self._read = read
        self._sighted = sighted
        self._metrics = metrics
        self._due: set[Key] = set()
        self._woken = asyncio.Event()
        self._refused = False

    def taken(self, key: Key) -> None:
        """The readings of a stack's pods were taken."""
        self._due.add(key)
        self._woken.set()

    async def run(self) -> None:
        """Write for ever, until cancelled."""
        while True:
            await self._woken.wait()
            await self.write()
            await asyncio.sleep(REFUSED_SECONDS if self._refused else 1.0)

    async def write(self) -> int:
        """One second's worth; returns how many were written. What is left is due again, by what is seen then."""
        self._woken.clear()
        due, self._due = self._due, set()
        changes = [(key, change) for key in due for change in self._changes(key)]
        changes.sort(key=lambda pair: pair[1].urgency, reverse=True)
        written = 0
        for key, change in changes[:PATCHES_PER_SECOND]:
            self._refused = False
            try:
                written += await self._write(key, change)
            except (ApiRefusal, ApiUnreachable) as failure:
                log.warning("pods' deletion costs cannot be written", problem=str(failure))
                self._refused = True
                break
        left = changes[written:] if self._refused else changes[PATCHES_PER_SECOND:]
        self._metrics.costs_due.set(len(left))
        for key, _ in left:
            self.taken(key)
        return written

    def _changes(self, key: Key) -> list[CostChange]:
        return cost_changes(
            (name, pod, self._read(pod)) for name, pod in self._cache.of_kind(key, POD) if self._is_ours(key, pod)
        )

    def _is_ours(self, key: Key, pod: Seen) -> bool:
        """Made by a Deployment of this stack: whoever else may make pods may label them as they like."""
        deployment = self._cache.get(key, DEPLOYMENT, pod.workload) if pod.workload else None
        if deployment is None or not deployment.owner:
            return False
        return (deployment.component, deployment.pool) == (pod.component, pod.pool)

    async def _write(self, key: Key, change: CostChange) -> bool:
        """False where the pod is gone."""
        body = msgspec.json.encode(change.patch())
        try:
            answer = await self._api.merge(POD, key.namespace, change.pod, body, manager=COST_MANAGER)
        except ApiRefusal as refusal:
            if refusal.code in _GONE:
                return False
            raise
        self._sighted(POD, *seen(POD, answer))
        return True
