"""The engine in Triton: windows and turns over gRPC, and the watch over Triton's life.

Triton that dies is noticed by the first call that fails and, when nothing is asked, by a poll twice a second. Then
every call in flight ends with EngineLostError, `lost` is set and `ready` cleared until Triton serves its models again.
A model whose process dies inside a Triton that lives is found by a probe after its first failure, and loaded anew.
A call that takes too long fails alone: load is no death, and moving every stream away would add to it.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Any, TypeVar

import grpc
from prometheus_client import CollectorRegistry
from service_kit.faults import place_of
from service_kit.logs import get_logger
from tritonclient.grpc import aio as triton
from tritonclient.utils import InferenceServerException

from streaming_asr.engine import SAMPLE_RATE, EngineLostError, Hypothesis, Pcm, Window
from streaming_asr.triton.bulk import BulkPlace
from streaming_asr.triton.inputs import PROBES, hypothesis, tensor, whisper_inputs
from streaming_asr.triton.metrics import EngineMetrics

POLL_SECONDS = 0.5
POLL_PATIENCE = 2.0  # a busy machine may answer late; a dead one refuses at once
CALL_SECONDS = 20.0
PROBE_SECONDS = 5.0
LOAD_SECONDS = 60.0
MOST_IN_FLIGHT = 64
DEEP = 4  # decodes that wait or run: beyond it a glimpse would come too late and delay the finals
SMART_TURN_SAMPLES = 8 * SAMPLE_RATE
COMMIT, GLIMPSE, BULK = 1, 2, 3  # Triton's priorities

T = TypeVar("T")
log = get_logger(__name__)


class TritonEngine:
    """A WindowEngine; use it as an async context manager. `ready` and `lost` are each other's opposite."""

    def __init__(
        self, url: str, *, registry: CollectorRegistry, languages: Sequence[str] = (), most: int = MOST_IN_FLIGHT
    ) -> None:
        """`url` is Triton's gRPC host:port; `languages` bound detection, but for those that a window expects."""
        self.ready, self.lost = asyncio.Event(), asyncio.Event()
        self.lost.set()
        self._url = url
        self._languages = tuple(languages)
        self._metrics = EngineMetrics(registry)
        self._free = asyncio.Semaphore(most)
        self._bulk = BulkPlace(DEEP)
        self._decodes = 0
        self._calls: set[asyncio.Task[Any]] = set()
        self._client: Any = None
        self._suspects: set[str] = set()
        self._answered_at: dict[str, float] = {}
        self._look = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "TritonEngine":
        self._client = triton.InferenceServerClient(self._url, channel_args=_CHANNEL)
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, t: TracebackType | None
    ) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        self._give_up_calls()
        await self._client.close()

    async def decode(self, window: Window) -> Hypothesis:
        """Words of the window, in order, inside it. Raises EngineLostError."""
        if not window.bulk:
            async with self._measured(window.pcm):
                return await self._decode(window, COMMIT)
        async with self._bulk.taken():
            return await self._decode(window, BULK)

    async def glimpse(self, window: Window) -> Hypothesis | None:
        """As decode, for tentative words only: None at once when decodes queue. Raises EngineLostError."""
        if self._decodes >= DEEP:
            self._metrics.shed.inc()
            return None
        try:
            async with self._measured(window.pcm):
                return await self._decode(window, GLIMPSE)
        except _Rejected:
            self._metrics.shed.inc()
            return None

    async def end_of_turn(self, window: Window) -> float:
        """Score, 0 to 1, that the speaker has finished at the end of the window. Raises EngineLostError."""
        pcm = window.pcm[-SMART_TURN_SAMPLES:]
        if window.bulk or not len(pcm):  # a recording has no turns
            return 0.0
        result = await self._call("smart_turn", [tensor("PCM", "INT16", pcm)], "SCORE", COMMIT)
        return float(result.reshape(-1)[0])

    async def _decode(self, window: Window, priority: int) -> Hypothesis:
        if not len(window.pcm):
            return Hypothesis()
        inputs = whisper_inputs(window, self._languages, tentative=priority == GLIMPSE)
        result = await self._call("whisper", inputs, "HEARD", priority)
        return hypothesis(result.tobytes(), window.first_sample)

    @contextlib.asynccontextmanager
    async def _measured(self, pcm: Pcm) -> AsyncIterator[None]:
        if not len(pcm):
            yield
            return
        self._count(1)
        begin = time.monotonic()
        try:
            yield
            took = time.monotonic() - begin
            self._metrics.decode_seconds.observe(took)
            self._metrics.real_time_factor.observe(took * SAMPLE_RATE / len(pcm))
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        self._decodes += change
        self._metrics.queue_depth.set(self._decodes)
        self._bulk.live(self._decodes)

    async def _call(self, model: str, inputs: list[Any], output: str, priority: int) -> Any:
        """One inference in a task of its own, so that a loss can end it. Raises EngineLostError, _Rejected."""
        if not self.ready.is_set():
            raise EngineLostError("the model server is away")
        task = asyncio.create_task(self._infer(model, inputs, output, priority))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        try:
            return await task
        except asyncio.CancelledError:
            if task.cancelled() and not self.ready.is_set() and not _cancelling():
                raise EngineLostError("the model server went away") from None
            task.cancel()
            raise

    async def _infer(self, model: str, inputs: list[Any], output: str, priority: int) -> Any:
        async with self._free:
            asked_at = time.monotonic()
            try:
                answer = await self._client.infer(
                    model,
                    inputs,
                    outputs=[triton.InferRequestedOutput(output)],
                    priority=priority,
                    client_timeout=CALL_SECONDS,
                )
            except InferenceServerException as failure:
                if any(words in str(failure.status()) for words in _LATE):
                    raise self._late(model, priority, asked_at) from None
                raise self._failed(failure, model, priority) from None
        self._answered_at[model] = time.monotonic()
        return answer.as_numpy(output)

    def _late(self, model: str, priority: int, asked_at: float) -> Exception:
        """A call that took too long: the load, but of a model that has answered nobody meanwhile it says more."""
        if self._answered_at.get(model, 0.0) <= asked_at:
            self._suspects.add(model)
            self._look.set()
        if priority == GLIMPSE:
            return _Rejected()
        log.error("the model server was too slow for a call", model=model, seconds=CALL_SECONDS)
        return EngineLostError("the model server is too slow")

    def _failed(self, failure: InferenceServerException, model: str, priority: int) -> Exception:
        """What a failed call means: Triton is gone, or it dropped a glimpse, or this one call went wrong."""
        status = str(failure.status())
        if priority == GLIMPSE and any(words in str(failure.message()) for words in _DROPPED):
            return _Rejected()
        if any(code in status for code in _GONE):
            self._lose(f"a call failed: {status}")
        elif priority == GLIMPSE and self.ready.is_set():
            return _Rejected()
        else:
            log.error("the model server failed a call", status=status, model=model)
            self._suspects.add(model)
            self._look.set()
        return EngineLostError("the model server failed a call")

    # -- life ---------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            self._look.clear()
            try:
                await self._examine()
            except Exception as failure:  # noqa: BLE001 - a watch that ends would leave a dead Triton ready for ever
                log.error("the watch failed", kind=type(failure).__name__, place=place_of(failure))
                self._lose("it cannot be examined")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._look.wait()

    async def _examine(self) -> None:
        if not await self._is_serving():
            self._lose("its health check failed")
        elif await self._models_live() and not self.ready.is_set():
            self.lost.clear()
            self.ready.set()
            self._metrics.up.set(1)

    async def _models_live(self) -> bool:
        """Whether every model that failed a call still answers; one whose process died is loaded anew.

        Triton goes on calling itself ready when it has lost a model's process, and does not start another.
        """
        for model in list(self._suspects):
            asked_at = time.monotonic()
            try:
                await self._client.infer(model, PROBES[model], client_timeout=PROBE_SECONDS)
            except InferenceServerException as failure:
                if self._answered_at.get(model, 0.0) > asked_at:
                    continue  # it lives and has much to do; the next look will tell
                self._lose(f"model {model} does not answer: {failure.status()}")
                await self._load_anew(model)
                return False
            self._suspects.discard(model)
        return True

    async def _load_anew(self, model: str) -> None:
        try:
            await self._client.unload_model(model, client_timeout=LOAD_SECONDS)
            await self._client.load_model(model, client_timeout=LOAD_SECONDS)
        except InferenceServerException as failure:
            log.error("cannot load the model anew; restart the model server", model=model, status=str(failure.status()))

    async def _is_serving(self) -> bool:
        try:
            async with asyncio.timeout(POLL_PATIENCE):
                return bool(await self._client.is_server_ready())
        except (InferenceServerException, TimeoutError, grpc.RpcError):
            return False

    def _lose(self, reason: str) -> None:
        if self.lost.is_set():
            return
        log.error("lost the model server", reason=reason, url=self._url)
        self.ready.clear()
        self.lost.set()
        self._metrics.up.set(0)
        self._metrics.losses.inc()
        self._give_up_calls()

    def _give_up_calls(self) -> None:
        current = asyncio.current_task()
        for call in list(self._calls):
            if call is not current:
                call.cancel()


class _Rejected(Exception):
    """Triton dropped a glimpse that had become old."""


# What Triton's queue says when it drops a request. The status is UNAVAILABLE, as of a Triton that is gone.
_DROPPED = ("Request timeout expired", "Exceeds maximum queue size")

# Statuses that tell of a Triton that is gone, not of one bad call.
_GONE = ("UNAVAILABLE", "CANCELLED")

# Statuses of a call that took longer than it was given.
_LATE = ("DEADLINE_EXCEEDED", "Deadline Exceeded")

# Without these a channel to a Triton that comes back would wait up to two minutes before it tries again.
_CHANNEL = [
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
]


def _cancelling() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
