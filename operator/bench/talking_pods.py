"""The pods of a bench: what they say of themselves at their addresses, and that they run.

Every address of 127/8 is this machine, so one process answers for all pods, on the ports that pods have.
"""

import asyncio
import json
import sys

import msgspec
from population import PODS, gathered
from prometheus_client import CollectorRegistry, generate_latest
from streaming_gateway.link.metrics import LinkMetrics
from streaming_gateway.metrics import GatewayMetrics
from streaming_operator import names
from streaming_operator.api_server import ApiServer
from streaming_operator.kinds import POD

# What recognisers and licence proxies say; each is asked for its own.
OTHERS = (
    b"streaming_asr_streams_active 9.0\nstreaming_asr_streams_capacity 28.0\nlicense_proxy_usage_sessions_pending 0.0\n"
)


def address(number: int) -> str:
    """Of one pod; there is room for 64,000."""
    return f"127.77.{number // 250}.{1 + number % 250}"


def metrics_text() -> bytes:
    """What a gateway with every series exports, and the other parts' few."""
    registry = CollectorRegistry()
    gateway, _ = GatewayMetrics(registry), LinkMetrics(registry)
    gateway.active.set(17)
    gateway.capacity.set(48)
    for model in ("universal-streaming-english", "universal-streaming-multilingual", "u3-rt-pro"):
        gateway.first_partial.labels(model).observe(0.4)
        gateway.final.labels(model).observe(0.4)
        gateway.turns.labels(model).inc()
    for reason in ("capacity", "unauthorized", "license"):
        gateway.refused.labels(reason).inc()
    return generate_latest(registry) + OTHERS


async def serve_pods() -> None:
    """Answer for every pod, until killed; says when it serves."""
    pages = {
        b"/metrics": metrics_text(),
        b"/v1/status": json.dumps({"state": "Connected", "trust_expiration": None}).encode(),
        b"/models": json.dumps({"models": []}).encode(),
    }

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1]
        except asyncio.IncompleteReadError:
            writer.close()  # whoever asked went away first
            return
        body = pages.get(asked)
        status = b"200 OK" if body is not None else b"404 Not Found"
        head = b"HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
        writer.write(head % (status, len(body or b"")) + (body or b""))
        writer.close()

    for port in (names.METRICS_PORT, names.LICENSE_PROXY_PORT):
        # On all addresses: one of loopback's would be but one pod's.
        await asyncio.start_server(handle, "0.0.0.0", port)
    sys.stdout.write("serving\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


async def run_pod(api: ApiServer, namespace: str, name: str, number: int) -> None:
    """What a kubelet would say of a pod that is ready."""
    where = address(number)
    condition = {"type": "Ready", "status": "True"}
    status = {"phase": "Running", "podIP": where, "podIPs": [{"ip": where}], "conditions": [condition]}
    told = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "status": status}
    await api.apply(POD, namespace, name, msgspec.json.encode(told), subresource="status")


async def run_pods(api: ApiServer, where: list[tuple[str, str]]) -> None:
    """All pods of these stacks."""
    each = [
        (space, f"{stack}-{component}-{number}") for space, stack in where for number, (component, _) in enumerate(PODS)
    ]
    await gathered([run_pod(api, space, name, number) for number, (space, name) in enumerate(each)])


if __name__ == "__main__":
    asyncio.run(serve_pods())
