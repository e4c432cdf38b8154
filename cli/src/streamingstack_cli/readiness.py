"""Whether a process serves, asked the way its clients would."""

import asyncio

import grpc
import httpx2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from streamingstack_cli.processes import Probe, Readiness

_ANSWER_SECONDS = 2.0
_PAUSE_SECONDS = 0.15


async def until_ready(readiness: Readiness) -> None:
    """Return when the process serves; never raises for one that does not yet."""
    check = _serves_http if readiness.probe is Probe.HTTP else _serves_grpc
    while not await check(readiness.target):  # noqa: ASYNC110 - another process, no event
        await asyncio.sleep(_PAUSE_SECONDS)


async def _serves_http(url: str) -> bool:
    # Straight to this machine, whatever proxies the environment names, and whatever name its certificate is for.
    async with httpx2.AsyncClient(trust_env=False, verify=False, timeout=_ANSWER_SECONDS) as client:
        try:
            return (await client.get(url)).status_code == 200
        except httpx2.HTTPError:
            return False


async def _serves_grpc(target: str) -> bool:
    async with grpc.aio.insecure_channel(target, options=[("grpc.enable_http_proxy", 0)]) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            reply = await stub.Check(health_pb2.HealthCheckRequest(), timeout=_ANSWER_SECONDS)
        except grpc.aio.AioRpcError:
            return False
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)
