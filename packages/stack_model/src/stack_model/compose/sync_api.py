"""The sync API as a service of a Compose file. Pure."""

from stack_model.api import StreamingStack
from stack_model.catalogue import dump_models, gateway_models
from stack_model.compose import variables
from stack_model.compose.services import (
    CLIENTS,
    INSIDE,
    LICENSE_PROXY,
    LOAD_BALANCER,
    SPOOL,
    Part,
    confined,
    deployed,
    environment,
    healthy,
    http_health,
    image,
    limits,
    plain,
)

SYNC_API = "sync-api"
_KEYS = "/run/secrets/api-keys"
# A recording that is being sent, and then heard.
_GRACE_SECONDS = 400


def sync_api(stack: StreamingStack) -> list[Part]:
    """The service, where it is wanted."""
    spec, gateway = stack.spec.sync_api, stack.spec.gateway
    if not spec.enabled:
        return []
    reference, used = image(stack.spec.images, "sync_api")
    keyed = gateway.auth.mode == "Keys"
    settings = {
        "HTTP_PORT": "8080",
        "METRICS_PORT": "9090",
        "AAI_ASR_ENDPOINT": f"{LOAD_BALANCER}:50051",
        "AAI_LICENSE_AND_USAGE_PROXY_ENDPOINT": f"http://{LICENSE_PROXY}:8080",
        "GATEWAY_MODELS": plain(dump_models(gateway_models(stack))),
        "DEFAULT_SPEECH_MODEL": plain(gateway.default_speech_model) if gateway.default_speech_model else None,
        "API_KEYS_FILE": _KEYS if keyed else None,
        "SPOOL_DIR": SPOOL,
    }
    service = {
        "image": reference,
        "environment": environment(settings, gateway.pods.env),
        "ports": [f"{variables.GATEWAY_ADDRESS}:{variables.SYNC_API_PORT}:8080"],
        "networks": [INSIDE, CLIENTS],
        "volumes": [f"sync-spool:{SPOOL}"],
        **({"secrets": ["api-keys"]} if keyed else {}),
        "healthcheck": http_health(8080, "/readyz", max(model.startup_seconds for model in stack.spec.models)),
        "depends_on": healthy(LICENSE_PROXY, LOAD_BALANCER),
        "stop_grace_period": f"{_GRACE_SECONDS}s",
        **deployed(limits(spec.resources.limits)),
    }
    part = Part(
        SYNC_API,
        confined(service),
        (*used, variables.GATEWAY_ADDRESS, variables.SYNC_API_PORT),
        volumes={"sync-spool": None},
        secrets={"api-keys": variables.API_KEYS_FILE} if keyed else {},
    )
    return [part]
