"""The processes of a local stack, as data; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from stack_model.api import Model, StreamingStack
from stack_model.catalogue import dump_models, family_of, gateway_models
from stack_model.languages import languages_of
from stack_model.local import ModelPorts
from streaming_asr.triton.launch import TritonPlan, triton_command

from streamingstack_cli.layout import Layout

LOOPBACK = "127.0.0.1"
GATEWAY = "gateway"
# A part without a model to load; generous for a busy machine.
_PLAIN_STARTUP_SECONDS = 60
# What is said to sessions on Ctrl-C takes no longer.
_DRAIN_SECONDS = "2"


class Probe(StrEnum):
    """How readiness is asked."""

    HTTP = "http"
    GRPC = "grpc"


@dataclass(frozen=True)
class Readiness:
    """HTTP: a GET of `target` answers 200. gRPC: the health service at `target` says SERVING."""

    probe: Probe
    target: str


@dataclass(frozen=True)
class Process:
    """One process: `restarts` where its death is part of the design and mended by starting it again.

    `sweeps` where children of its own may outlive it, which are then killed.
    """

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    readiness: Readiness
    startup_seconds: int
    restarts: bool = False
    sweeps: bool = False


def local_processes(stack: StreamingStack, layout: Layout) -> list[Process]:
    """Every process of the stack, in the order of the data's way back: the gateway is last, and stopped first."""
    pairs = list(zip(stack.spec.models, layout.ports.models, strict=True))
    return [
        _license_proxy(layout),
        *(_triton(model, ports, layout) for model, ports in pairs),
        *(_recognizer(model, ports, layout) for model, ports in pairs),
        _balancer(layout),
        *_sync_api(stack, layout),
        _gateway(stack, layout),
    ]


def _license_proxy(layout: Layout) -> Process:
    port = layout.ports.license_proxy
    return _service(
        "license-proxy",
        "license_proxy",
        layout,
        {
            "HOST": LOOPBACK,
            "SERVER_PORT": str(port),
            "LICENSE_FILE_PATH": str(layout.license),
            "LICENSE_PUBLIC_KEYS_PATH": str(layout.public_keys),
            "STATE_DIR": str(layout.state.root / "license-proxy"),
        },
        Readiness(Probe.HTTP, f"http://{LOOPBACK}:{port}/health"),
    )


def _triton(model: Model, ports: ModelPorts, layout: Layout) -> Process:
    plan = TritonPlan(
        model_repository=layout.model_repository,
        state=layout.state.root / "triton" / model.name,
        http_port=ports.triton_http,
        grpc_port=ports.triton_grpc,
        metrics_port=ports.triton_metrics,
        host=LOOPBACK,
        environment={
            "WHISPER_MODEL_DIR": str(layout.models[model.name]),
            "WHISPER_LANGUAGES": ",".join(languages_of(model)),
            "SMART_TURN_MODEL": str(layout.hearing / "smart_turn.onnx"),
        },
    )
    command = triton_command(plan, layout.triton, layout.backends, _without_proxies(layout.inherited))
    return Process(
        name=f"triton-{model.name}",
        argv=command.argv,
        environment=command.environment,
        readiness=Readiness(Probe.HTTP, f"http://{LOOPBACK}:{ports.triton_http}/v2/health/ready"),
        startup_seconds=model.startup_seconds,
        restarts=True,
        # The process of a Python model waits for ever where Triton ends while it holds their lock.
        sweeps=True,
    )


def _recognizer(model: Model, ports: ModelPorts, layout: Layout) -> Process:
    replacing = any(family_of(name) == "universal-3" for name in model.speech_models)
    return _service(
        f"recognizer-{model.name}",
        "streaming_asr",
        layout,
        {
            "HOST": LOOPBACK,
            "ASR_PORT": str(ports.recognizer),
            "METRICS_PORT": str(ports.metrics),
            "ROUTE": model.name,
            "TRITON_URL": f"{LOOPBACK}:{ports.triton_grpc}",
            "VAD_MODEL": str(layout.hearing / "silero_vad.onnx"),
            "MAX_OPEN_STREAMS": str(model.streams.max_per_pod),
            "REPLACING": str(replacing).lower(),
            "LANGUAGES": ",".join(languages_of(model)),
            "DRAIN_SECONDS": _DRAIN_SECONDS,
        },
        Readiness(Probe.GRPC, f"{LOOPBACK}:{ports.recognizer}"),
        model.startup_seconds,
    )


def _balancer(layout: Layout) -> Process:
    ports = layout.ports
    return _service(
        "load-balancer",
        "load_balancer",
        layout,
        {
            "ROUTES_FILE": str(layout.state.routes),
            "LISTEN_HOST": LOOPBACK,
            "GRPC_PORT": str(ports.balancer),
            "HEALTH_PORT": str(ports.balancer_health),
            "DRAIN_SECONDS": _DRAIN_SECONDS,
        },
        Readiness(Probe.HTTP, f"http://{LOOPBACK}:{ports.balancer_health}/nginx_health"),
    )


