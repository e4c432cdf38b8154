"""Triton's protocol over a real socket, without models: quick, slow or silent, as a test wants."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2 as kserve
from tritonclient.grpc import service_pb2_grpc

SLOW = 7  # the first sample of a window that is not answered
HEARD = json.dumps(
    {"words": [["heard", 0, 800, 0.9]], "doubted": [], "language": "en", "language_confidence": 0.9}
).encode()


class StandInTriton(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """Hears one word in every window; when `stuck`, it answers nobody until a model is loaded anew."""

    def __init__(self) -> None:
        self.stuck = False
        self.loads = 0
        self.priorities: list[int] = []  # of every inference, as they came
        self._open = asyncio.Event()
        self._open.set()

    def hold(self) -> None:
        """Answer no inference until `release`."""
        self._open.clear()

    def release(self) -> None:
        """Answer them all."""
        self._open.set()

    async def ServerReady(self, request: Any, context: Any) -> Any:
        """It always is."""
        return kserve.ServerReadyResponse(ready=True)

    async def RepositoryModelUnload(self, request: Any, context: Any) -> Any:
        """Nothing to unload."""
        return kserve.RepositoryModelUnloadResponse()

    async def RepositoryModelLoad(self, request: Any, context: Any) -> Any:
        """Heals what is stuck."""
        self.loads += 1
        self.stuck = False
        return kserve.RepositoryModelLoadResponse()

    async def ModelInfer(self, request: Any, context: Any) -> Any:
        """A word, or a score."""
        pcm = np.frombuffer(request.raw_input_contents[0], "<i2")
        self.priorities.append(request.parameters["priority"].uint64_param)
        await self._open.wait()
        if self.stuck or pcm[0] == SLOW:
            await asyncio.sleep(60)
        if request.model_name == "smart_turn":
            return _answer("SCORE", "FP32", np.array([0.5], "<f4").tobytes(), 1)
        return _answer("HEARD", "UINT8", HEARD, len(HEARD))


def _answer(name: str, kind: str, content: bytes, count: int) -> Any:
    output = kserve.ModelInferResponse.InferOutputTensor(name=name, datatype=kind, shape=[1, count])
    return kserve.ModelInferResponse(outputs=[output], raw_output_contents=[content])


@contextlib.asynccontextmanager
async def stand_in_triton() -> AsyncIterator[tuple[StandInTriton, str]]:
    """Serves while the context is open, at the host:port that comes with it."""
    servicer, server = StandInTriton(), grpc.aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield servicer, f"127.0.0.1:{port}"
    finally:
        await server.stop(0)
