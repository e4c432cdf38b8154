"""What stands where Triton would: its health over HTTP and gRPC, at the real one's ports, and nothing else."""

import asyncio
import contextlib
from typing import Any

import grpc
from prometheus_client import CollectorRegistry
from service_kit.drain import terminate_event
from service_kit.http import metrics_app, serve_http
from service_kit.logs import configure_logs, get_logger
from service_kit.settings import load_settings
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from streaming_asr.triton.settings import TritonSettings
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc as rpc


class Health(rpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """Live and ready; every other call is UNIMPLEMENTED, as the base class has it."""

    async def ServerLive(self, _: Any, __: Any) -> Any:
        """Triton's."""
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, _: Any, __: Any) -> Any:
        """Triton's."""
        return pb.ServerReadyResponse(ready=True)


async def _fine(_: Request) -> Response:
    return Response()


async def serve(settings: TritonSettings) -> None:
    """Until SIGTERM. Raises OSError or RuntimeError for a port that is taken."""
    terminate = terminate_event()
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    rpc.add_GRPCInferenceServiceServicer_to_server(Health(), server)
    server.add_insecure_port(f"{settings.grpc_host}:{settings.grpc_port}")
    health = Starlette(routes=[Route(f"/v2/health/{kind}", _fine) for kind in ("live", "ready")])
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(serve_http(health, settings.host, settings.http_port))
        await stack.enter_async_context(
            serve_http(metrics_app(CollectorRegistry()), settings.host, settings.metrics_port)
        )
        await server.start()
        get_logger(__name__).info("ready", grpc_port=settings.grpc_port)
        await terminate.wait()
        await server.stop(0)


def main() -> None:
    """Read Triton's environment and serve."""
    settings = load_settings(TritonSettings)
    configure_logs("triton", structured=settings.structured_logging, level=settings.log_level)
    try:
        asyncio.run(serve(settings))
    except (OSError, RuntimeError) as failure:
        get_logger(__name__).error("cannot start", reason=str(failure))
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