def _gateway(stack: StreamingStack, layout: Layout) -> Process:
    ports, gateway = layout.ports, stack.spec.gateway
    optional = {}
    if gateway.auth.mode == "Keys":
        optional["API_KEYS_FILE"] = str(layout.state.api_key_hashes)
    if gateway.auth.single_use_tokens:
        optional["SINGLE_USE_TOKENS"] = "true"
    if gateway.default_speech_model:
        optional["DEFAULT_SPEECH_MODEL"] = gateway.default_speech_model
    if layout.tls:
        optional |= {"TLS_CERT_FILE": str(layout.tls.certificate), "TLS_KEY_FILE": str(layout.tls.key)}
    scheme = "https" if layout.tls else "http"
    return _service(
        GATEWAY,
        "streaming_gateway",
        layout,
        {
            "HOST": layout.host,
            "AAI_WSS_PORT": str(ports.gateway),
            "METRICS_PORT": str(ports.gateway_metrics),
            "AAI_ASR_ENDPOINT": f"{LOOPBACK}:{ports.balancer}",
            "AAI_LICENSE_AND_USAGE_PROXY_ENDPOINT": f"http://{LOOPBACK}:{ports.license_proxy}",
            "GATEWAY_MODELS": dump_models(gateway_models(stack)),
            "TOKEN_SECRET_FILE": str(layout.state.token_secret),
            "SPOOL_DIR": str(layout.state.root / "gateway" / "spool"),
            "MAX_SESSIONS": str(gateway.sessions.max_per_pod),
            "MAX_SESSION_SECONDS": str(gateway.max_session_seconds),
            "DRAIN_SECONDS": _DRAIN_SECONDS,
            **optional,
        },
        Readiness(Probe.HTTP, f"{scheme}://{reachable(layout.host)}:{ports.gateway}/readyz"),
    )


def _sync_api(stack: StreamingStack, layout: Layout) -> list[Process]:
    ports, gateway = layout.ports, stack.spec.gateway
    if ports.sync_api is None:
        return []
    optional = {}
    if gateway.auth.mode == "Keys":
        optional["API_KEYS_FILE"] = str(layout.state.api_key_hashes)
    if gateway.default_speech_model:
        optional["DEFAULT_SPEECH_MODEL"] = gateway.default_speech_model
    environment = {
        "HOST": layout.host,
        "HTTP_PORT": str(ports.sync_api),
        "METRICS_PORT": str(ports.sync_api_metrics),
        "AAI_ASR_ENDPOINT": f"{LOOPBACK}:{ports.balancer}",
        "AAI_LICENSE_AND_USAGE_PROXY_ENDPOINT": f"http://{LOOPBACK}:{ports.license_proxy}",
        "GATEWAY_MODELS": dump_models(gateway_models(stack)),
        "SPOOL_DIR": str(layout.state.root / "sync-api" / "spool"),
        "LINGER_SECONDS": "0",
        "DRAIN_SECONDS": _DRAIN_SECONDS,
        **optional,
    }
    # Ready once a recogniser is: it starts no sooner than the slowest model.
    slowest = max(model.startup_seconds for model in stack.spec.models)
    readiness = Readiness(Probe.HTTP, f"http://{reachable(layout.host)}:{ports.sync_api}/readyz")
    return [_service("sync-api", "streaming_sync_api", layout, environment, readiness, slowest)]


def _service(
    name: str,
    module: str,
    layout: Layout,
    environment: Mapping[str, str],
    readiness: Readiness,
    startup_seconds: int = _PLAIN_STARTUP_SECONDS,
) -> Process:
    return Process(
        name=name,
        argv=(layout.python, "-m", module),
        environment={**_without_proxies(layout.inherited), **environment},
        readiness=readiness,
        startup_seconds=startup_seconds,
    )


def reachable(host: str) -> str:
    """An address under which a server on `host` is reached from this machine."""
    return LOOPBACK if host in ("0.0.0.0", "::", "") else host


def _without_proxies(inherited: Mapping[str, str]) -> dict[str, str]:
    """The environment, with loopback kept away from HTTP proxies, which gRPC honours too."""
    direct = ",".join(filter(None, [inherited.get("NO_PROXY") or inherited.get("no_proxy"), LOOPBACK, "localhost"]))
    return {**inherited, "NO_PROXY": direct, "no_proxy": direct}


def child_file(process: Process, layout: Layout) -> dict[str, object]:
    """What `child.py` reads to become `process`; of its environment only what differs from the inherited one."""
    inherited = layout.inherited
    return {
        "argv": list(process.argv),
        "environment": {name: value for name, value in process.environment.items() if inherited.get(name) != value},
        "directory": str(layout.state.root),
        "sweeps": process.sweeps,
    }


def child_path(name: str, layout: Layout) -> Path:
    """Where that lies."""
    return layout.state.run / f"{name}.json"
