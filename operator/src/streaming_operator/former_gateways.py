"""Gateways of stacks that are deleted: their sessions end within half a minute instead of hours.

The garbage collector deletes the pods with the grace of a drain, and a kubelet that waits for it does not heed a
shorter one (kubernetes/kubernetes issue 113606). So the gateway is told too, at its port for metrics.
"""

import asyncio

import httpx2
from service_kit.logs import get_logger

from streaming_operator import names
from streaming_operator.api_server import ApiServer
from streaming_operator.cache import Cache
from streaming_operator.children.containers import PRE_STOP_SECONDS
from streaming_operator.kinds import POD, Key
from streaming_operator.seen import PodState, Seen

GRACE_SECONDS = 30
# A gateway tells the open turns and writes the last usage down, before a kubelet that does heed the grace kills it.
_LAST_WORDS_SECONDS = 5
SESSION_SECONDS = GRACE_SECONDS - PRE_STOP_SECONDS - _LAST_WORDS_SECONDS
_PATIENCE_SECONDS = 2.0

log = get_logger(__name__)


class FormerGateways:
    """`http` is a client for pods, see `readings.pod_client`."""

    def __init__(self, api: ApiServer, cache: Cache, http: httpx2.AsyncClient) -> None:
        self._api = api
        self._cache = cache
        self._http = http

    async def end(self, key: Key, before: str | None) -> bool:
        """Shorten the end of this stack's gateway pods that are on their way out; True while there are some left.

        `before`: only those made before that time (RFC 3339), which are a former stack's of the same name.
        Pods that nobody has ended yet are left to the garbage collector: their ReplicaSet would only make new ones.
        """
        left, ending = False, []
        for name, pod in list(self._cache.of_kind(key, POD)):
            state = pod.state
            if pod.component != names.GATEWAY or not isinstance(state, PodState):
                continue
            if before is not None and state.created >= before:
                continue
            left = True
            if pod.terminating:
                ending.append(self._end(key, name, pod, state))
        await asyncio.gather(*ending)
        return left

    async def _end(self, key: Key, name: str, pod: Seen, state: PodState) -> None:
        if (state.grace_seconds or 0) > GRACE_SECONDS:
            await self._api.delete(POD, key.namespace, name, uid=pod.uid, grace_seconds=GRACE_SECONDS)
        if state.address and not state.finished:
            await self._tell(pod.uid, state.address)

    async def _tell(self, uid: str, address: str) -> None:
        """Again and again until the pod is gone; the gateway goes by the first time that it heeds."""
        url = names.pod_url(address, names.METRICS_PORT, f"/drain?seconds={SESSION_SECONDS}")
        try:
            # Whoever may make a pod may label it as a gateway: it must not hold up the others, nor is its answer read.
            async with asyncio.timeout(_PATIENCE_SECONDS):
                async with self._http.stream("POST", url, headers={"Authorization": f"Bearer {uid}"}):
                    pass
        except (httpx2.HTTPError, TimeoutError) as failure:
            log.info("a gateway of a deleted stack was not told", uid=uid, kind=type(failure).__name__)
