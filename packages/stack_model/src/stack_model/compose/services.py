"""Services of a Compose file: what all have in common, and our parts one by one. Pure.

Ports inside the containers are those of the pods. The networks stand for the network policies: `inside` has no way out,
`clients` lets clients in and gives nobody an address outside, `outside` is for the licence proxy and the model store.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from stack_model.api import Images, StreamingStack
from stack_model.catalogue import dump_models, gateway_models
from stack_model.compose import variables
from stack_model.compose.amounts import bytes_of, cpus_of
from stack_model.compose.variables import Variable
from stack_model.release import IMAGE_NAMES, REGISTRY

GATEWAY, LICENSE_PROXY, LOAD_BALANCER, MODEL_STORE = (
    "streaming-api",
    "license-and-usage-proxy",
    "streaming-asr-lb",
    "model-store",
)
INSIDE, CLIENTS, OUTSIDE = "inside", "clients", "outside"
SPOOL, STATE, STORE = "/var/spool/streaming-stack", "/state", "/var/lib/model-store"
ROUTES_FILE = "/etc/streaming-stack/routes.yaml"
_SECRETS = "/run/secrets"
_CA = "/etc/streaming-stack/ca.crt"
# Beyond the drain that `.env` asks for: nobody is killed while it still says goodbye.
_GRACE_MARGIN_SECONDS = 120

Node = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """One service, with what it needs beside itself."""

    name: str
    service: Node
    variables: tuple[Variable, ...] = ()
    volumes: Mapping[str, Node | None] = field(default_factory=dict)
    secrets: Mapping[str, Variable] = field(default_factory=dict)
    configs: Mapping[str, Node] = field(default_factory=dict)


def plain(text: str) -> str:
    """Text that Compose takes as it is."""
    return text.replace("$", "$$")


def image(images: Images, part: str) -> tuple[str, tuple[Variable, ...]]:
    """Reference of one of our images, with the variables in it."""
    override: str | None = getattr(images.overrides, part)
    if override is not None:
        return override, ()
    registry = Variable("STREAMINGSTACK_REGISTRY", "Registry and folder of the images.", images.registry or REGISTRY)
    return f"{registry}/{IMAGE_NAMES[part]}:{variables.TAG}", (registry, variables.TAG)


def environment(values: Mapping[str, str | None], overrides: Iterable[Any] = ()) -> dict[str, str]:
    """Ours, and the stack's own on top; what is None is left out."""
    ours = {name: value for name, value in values.items() if value is not None}
    return {**ours, **{entry.name: plain(entry.value) for entry in overrides}}


def confined(service: Node) -> Node:
    """What our images bear: a read-only root, no capabilities, a /tmp of its own."""
    return {
        **service,
        "read_only": True,
        "tmpfs": ["/tmp"],  # noqa: S108 - the container's own
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "restart": service.get("restart", "unless-stopped"),
    }


def limits(amounts: Mapping[str, str]) -> Node:
    """`deploy` with the limits of a container."""
    found = {"cpus": cpus_of(amounts["cpu"])} if "cpu" in amounts else {}
    if "memory" in amounts:
        found["memory"] = bytes_of(amounts["memory"])
    return {"resources": {"limits": found}} if found else {}


def http_health(port: int, path: str, start_seconds: int = 60) -> Node:
    """Healthy while a GET answers 200; asked with what every image of ours has."""
    return _health(f"import urllib.request as r; r.urlopen('http://127.0.0.1:{port}{path}', timeout=4)", start_seconds)


def grpc_health(port: int, start_seconds: int = 60) -> Node:
    """Healthy while the standard gRPC health service says SERVING."""
    return _health(
        "import grpc, sys; from grpc_health.v1 import health_pb2 as p, health_pb2_grpc as g; "
        f"answer = g.HealthStub(grpc.insecure_channel('127.0.0.1:{port}')).Check(p.HealthCheckRequest(), timeout=4); "
        "sys.exit(answer.status != p.HealthCheckResponse.SERVING)",
        start_seconds,
    )


