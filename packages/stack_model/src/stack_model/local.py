"""Where the parts of a stack listen when it runs on one machine; pure."""

from dataclasses import dataclass

from stack_model.api import StreamingStack

_STEP = 10


class PortsError(ValueError):
    """Ports that cannot be; the text names the remedy."""


@dataclass(frozen=True)
class ModelPorts:
    """One model's recogniser and Triton."""

    recognizer: int
    metrics: int
    triton_http: int
    triton_grpc: int
    triton_metrics: int


@dataclass(frozen=True)
class Ports:
    """Every port of a local stack; `models` in the order of spec.models, None where there is no sync API."""

    gateway: int
    gateway_metrics: int
    license_proxy: int
    balancer: int
    balancer_health: int
    models: tuple[ModelPorts, ...]
    sync_api: int | None = None
    sync_api_metrics: int | None = None

    def named(self, names: list[str]) -> dict[int, str]:
        """Each port with what listens there; `names` are the models'."""
        fixed = {
            self.gateway: "gateway",
            self.gateway_metrics: "gateway metrics",
            self.license_proxy: "licence proxy",
            self.balancer: "load balancer",
            self.balancer_health: "load balancer health",
        }
        if self.sync_api is not None and self.sync_api_metrics is not None:
            fixed |= {self.sync_api: "sync API", self.sync_api_metrics: "sync API metrics"}
        for name, ports in zip(names, self.models, strict=True):
            fixed |= {
                ports.recognizer: f"recogniser {name}",
                ports.metrics: f"recogniser {name} metrics",
                ports.triton_http: f"Triton {name} HTTP",
                ports.triton_grpc: f"Triton {name} gRPC",
                ports.triton_metrics: f"Triton {name} metrics",
            }
        return fixed


def local_ports(stack: StreamingStack, offset: int = 0, gateway: int | None = None) -> Ports:
    """The usual ports, all shifted by `offset`; `gateway` sets that one alone. Raises PortsError."""
    models = tuple(
        ModelPorts(
            recognizer=50051 + index + offset,
            metrics=9091 + index + offset,
            triton_http=8010 + _STEP * index + offset,
            triton_grpc=8011 + _STEP * index + offset,
            triton_metrics=8012 + _STEP * index + offset,
        )
        for index in range(len(stack.spec.models))
    )
    ports = Ports(
        gateway=8080 + offset if gateway is None else gateway,
        gateway_metrics=9090 + offset,
        license_proxy=8082 + offset,
        balancer=50050 + offset,
        balancer_health=8081 + offset,
        models=models,
        sync_api=8083 + offset if stack.spec.sync_api.enabled else None,
        sync_api_metrics=9089 + offset if stack.spec.sync_api.enabled else None,
    )
    _refuse_impossible(ports, stack)
    return ports


def _refuse_impossible(ports: Ports, stack: StreamingStack) -> None:
    named = ports.named([model.name for model in stack.spec.models])
    if len(named) != 5 + 5 * len(ports.models) + 2 * (ports.sync_api is not None):
        raise PortsError("two parts of the stack would share a port; use another --port, or at most seven models")
    wrong = [port for port in named if not 1024 <= port <= 65535]
    if wrong:
        raise PortsError(f"port {wrong[0]} ({named[wrong[0]]}) is outside 1024-65535; use another offset or --port")
