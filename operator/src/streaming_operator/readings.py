"""What pods say of themselves: sessions and capacity, the licence's state, usage not yet delivered, models in store.

Read from the pods' own ports every ten seconds, and seldomer where there are very many pods. A stack is looked at again
only where something moved notably, and for counts at most every half minute: a thousand busy stacks cause no thousand
reconciles.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime

import httpx2
import msgspec

from streaming_operator import names
from streaming_operator.cache import Cache
from streaming_operator.exposition import total
from streaming_operator.kinds import POD, Key
from streaming_operator.reading import Reading, Summary, has_news, is_notable, summary
from streaming_operator.seen import PodState, Seen

TIMEOUT_SECONDS = 3.0
LARGEST_BYTES = 4 * 1024 * 1024
SIDE_BY_SIDE = 16
PODS_PER_SECOND = 50.0
# The status takes new counts every half minute, and what it is told before that is lost on it.
COUNTS_SECONDS = 31.0


class _LicenseStatus(msgspec.Struct):
    state: str | None = None
    trust_expiration: str | None = None


class _StoredModel(msgspec.Struct):
    name: str
    state: str = ""
    digest: str | None = None
    error: str | None = None


class _StoredModels(msgspec.Struct):
    models: list[_StoredModel] = msgspec.field(default_factory=list)


class Readings:
    """The last readings, by pod uid, and the loop that takes them.

    `notable` is told of stacks to look at again, `taken` of every stack whose pods were read; `clock` is monotonic.
    """

    def __init__(
        self,
        cache: Cache,
        http: httpx2.AsyncClient,
        notable: Callable[[Key], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cache = cache
        self._http = http
        self._notable = notable
        self._clock = clock
        self.taken: Callable[[Key], None] = lambda _: None
        self._taken: dict[str, Reading] = {}
        self._told: dict[Key, tuple[Summary, float]] = {}
        self._gate = asyncio.Semaphore(SIDE_BY_SIDE)

    def get(self, pod: Seen) -> Reading | None:
        """The reading of one pod."""
        return self._taken.get(pod.uid)

    async def run(self, every: float) -> None:
        """Read all pods again and again, until cancelled."""
        while True:
            pods = await self.read_all()
            await asyncio.sleep(max(every, pods / PODS_PER_SECOND))

    async def read_all(self) -> int:
        """Read every pod once; returns how many there are."""
        # Stacks side by side too: one after the other, a silent pod in each of a thousand would take the better part of
        # an hour.
        found = await asyncio.gather(*(self._read_stack(key) for key in self._cache.stacks()))
        uids: set[str] = set().union(*found)
        for gone in self._taken.keys() - uids:
            del self._taken[gone]
        for ended in self._told.keys() - set(self._cache.stacks()):
            del self._told[ended]
        return len(uids)

    async def _read_stack(self, key: Key) -> set[str]:
        """Read the pods of one stack; returns their uids."""
        pods = [pod for _, pod in self._cache.of_kind(key, POD) if _answers(pod)]
        if pods:
            await asyncio.gather(*(self._take(pod) for pod in pods))
            self._tell(key, pods)
            self.taken(key)
        else:
            self._told.pop(key, None)
        return {pod.uid for pod in pods}

    async def _take(self, pod: Seen) -> None:
        async with self._gate:
            try:
                self._taken[pod.uid] = await self._read(pod)
            except (httpx2.HTTPError, httpx2.StreamError, msgspec.DecodeError, TimeoutError, ValueError):
                self._taken.pop(pod.uid, None)  # a pod that does not answer says nothing; others tell why

    async def _read(self, pod: Seen) -> Reading:
        if pod.component == names.LICENSE_PROXY:
            return await self._license_proxy(pod)
        if pod.component == names.MODEL_STORE:
            found = msgspec.json.decode(await self._get(pod, names.MODEL_STORE_PORT, "/models"), type=_StoredModels)
            return Reading(
                digests={model.name: model.digest for model in found.models if model.digest},
                errors={model.name: model.error for model in found.models if model.error},
            )
        text = (await self._get(pod, names.METRICS_PORT, "/metrics")).decode()
        what = "streaming_gateway_sessions" if pod.component == names.GATEWAY else "streaming_asr_streams"
        return Reading(active=_count(total(text, f"{what}_active")), capacity=_count(total(text, f"{what}_capacity")))

    async def _license_proxy(self, pod: Seen) -> Reading:
        body = await self._get(pod, names.LICENSE_PROXY_PORT, "/v1/status")
        status = msgspec.json.decode(body, type=_LicenseStatus)
        until = datetime.fromisoformat(status.trust_expiration) if status.trust_expiration else None
        pending = await self._pending(pod)
        return Reading(license_state=status.state, trust_expiration=until, backlog=pending)

    async def _pending(self, pod: Seen) -> int | None:
        """Sessions with usage to deliver; None where the proxy has no metrics, as the vendor's."""
        try:
            text = (await self._get(pod, names.LICENSE_PROXY_PORT, "/metrics")).decode()
        except httpx2.HTTPStatusError as refused:
            if refused.response.status_code == httpx2.codes.NOT_FOUND:
                return None
            raise
        return _count(total(text, "license_proxy_usage_sessions_pending"))

    async def _get(self, pod: Seen, port: int, path: str) -> bytes:
        url = names.pod_url(getattr(pod.state, "address", ""), port, path)
        # Anybody who may make a pod may label it as one of ours: it must not hold the others up, nor fill the memory.
        found = bytearray()
        plain = {"Accept-Encoding": "identity"}
        async with asyncio.timeout(TIMEOUT_SECONDS):
            async with self._http.stream("GET", url, headers=plain) as response:
                response.raise_for_status()
                if "content-encoding" in response.headers:
                    raise ValueError("an answer that may grow when it is unpacked, which nobody asked for")
                async for chunk in response.aiter_bytes():
                    found += chunk
                    if len(found) > LARGEST_BYTES:
                        raise ValueError(f"an answer of more than {LARGEST_BYTES} bytes")
        return bytes(found)

    def _tell(self, key: Key, pods: list[Seen]) -> None:
        now = summary((pod, self._taken.get(pod.uid)) for pod in pods)
        told, at = self._told.get(key, (None, 0.0))
        rested = self._clock() - at >= COUNTS_SECONDS
        if has_news(told, now) or (rested and is_notable(told, now)):
            self._told[key] = now, self._clock()
            self._notable(key)


def pod_client() -> httpx2.AsyncClient:
    """A client for pods: it carries no credentials and follows no redirect or proxy."""
    return httpx2.AsyncClient(
        trust_env=False, follow_redirects=False, limits=httpx2.Limits(max_keepalive_connections=0)
    )


def _count(value: float | None) -> int | None:
    return None if value is None or not 0 <= value < 1e12 else int(value)


def _answers(pod: Seen) -> bool:
    state = pod.state
    spoken = pod.component in (names.GATEWAY, names.ASR, names.LICENSE_PROXY, names.MODEL_STORE)
    return spoken and isinstance(state, PodState) and bool(state.address) and not state.finished
