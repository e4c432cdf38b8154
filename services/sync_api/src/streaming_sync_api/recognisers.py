"""The way to the recognisers: channels to the load balancers, and a recording heard in spite of losses and refusals."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from service_kit.logs import get_logger
from streamingstack.asr.v1 import recognizer_pb2 as pb
from streamingstack.asr.v1 import recognizer_pb2_grpc as rpc

from streaming_sync_api.problems import inference_error, no_capacity
from streaming_sync_api.stream import (
    BulkStream,
    GaveWay,
    Heard,
    Lost,
    NoPlace,
    Rejected,
    RouteUnknown,
    StreamEnded,
    contract_check,
)

_log = get_logger(__name__)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0
_HEALTH_SECONDS = 2.0
_MOST_LOSSES = 2
_MOST_AVOIDED = 8
# A lower threshold than a live session's: nobody waits for a turn to end, and a faint voice is worth a decode.
VAD_THRESHOLD = 0.3
_ANY_CAP = 960_000  # of a segment: BULK has none, but the field has a range
_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),  # we retry by ourselves, elsewhere
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.service_config", '{"loadBalancingConfig":[{"round_robin":{}}]}'),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
]


@dataclass(frozen=True)
class Order:
    """A recording to be heard: mono s16le at 16 kHz, and how to listen."""

    session_id: str
    route: str
    pcm: bytes
    language_codes: tuple[str, ...] = ()
    prompt: str = ""
    keyterms: tuple[str, ...] = ()


class Recognisers:
    """Hears recordings. Make it inside a running loop and `close` it."""

    def __init__(
        self,
        endpoints: tuple[str, ...],
        *,
        queue_seconds: float,
        ended: Callable[[str], None] = lambda _: None,
        check_contract: bool = False,
    ) -> None:
        """`endpoints`: host:port of load balancers; `ended` is told why a stream ended before its words."""
        self._channels = [grpc.aio.insecure_channel(endpoint, options=_OPTIONS) for endpoint in endpoints]
        self._turn = count()
        self._queue_seconds = queue_seconds
        self._ended, self._check_contract = ended, check_contract

    async def close(self) -> None:
        """End every stream."""
        for channel in self._channels:
            await channel.close()

    async def serves(self, route: str) -> bool:
        """Whether some recogniser of the route takes streams."""
        stub = health_pb2_grpc.HealthStub(self._channel())
        try:
            answer = await stub.Check(
                health_pb2.HealthCheckRequest(), metadata=[("x-model-version", route)], timeout=_HEALTH_SECONDS
            )
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    async def hear(self, order: Order) -> Heard:
        """The words of a recording, once some recogniser has heard all of it; the caller has the deadline.

        Raises SyncProblem: 503 where none had a place in time, 500 where two broke over it.
        """
        attempts = Attempts(self._queue_seconds, time.monotonic())
        while True:
            opening = _opening(order, attempts.number)
            metadata = [("x-model-version", order.route)]
            if attempts.avoid:
                metadata.append(("x-avoid-pod", ",".join(attempts.avoid)))
            call = rpc.RecognizerServiceStub(self._channel()).Recognize(metadata=metadata)
            stream = BulkStream(call, opening, order.pcm, contract_check(self._check_contract))
            try:
                return await stream.hear()
            except StreamEnded as ended:
                status = ended.status.name if ended.status else ended.reason
                _log.info("stream ended early", session_id=order.session_id, reason=ended.reason, status=status)
                self._ended(ended.reason)
                await asyncio.sleep(attempts.pause_after(ended, stream.pod, time.monotonic()))

    def _channel(self) -> Any:
        return self._channels[next(self._turn) % len(self._channels)]


class Attempts:
    """What became of the attempts at one recording, and whether there is another."""

    def __init__(self, queue_seconds: float, now: float) -> None:
        """`queue_seconds`: how long it may wait for a place; times are of a steady clock."""
        self.number = 0
        self.avoid: list[str] = []  # the newest first
        self._queue_seconds = queue_seconds
        self._patience_until = now + queue_seconds
        self._losses = 0
        self._pause = _FIRST_PAUSE

    def pause_after(self, ended: StreamEnded, pod: str, now: float) -> float:
        """Seconds until the next one. Raises SyncProblem where there is none."""
        self.number += 1
        match ended:
            case Lost():
                self._losses += 1
                if self._losses >= _MOST_LOSSES:
                    raise inference_error()
                self._queue_anew(now)
            case GaveWay():
                self._queue_anew(now)
            case Rejected() | RouteUnknown():
                raise inference_error()
            case NoPlace() if now >= self._patience_until:
                raise no_capacity("every recogniser is busy with live sessions, or none is there; send it again later")
        if pod:
            self.avoid = [pod, *(one for one in self.avoid if one != pod)][:_MOST_AVOIDED]
        pause = self._pause * (0.5 + random.random())  # noqa: S311 - spreads retries, guards nothing
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        return pause

    def _queue_anew(self, now: float) -> None:
        """It had a place: the wait for another one begins now."""
        self._patience_until = now + self._queue_seconds
        self._pause = _FIRST_PAUSE


def _opening(order: Order, attempt: int) -> pb.Open:
    return pb.Open(
        session_id=order.session_id,
        reason=pb.REASON_NEW,
        traffic_class=pb.TRAFFIC_CLASS_BULK,
        attempt=attempt,
        route=order.route,
        language_codes=order.language_codes,
        prompt=order.prompt,
        keyterms=order.keyterms,
        vad_threshold=VAD_THRESHOLD,
        segment_cap_samples=_ANY_CAP,
    )
