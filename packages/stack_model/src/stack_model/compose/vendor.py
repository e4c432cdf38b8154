"""`images.flavour: Vendor` under Compose: AssemblyAI's images with their own environment names, beside our nginx. Pure.

Nothing is known of the user that they run as: they are not confined further than Docker does. Their health is asked
with the programs that the vendor's own health checks use, curl and grpc_health_probe. Models are part of the images.
"""

from stack_model.api import Model, StreamingStack
from stack_model.compose import variables
from stack_model.compose.pools import pool_image, recogniser_name, reserved_cards
from stack_model.compose.services import (
    CLIENTS,
    GATEWAY,
    GATEWAY_VARIABLES,
    INSIDE,
    LICENSE_PROXY,
    LOAD_BALANCER,
    OUTSIDE,
    Node,
    Part,
    command_health,
    deployed,
    environment,
    gateway_ports,
    healthy,
    image,
    limits,
    with_way_out,
)

_RESTART = "unless-stopped"
_LICENSE = "/run/secrets/license.jwt"


def vendor_gateway(stack: StreamingStack) -> Part:
    """The vendor's streaming-api."""
    spec = stack.spec.gateway
    reference, used = image(stack.spec.images, "gateway")
    settings = {
        "AAI_WSS_PORT": "8080",
        "AAI_LOG_LEVEL": "INFO",
        "AAI_USE_STRUCTURED_LOGGING": "True",
        "AAI_ASR_ENDPOINT": f"{LOAD_BALANCER}:50051",
        "AAI_USE_SECURE_CHANNEL_TO_ASR_SERVICE": "False",
        "AAI_LICENSE_AND_USAGE_PROXY_ENDPOINT": f"http://{LICENSE_PROXY}:8080",
    }
    service: Node = {
        "image": reference,
        "environment": environment(settings, spec.pods.env),
        "ports": gateway_ports()[:1],
        "healthcheck": command_health(["curl", "-fsS", "http://127.0.0.1:8080/v3/ws/health"]),
        "networks": [INSIDE, CLIENTS],
        # The proxy's image may lack curl: nothing waits for its health.
        "depends_on": {**healthy(LOAD_BALANCER), LICENSE_PROXY: {"condition": "service_started"}},
        "stop_grace_period": f"{spec.max_session_seconds}s",
        "restart": _RESTART,
        **deployed(limits(spec.resources.limits)),
    }
    return Part(GATEWAY, service, (*used, *GATEWAY_VARIABLES))


def vendor_license_proxy(stack: StreamingStack) -> Part:
    """The vendor's license-and-usage-proxy."""
    spec = stack.spec.license_proxy
    reference, used = image(stack.spec.images, "license_proxy")
    settings = {
        "HTTP_PORT": "8080",
        "LOGGING_LEVEL": "INFO",
        "USE_STRUCTURED_LOGGING": "True",
        "LICENSE_FILE_PATH": _LICENSE,
    }
    service: Node = {
        "image": reference,
        "environment": {**environment(settings, spec.pods.env), variables.USAGE_KEY.name: None},
        "ports": [f"127.0.0.1:{variables.LICENSE_PROXY_PORT}:8080"],
        "networks": [INSIDE, OUTSIDE],
        "secrets": ["license.jwt"],
        "healthcheck": command_health(["curl", "-fsS", "http://127.0.0.1:8080/health"]),
        "restart": _RESTART,
        **deployed(limits(spec.resources.limits)),
    }
    part = Part(
        LICENSE_PROXY,
        service,
        (*used, variables.LICENSE_PROXY_PORT, variables.USAGE_KEY),
        secrets={"license.jwt": variables.LICENSE_FILE},
    )
    return with_way_out(stack, part)


def vendor_recogniser(stack: StreamingStack, model: Model, first_card: int) -> Part:
    """The vendor's streaming-asr-*: recogniser and engine in one. Raises ComposeError."""
    reference, used = pool_image(stack, model)
    reservation, cards = reserved_cards(model, first_card)
    settings = {
        "SERVER_PORT": "50051",
        "LOGGING_LEVEL": "INFO",
        "USE_STRUCTURED_LOGGING": "True",
        "MAX_OPEN_STREAMS": str(model.streams.max_per_pod),
    }
    service: Node = {
        "image": reference,
        "environment": environment(settings, model.pods.env),
        "networks": [INSIDE],
        "shm_size": "1g",
        "healthcheck": command_health(["grpc_health_probe", "-addr=127.0.0.1:50051"], model.startup_seconds),
        "restart": _RESTART,
        **deployed(limits(model.wanted_resources.limits), reservation),
    }
    return Part(recogniser_name(model), service, (*used, *cards))