def _health(program: str, start_seconds: int) -> Node:
    return command_health(["python", "-c", program], start_seconds)


def command_health(command: list[str], start_seconds: int = 60) -> Node:
    """Healthy while a command of the image ends with 0."""
    return {
        "test": ["CMD", *command],
        "interval": "5s",
        "timeout": "5s",
        "retries": 3,
        "start_period": f"{start_seconds}s",
    }


def healthy(*services: str) -> Node:
    """`depends_on`: start when these are healthy."""
    return {name: {"condition": "service_healthy"} for name in services}


def gateway(stack: StreamingStack) -> Part:
    """The part that clients reach; recordings go to the sync API."""
    spec = stack.spec.gateway
    reference, used = image(stack.spec.images, "gateway")
    secrets = {"token-secret": variables.TOKEN_SECRET_FILE}
    if spec.auth.mode == "Keys":
        secrets["api-keys"] = variables.API_KEYS_FILE
    service = {
        "image": reference,
        "environment": environment(_gateway_settings(stack), spec.pods.env),
        "ports": gateway_ports(),
        "networks": [INSIDE, CLIENTS],
        "volumes": [f"spool:{SPOOL}"],
        "secrets": list(secrets),
        "healthcheck": http_health(8080, "/readyz"),
        "depends_on": healthy(LICENSE_PROXY, LOAD_BALANCER),
        "stop_grace_period": f"{spec.max_session_seconds + _GRACE_MARGIN_SECONDS}s",
        **deployed(limits(spec.resources.limits)),
    }
    return Part(
        GATEWAY,
        confined(service),
        (*used, *GATEWAY_VARIABLES, variables.GATEWAY_METRICS_PORT, variables.GATEWAY_DRAIN_SECONDS),
        volumes={"spool": None},
        secrets=secrets,
    )


def _gateway_settings(stack: StreamingStack) -> dict[str, str | None]:
    spec = stack.spec.gateway
    return {
        "AAI_WSS_PORT": "8080",
        "METRICS_PORT": "9090",
        "AAI_ASR_ENDPOINT": f"{LOAD_BALANCER}:50051",
        "AAI_LICENSE_AND_USAGE_PROXY_ENDPOINT": f"http://{LICENSE_PROXY}:8080",
        "GATEWAY_MODELS": plain(dump_models(gateway_models(stack))),
        "DEFAULT_SPEECH_MODEL": plain(spec.default_speech_model) if spec.default_speech_model else None,
        "API_KEYS_FILE": f"{_SECRETS}/api-keys" if spec.auth.mode == "Keys" else None,
        "TOKEN_SECRET_FILE": f"{_SECRETS}/token-secret",
        "SINGLE_USE_TOKENS": "true" if spec.auth.single_use_tokens else None,
        "SPOOL_DIR": SPOOL,
        "MAX_SESSIONS": str(spec.sessions.max_per_pod),
        "MAX_SESSION_SECONDS": str(spec.max_session_seconds),
        "DRAIN_SECONDS": str(variables.GATEWAY_DRAIN_SECONDS),
    }


GATEWAY_VARIABLES = (variables.GATEWAY_ADDRESS, variables.GATEWAY_PORT)


def gateway_ports() -> list[str]:
    """WebSocket for clients, metrics on loopback."""
    return [
        f"{variables.GATEWAY_ADDRESS}:{variables.GATEWAY_PORT}:8080",
        f"127.0.0.1:{variables.GATEWAY_METRICS_PORT}:9090",
    ]


def deployed(*parts: Node) -> Node:
    """`deploy` of these parts together; nothing where they say nothing."""
    resources = {name: node for part in parts for name, node in part.get("resources", {}).items()}
    return {"deploy": {"resources": resources}} if resources else {}


