"""Sessions and streams as the pods tell them at this moment, asked through the API server."""

import asyncio
import time
from collections.abc import Callable, Mapping

from streaming_operator import names
from streaming_operator.exposition import total

from streamingstack_cli.cluster.api import Cluster, Object
from streamingstack_cli.cluster.stacks import Load, summed
from streamingstack_cli.errors import CommandError

_SECONDS = 2.0
_AT_ONCE = 16
_WALLED_SECONDS = 60.0
_METRICS = {names.GATEWAY: "streaming_gateway_sessions", names.ASR: "streaming_asr_streams"}

# Of the gateway; None: no pod answered. And of each model.
Counts = tuple[Load | None, Mapping[str, Load]]


class LiveCounts:
    """Asks again and again. Walls that keep the API server from pods are tried again only now and then."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._walled: dict[tuple[str, str], float] = {}

    async def of(self, cluster: Cluster, namespace: str, stack: str) -> Counts:
        """As live_counts."""
        key = (namespace, stack)
        if self._clock() < self._walled.get(key, 0.0):
            return None, {}
        found = await live_counts(cluster, namespace, stack)
        if found == (None, {}):
            self._walled[key] = self._clock() + _WALLED_SECONDS
        return found


async def live_counts(cluster: Cluster, namespace: str, stack: str) -> Counts:
    """What answers. Walls of a cluster may keep the API server from pods: then nobody does. Never raises."""
    try:
        pods = await cluster.items(f"api/v1/namespaces/{namespace}/pods", labelSelector=f"{names.INSTANCE}={stack}")
    except CommandError:
        return None, {}
    gate = asyncio.Semaphore(_AT_ONCE)
    asked = [pod for pod in pods if _component(pod) in _METRICS and _takes_load(pod)]
    told = await asyncio.gather(*(_load(cluster, pod, gate) for pod in asked))
    by_part: dict[str, list[Load]] = {}
    for pod, load in zip(asked, told, strict=True):
        by_part.setdefault(pod["metadata"]["labels"].get(names.POOL, ""), []).append(load or Load(silent=1))
    found = {part: whole for part, loads in by_part.items() if (whole := summed(loads))}
    return found.pop("", None), found


def _component(pod: Object) -> str:
    return str(pod["metadata"].get("labels", {}).get(names.COMPONENT, ""))


def _takes_load(pod: Object) -> bool:
    """A pod that drains still has sessions, but its places are no capacity; it is counted apart, in the status."""
    return pod.get("status", {}).get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]


async def _load(cluster: Cluster, pod: Object, gate: asyncio.Semaphore) -> Load | None:
    where = pod["metadata"]
    path = f"api/v1/namespaces/{where['namespace']}/pods/{where['name']}:{names.METRICS_PORT}/proxy/metrics"
    async with gate:
        try:
            text = await cluster.text(path, _SECONDS)
        except CommandError:
            return None
    metric = _METRICS[_component(pod)]
    active, capacity = (total(text or "", f"{metric}_{what}") for what in ("active", "capacity"))
    return None if active is None else Load(int(active), None if capacity is None else int(capacity))
