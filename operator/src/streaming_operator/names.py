"""Every name, label, annotation and port that the operator gives: derived here and nowhere else. Pure."""

GROUP = "streamingstack.dev"
FIELD_MANAGER = "streaming-operator"

# Labels. Selectors hold exactly NAME, INSTANCE, COMPONENT and, for a pool, POOL: never anything of a user's.
NAME = "app.kubernetes.io/name"
INSTANCE = "app.kubernetes.io/instance"
COMPONENT = "app.kubernetes.io/component"
PART_OF = "app.kubernetes.io/part-of"
MANAGED_BY = "app.kubernetes.io/managed-by"
POOL = f"{GROUP}/pool"
STACK = f"{GROUP}/stack"
APP = "streaming-stack"

# The registration of the metrics adapter, and who keeps it.
METRICS_API = "v1beta2.custom.metrics.k8s.io"
METRICS_ADAPTER = "streaming-metrics-adapter"

CONFIG_HASH = f"{GROUP}/config-hash"

# What the autoscaler asks for, per pod: active + refused in the last minute + the share of the headroom.
GATEWAY_LOAD = "streaming_gateway_sessions_wanted"
ASR_LOAD = "streaming_asr_streams_wanted"

# Names of container ports that others refer to.
HTTP = "http"
GRPC = "grpc"
METRICS = "metrics"
TRITON_METRICS = "triton-metrics"
# Key of a Secret with API keys: lines of sha256 and name.
API_KEYS_FILE = "keys"
# Key of the Secret that temporary tokens are signed with.
TOKEN_SECRET_FILE = "token-secret"  # noqa: S105 - a name
# On a pool's Deployment: the model as JSON, so that a pool whose model left the spec can still be built.
MODEL = f"{GROUP}/model"

# Ports inside pods.
GATEWAY_PORT = 8080
METRICS_PORT = 9090
LICENSE_PROXY_PORT = 8080
GRPC_PORT = 50051
BALANCER_HEALTH_PORT = 8080
MODEL_STORE_PORT = 8080
SYNC_API_PORT = 8080
TRITON_HTTP_PORT = 8000
TRITON_GRPC_PORT = 8001
TRITON_METRICS_PORT = 8002

# Components, the values of COMPONENT.
GATEWAY = "gateway"
LICENSE_PROXY = "license-proxy"
LOAD_BALANCER = "asr-lb"
ASR = "asr"
MODEL_STORE = "model-store"
SYNC_API = "sync-api"


def gateway(stack: str) -> str:
    """Deployment, Service, HPA, PDB of the gateway."""
    return f"{stack}-gateway"


def license_proxy(stack: str) -> str:
    """StatefulSet and Services of the licence proxy."""
    return f"{stack}-license-proxy"


def load_balancer(stack: str) -> str:
    """Deployment and Service of nginx; not below `-asr-`, where a model may have any name."""
    return f"{stack}-lb"


def license_proxy_pods(stack: str) -> str:
    """Headless Service that gives every licence proxy a name of its own."""
    return f"{stack}-license-proxy-pods"


def pool(stack: str, model: str) -> str:
    """Deployment, headless Service, HPA, PDB of one model's recognisers."""
    return f"{stack}-asr-{model}"


def model_store(stack: str) -> str:
    """Deployment, Service and claim of the model store."""
    return f"{stack}-model-store"


def sync_api(stack: str) -> str:
    """Deployment, Service and PDB of the sync API."""
    return f"{stack}-sync-api"


def routes(stack: str) -> str:
    """ConfigMap with the load balancer's routes."""
    return f"{stack}-lb-routes"


def models(stack: str) -> str:
    """ConfigMap with the models that the gateway lists."""
    return f"{stack}-gateway-models"


def api_keys(stack: str) -> str:
    """Secret with the hashes of the API keys that pods mount, where the stack names none."""
    return f"{stack}-api-keys"


def first_key(stack: str) -> str:
    """Secret with the first API key in clear; no pod mounts it."""
    return f"{stack}-first-key"


def token_secret(stack: str) -> str:
    """Secret that the gateways sign temporary tokens with: made once, and read by them alone."""
    return f"{stack}-token-secret"


def default_deny(stack: str) -> str:
    """NetworkPolicy that every pod of the stack falls under."""
    return f"{stack}-default-deny"


def monitor(stack: str) -> str:
    """PodMonitor over all pods of the stack."""
    return stack


def stack_selector(stack: str) -> dict[str, str]:
    """What finds all pods of one stack and no other's."""
    return {NAME: APP, INSTANCE: stack}


def selector(stack: str, component: str, model: str | None = None) -> dict[str, str]:
    """What finds the pods of one component, or of one pool of recognisers."""
    found = {NAME: APP, INSTANCE: stack, COMPONENT: component}
    return found if model is None else {**found, POOL: model}


def labels(stack: str, component: str, model: str | None = None) -> dict[str, str]:
    """Labels of a child: its selector, whose it is, and who manages it."""
    return {**selector(stack, component, model), STACK: stack, MANAGED_BY: FIELD_MANAGER}


def pod_url(address: str, port: int, path: str) -> str:
    """Where a pod answers; `address` is its IP, of either version."""
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{port}{path}"