def license_proxy(stack: StreamingStack) -> Part:
    """Licence and usage; the only part beside the model store with a way out."""
    spec = stack.spec.license_proxy
    reference, used = image(stack.spec.images, "license_proxy")
    settings = {
        "SERVER_PORT": "8080",
        "LICENSE_FILE_PATH": f"{_SECRETS}/license.jwt",
        "LICENSE_PUBLIC_KEYS_PATH": f"{_SECRETS}/public-keys.json",
        "STATE_DIR": STATE,
        "LICENSE_CHECK_IN_ENDPOINT": plain(spec.check_in_endpoint) if spec.check_in_endpoint else None,
        "USAGE_TRACKER_ENDPOINT": plain(spec.usage.endpoint) if spec.usage.endpoint else None,
    }
    keys = (variables.USAGE_KEY,) if spec.usage.api_key_secret_name else ()
    service = {
        "image": reference,
        "environment": {**environment(settings, spec.pods.env), **dict.fromkeys((key.name for key in keys), None)},
        "ports": [f"127.0.0.1:{variables.LICENSE_PROXY_PORT}:8080"],
        "networks": [INSIDE, OUTSIDE],
        "volumes": [f"license-proxy:{STATE}"],
        "secrets": ["license.jwt", "public-keys.json"],
        "healthcheck": http_health(8080, "/health"),
        **deployed(limits(spec.resources.limits)),
    }
    part = Part(
        LICENSE_PROXY,
        confined(service),
        (*used, variables.LICENSE_PROXY_PORT, *keys),
        volumes={"license-proxy": None},
        secrets={"license.jwt": variables.LICENSE_FILE, "public-keys.json": variables.LICENSE_KEYS_FILE},
    )
    return with_way_out(stack, part)


def load_balancer(stack: StreamingStack, routes: str) -> Part:
    """nginx; `routes` is the text of its routes file."""
    spec = stack.spec.load_balancer
    reference, used = image(stack.spec.images, "load_balancer")
    settings = {
        "ROUTES_FILE": ROUTES_FILE,
        "GRPC_PORT": "50051",
        "HEALTH_PORT": "8080",
        "NGINX_DIALECT": "resolve",
        "DRAIN_SECONDS": str(variables.GATEWAY_DRAIN_SECONDS),
    }
    service = {
        "image": reference,
        "environment": environment(settings, spec.pods.env),
        "networks": [INSIDE],
        "configs": [{"source": "routes", "target": ROUTES_FILE}],
        "healthcheck": http_health(8080, "/nginx_health"),
        "stop_grace_period": f"{stack.spec.gateway.max_session_seconds + _GRACE_MARGIN_SECONDS}s",
        **deployed(limits(spec.resources.limits)),
    }
    return Part(
        LOAD_BALANCER,
        confined(service),
        (*used, variables.GATEWAY_DRAIN_SECONDS),
        configs={"routes": {"content": plain(routes)}},
    )


def with_way_out(stack: StreamingStack, part: Part) -> Part:
    """The part with the stack's HTTP proxy and certificates."""
    isolation = stack.spec.network_isolation
    proxied = plain(isolation.proxy_url) if isolation.proxy_url else None
    trusted = isolation.ca_bundle_config_map is not None
    settings = {
        "HTTP_PROXY": proxied,
        "HTTPS_PROXY": proxied,
        "NO_PROXY": f"localhost,127.0.0.1,{MODEL_STORE},{LICENSE_PROXY}" if proxied else None,
        "EXTRA_CA_FILE": _CA if trusted else None,
    }
    service = {**part.service, "environment": {**environment(settings), **part.service["environment"]}}
    if not trusted:
        return replace(part, service=service)
    service["configs"] = [*service.get("configs", []), {"source": "ca", "target": _CA}]
    return replace(
        part,
        service=service,
        variables=(*part.variables, variables.CA_FILE),
        configs={**part.configs, "ca": {"file": str(variables.CA_FILE)}},
    )
