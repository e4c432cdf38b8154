"""The port for metrics, and the one order that a gateway takes there: to end its sessions soon, while it drains.

A gateway drains for hours, for as long as its sessions last. Where its stack is deleted meanwhile they have nowhere to
go, and a shorter grace for a pod that ends already is not heeded by kubelets: the operator says so here.
"""

import hmac

from prometheus_client import CollectorRegistry
from service_kit.http import metrics_app
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from streaming_gateway.gateway import Gateway

_LONGEST_SECONDS = 3600.0


def metrics_and_orders(registry: CollectorRegistry, gateway: Gateway, pod_uid: str | None) -> Starlette:
    """`GET /metrics`, and `POST /drain?seconds=N` with `Authorization: Bearer <the pod's uid>`.

    Who may read the pod in the Kubernetes API knows its uid. Without one no order is taken.
    """

    async def drain(request: Request) -> Response:
        if pod_uid is None:
            return _refused(404, "no orders are taken: POD_UID is not set")
        if not hmac.compare_digest(request.headers.get("authorization", "").encode(), f"Bearer {pod_uid}".encode()):
            return _refused(401, "Authorization must be Bearer and the uid of this pod")
        seconds = _seconds(request.query_params.get("seconds", ""))
        if seconds is None:
            return _refused(422, f"seconds must be a number from 0 to {_LONGEST_SECONDS:.0f}")
        if not gateway.drain_sooner(seconds):
            return _refused(409, "this gateway does not drain; it does from SIGTERM on")
        return JSONResponse({"sessions": len(gateway.sessions)}, status_code=202)

    return metrics_app(registry, Route("/drain", drain, methods=["POST"]))


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 <= seconds <= _LONGEST_SECONDS else None


def _refused(status: int, error: str) -> Response:
    return JSONResponse({"error": error}, status_code=status)
