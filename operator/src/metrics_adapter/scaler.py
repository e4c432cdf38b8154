"""KEDA's external scaler over gRPC: the load of one Deployment, as one number."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc
from externalscaler import externalscaler_pb2 as pb
from externalscaler import externalscaler_pb2_grpc as service
from streaming_operator import names
from streaming_operator.kinds import Key

from metrics_adapter.catalogue import PARTS
from metrics_adapter.load import Loads, NoLoadKnownError
from metrics_adapter.pods import Group

_AGAIN_SECONDS = 60.0


class TriggerError(ValueError):
    """The trigger's metadata are not what the operator writes; the text names the field."""


class Scaler(service.ExternalScalerServicer):  # type: ignore[misc]
    """Answers for the ScaledObjects that the operator makes; others get INVALID_ARGUMENT with the field."""

    def __init__(self, loads: Loads) -> None:
        self._loads = loads

    async def IsActive(self, request: pb.ScaledObjectRef, context: Any) -> pb.IsActiveResponse:
        """Always: no Deployment of a stack is scaled to zero, as a model takes minutes to load."""
        await self._checked(request, context)
        return pb.IsActiveResponse(result=True)

    async def StreamIsActive(self, request: pb.ScaledObjectRef, context: Any) -> AsyncIterator[pb.IsActiveResponse]:
        """The same, told again once a minute."""
        await self._checked(request, context)
        while True:
            yield pb.IsActiveResponse(result=True)
            await asyncio.sleep(_AGAIN_SECONDS)

    async def GetMetricSpec(self, request: pb.ScaledObjectRef, context: Any) -> pb.GetMetricSpecResponse:
        """The metric and its target, as the trigger has it."""
        group, target = await self._checked(request, context)
        spec = pb.MetricSpec(metricName=PARTS[group.component].wanted, targetSize=target, targetSizeFloat=target)
        return pb.GetMetricSpecResponse(metricSpecs=[spec])

    async def GetMetrics(self, request: pb.GetMetricsRequest, context: Any) -> pb.GetMetricsResponse:
        """The load of all pods. UNAVAILABLE where none says anything: KEDA then leaves the size alone."""
        group, target = await self._checked(request.scaledObjectRef, context)
        wanted = PARTS[group.component].wanted
        try:
            load = self._loads.demand(group, time.monotonic(), target)
        except NoLoadKnownError as unknown:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(unknown))
            raise
        value = pb.MetricValue(metricName=wanted, metricValue=math.ceil(load), metricValueFloat=load)
        return pb.GetMetricsResponse(metricValues=[value])

    async def _checked(self, request: pb.ScaledObjectRef, context: Any) -> tuple[Group, int]:
        try:
            return read_trigger(request.namespace, request.scalerMetadata)
        except TriggerError as wrong:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(wrong))
            raise


def read_trigger(namespace: str, metadata: Mapping[str, str]) -> tuple[Group, int]:
    """The Deployment of a trigger, and the target of each pod. Raises TriggerError."""
    stack, component = metadata.get("stack", ""), metadata.get("component", "")
    pool = metadata.get("model", "")
    if not stack:
        raise TriggerError("metadata.stack: the name of a StreamingStack is missing")
    if component not in PARTS:
        raise TriggerError(f"metadata.component: one of {', '.join(sorted(PARTS))}")
    if (component == names.ASR) != bool(pool):
        raise TriggerError("metadata.model: a model's name for component asr, and none for the gateway")
    target = metadata.get("target", "")
    if not target.isascii() or not target.isdigit() or not 0 < int(target) <= 1_000_000:
        raise TriggerError("metadata.target: how many sessions or streams each pod should carry")
    return Group(Key(namespace, stack), component, pool), int(target)


@asynccontextmanager
async def serve_scaler(loads: Loads, host: str, port: int) -> AsyncIterator[int]:
    """Serve while the context is open; yields the port. Raises OSError where it is taken.

    In the clear, and only counts: KEDA's operator is the caller, and a NetworkPolicy can say so.
    """
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    service.add_ExternalScalerServicer_to_server(Scaler(loads), server)
    try:
        bound = server.add_insecure_port(f"{host}:{port}")
    except RuntimeError as taken:
        raise OSError(f"{host}:{port}: {taken}") from None
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(grace=1)
