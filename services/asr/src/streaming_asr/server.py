"""A recogniser as a gRPC server with health, metrics and draining, whatever its engine is."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry
from streamingstack.asr.v1 import recognizer_pb2_grpc as rpc

from streaming_asr.engine import VoiceActivity, WindowEngine
from streaming_asr.metrics import RecogniserMetrics
from streaming_asr.replies import Offer
from streaming_asr.service import Recognizer
from streaming_asr.slots import Slots

SERVICE = "streamingstack.asr.v1.RecognizerService"
MAX_MESSAGE_BYTES = 4 * 1024 * 1024
_OPTIONS = [
    ("grpc.so_reuseport", 0),  # a port that is taken is an error, not a second server
    ("grpc.max_concurrent_streams", 10_000),  # admission is ours, with a clear message
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
]


@dataclass(frozen=True, slots=True)
class Serving:
    """What a recogniser serves and how much of it."""

    routes: frozenset[str]
    capacity: int
    replacing: bool = False
    left_context_ms: int = 3000
    max_replays: int = 4
    host: str = "0.0.0.0"
    port: int = 0
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)


class RecogniserServer:
    """A running server; `port` is the bound one, `registry` has its metrics."""

    def __init__(self, serving: Serving, engine: WindowEngine, voice: VoiceActivity) -> None:
        self.registry = serving.registry
        self.slots = Slots(serving.capacity, serving.max_replays)
        self._recognizer = Recognizer(
            routes=serving.routes,
            engine=engine,
            voice=voice,
            slots=self.slots,
            offer=Offer(serving.capacity, serving.left_context_ms, serving.replacing),
            metrics=RecogniserMetrics(serving.registry, serving.capacity),
        )
        self._health = health.aio.HealthServicer()
        self._server = grpc.aio.server(options=_OPTIONS)
        rpc.add_RecognizerServiceServicer_to_server(self._recognizer, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self.port = self._server.add_insecure_port(f"{serving.host}:{serving.port}")

    async def start(self) -> None:
        """Listen; not serving until `serve` is called."""
        await self._set_health(serving=False)
        await self._server.start()

    async def serve(self) -> None:
        """Take streams."""
        self._recognizer.set_available()
        await self._set_health(serving=True)

    async def suspend(self, reason: str) -> None:
        """End every stream UNAVAILABLE and take none until `serve`."""
        self._recognizer.set_available(reason)
        await self._set_health(serving=False)

    async def drain(self, seconds: float) -> None:
        """Close the listener, let the streams move away, end the rest after `seconds`."""
        await self._set_health(serving=False)
        stopping = asyncio.create_task(self._server.stop(seconds + 2.0))
        await self._recognizer.drain(seconds)
        await stopping

    async def _set_health(self, *, serving: bool) -> None:
        kind = health_pb2.HealthCheckResponse
        for name in ("", SERVICE):
            await self._health.set(name, kind.SERVING if serving else kind.NOT_SERVING)


@contextlib.asynccontextmanager
async def serve_recogniser(
    serving: Serving, engine: WindowEngine, voice: VoiceActivity
) -> AsyncIterator[RecogniserServer]:
    """A server that takes streams while the context is open; streams left then are ended UNAVAILABLE."""
    server = RecogniserServer(serving, engine, voice)
    await server.start()
    await server.serve()
    try:
        yield server
    finally:
        await server.drain(0)
