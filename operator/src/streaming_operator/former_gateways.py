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
from streaming_operator.kinds import POD, Key
from streaming_operator.seen import PodState, Seen

GRACE_SECONDS = 30
# What is left of it after the pause before SIGTERM, with time for last words.
SESSION_SECONDS = 15
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
        host = f"[{address}]" if ":" in address else address
        url = f"http://{host}:{names.METRICS_PORT}/drain?seconds={SESSION_SECONDS}"
        try:
            async with self._http.stream(
                "POST", url, headers={"Authorization": f"Bearer {uid}"}, timeout=_PATIENCE_SECONDS
            ):
                pass
        except httpx2.HTTPError as failure:
            log.info("a gateway of a deleted stack was not told", uid=uid, kind=type(failure).__name__)
