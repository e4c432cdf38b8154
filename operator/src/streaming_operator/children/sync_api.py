"""The sync API: whole recordings over HTTP, on the gateway's list of models and its keys. Pure."""

from lightkube.models.apps_v1 import DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment
from lightkube.models.core_v1 import Container, ServicePort, ServiceSpec
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import Service
from stack_model.api import StreamingStack

from streaming_operator import names
from streaming_operator.children import config
from streaming_operator.children.child import Child
from streaming_operator.children.containers import (
    PRE_STOP_SECONDS,
    config_volume,
    environment,
    http_probe,
    mount,
    ports,
    requirements,
    scratch,
    secret_volume,
    sleep_before_stop,
    startup_probe,
)
from streaming_operator.children.images import image_of
from streaming_operator.children.pod import Pod, meta, pod_template, selector, variables
from streaming_operator.facts import Inputs

# The longest upload, and what is heard of it then.
_DRAIN_SECONDS = 360
_LAST_WORDS_SECONDS = 30
_MODELS = "/etc/streaming-stack/models"
_KEYS = "/etc/streaming-stack/keys"
_SPOOL = "/var/spool/streaming-stack"


def sync_api(stack: StreamingStack, inputs: Inputs) -> list[Child]:
    """Deployment and Service, where it is wanted."""
    if not stack.spec.sync_api.enabled:
        return []
    return [Child(_service(stack)), Child(_deployment(stack, inputs))]


def _service(stack: StreamingStack) -> Service:
    port = ServicePort(name=names.HTTP, port=names.SYNC_API_PORT, targetPort=names.HTTP, appProtocol="http")
    return Service(
        metadata=meta(stack, names.sync_api(stack.metadata.name), names.SYNC_API),
        spec=ServiceSpec(selector=names.selector(stack.metadata.name, names.SYNC_API), ports=[port]),
    )


def _deployment(stack: StreamingStack, inputs: Inputs) -> Deployment:
    return Deployment(
        metadata=meta(stack, names.sync_api(stack.metadata.name), names.SYNC_API),
        spec=DeploymentSpec(
            replicas=stack.spec.sync_api.replicas,
            selector=selector(stack, names.SYNC_API),
            strategy=DeploymentStrategy(rollingUpdate=RollingUpdateDeployment(maxSurge=1, maxUnavailable=0)),
            template=pod_template(stack, inputs, _pod(stack, inputs)),
        ),
    )


def _keyed(stack: StreamingStack) -> bool:
    return stack.spec.gateway.auth.mode == "Keys"


def _pod(stack: StreamingStack, inputs: Inputs) -> Pod:
    name = stack.metadata.name
    volumes = [config_volume("models", names.models(name)), scratch("spool", size="1Gi")]
    if _keyed(stack):
        keys = stack.spec.gateway.auth.secret_name or names.api_keys(name)
        volumes.append(secret_volume("keys", keys, {config.API_KEYS_FILE: config.API_KEYS_FILE}))
    return Pod(
        component=names.SYNC_API,
        containers=(_container(stack, inputs),),
        overrides=stack.spec.gateway.pods,
        grace_seconds=PRE_STOP_SECONDS + _DRAIN_SECONDS + _LAST_WORDS_SECONDS,
        volumes=tuple(volumes),
    )


def _container(stack: StreamingStack, inputs: Inputs) -> Container:
    mounts = [mount("models", _MODELS), mount("spool", _SPOOL, read_only=False)]
    if _keyed(stack):
        mounts.append(mount("keys", _KEYS))
    return Container(
        name="sync-api",
        image=image_of(stack, inputs, "sync_api"),
        env=environment(_settings(stack, inputs), variables(stack.spec.gateway.pods)),
        ports=ports(http=names.SYNC_API_PORT, metrics=names.METRICS_PORT),
        resources=requirements(stack.spec.sync_api.resources),
        startupProbe=startup_probe("/healthz", names.HTTP),
        readinessProbe=http_probe("/readyz", names.HTTP, period=5, failures=2),
        livenessProbe=http_probe("/healthz", names.HTTP, failures=6),
        lifecycle=sleep_before_stop(),
        volumeMounts=mounts,
    )


def _settings(stack: StreamingStack, inputs: Inputs) -> dict[str, str | None]:
    name = stack.metadata.name
    proxy = config.address(stack, inputs, names.license_proxy(name), names.LICENSE_PROXY_PORT)
    return {
        "HTTP_PORT": str(names.SYNC_API_PORT),
        "METRICS_PORT": str(names.METRICS_PORT),
        "AAI_ASR_ENDPOINT": config.address(stack, inputs, names.load_balancer(name), names.GRPC_PORT),
        "AAI_LICENSE_AND_USAGE_PROXY_ENDPOINT": f"http://{proxy}",
        "LEASE_ENDPOINT": f"http://{config.first_proxy(stack, inputs)}",
        "GATEWAY_MODELS_FILE": f"{_MODELS}/{config.GATEWAY_MODELS_FILE}",
        "API_KEYS_FILE": f"{_KEYS}/{config.API_KEYS_FILE}" if _keyed(stack) else None,
        "SPOOL_DIR": _SPOOL,
        # The pod goes on as before while the news travels that it leaves, and only then is told.
        "LINGER_SECONDS": "0",
        "DRAIN_SECONDS": str(_DRAIN_SECONDS),
    }
