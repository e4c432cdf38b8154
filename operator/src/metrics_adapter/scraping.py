"""Asks pods for their metrics, again and again."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

import aiohttp
from streaming_operator import names

from metrics_adapter.catalogue import PARTS
from metrics_adapter.pods import Pod, Pods
from metrics_adapter.samples import History, Sample, read_sample

TIMEOUT_SECONDS = 3.0
LARGEST_BYTES = 4 * 1024 * 1024
SIDE_BY_SIDE = 32
_CHUNK = 64 * 1024

# Told of each attempt: component, whether it was answered.
Count = Callable[[str, bool], None]


class Scraper:
    """The histories, by the pod's uid, and the loop that feeds them."""

    def __init__(
        self, pods: Pods, histories: dict[str, History], http: aiohttp.ClientSession, count: Count = lambda *_: None
    ) -> None:
        self._pods = pods
        self._histories = histories
        self._http = http
        self._count = count
        self.rounds = 0

    async def run(self, every: float) -> None:
        """A round every so many seconds, until cancelled. Pods are spread over half of it."""
        while True:
            began = time.monotonic()
            await self.round(spread=every / 2 if self.rounds else 0.0)
            await asyncio.sleep(max(0.0, began + every - time.monotonic()))

    async def round(self, spread: float = 0.0) -> None:
        """Ask every pod once."""
        pods = [pod for pod in self._pods.everywhere() if pod.answers]
        gate = asyncio.Semaphore(SIDE_BY_SIDE)
        async with asyncio.TaskGroup() as tasks:
            for number, pod in enumerate(pods):
                # At an even pace: a thousand at once would delay an answer to the autoscaler.
                tasks.create_task(self._ask(pod, gate, spread * number / len(pods)))
        known = {pod.uid for pod in self._pods.everywhere()}
        for uid in self._histories.keys() - known:
            del self._histories[uid]
        self.rounds += 1

    async def _ask(self, pod: Pod, gate: asyncio.Semaphore, delay: float) -> None:
        if delay:
            await asyncio.sleep(delay)
        async with gate:
            assert pod.group is not None
            try:
                sample = await self._sample(pod)
            except (aiohttp.ClientError, TimeoutError, ValueError, OSError):
                self._count(pod.group.component, False)
                return
            self._count(pod.group.component, True)
            self._histories.setdefault(pod.uid, History()).add(sample)

    async def _sample(self, pod: Pod) -> Sample:
        assert pod.group is not None
        url = names.pod_url(pod.address, names.METRICS_PORT, "/metrics")
        # Anybody who may make a pod may label it as one of ours: it must not hold up the others, nor fill the memory.
        async with asyncio.timeout(TIMEOUT_SECONDS):
            async with self._http.get(url, allow_redirects=False) as response:
                if response.status != 200:
                    raise ValueError(f"answered {response.status}")
                body = bytearray()
                async for chunk in response.content.iter_chunked(_CHUNK):
                    body += chunk
                    if len(body) > LARGEST_BYTES:
                        raise ValueError(f"an answer of more than {LARGEST_BYTES} bytes")
        # The moment of the answer: what was counted before it was asked may be older, what comes after is not in it.
        return read_sample(body.decode(), PARTS[pod.group.component], time.monotonic(), datetime.now(UTC))


def pod_client() -> aiohttp.ClientSession:
    """A client for pods: no credentials, no proxy, no cookies, nothing that grows when it is unpacked."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=SIDE_BY_SIDE, force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers={"Accept-Encoding": "identity"},
        trust_env=False,
    )
