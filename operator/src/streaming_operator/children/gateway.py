"""The WebSocket gateway. Its pods live as long as their sessions: up to hours after they were told to end. Pure."""

from lightkube.models.apps_v1 import DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment
from lightkube.models.core_v1 import Container, ObjectFieldSelector, ServicePort, ServiceSpec
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import Service
from stack_model.api import Resources, StreamingStack

from streaming_operator import names
from streaming_operator.children import config
from streaming_operator.children.child import Child
from streaming_operator.children.containers import (
    PRE_STOP_SECONDS,
    EnvironmentValue,
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
from streaming_operator.children.exposure import service_annotations
from streaming_operator.children.images import image_of
from streaming_operator.children.pod import Pod, meta, pod_template, selector, variables
from streaming_operator.children.shares import parse_amount
from streaming_operator.facts import Inputs

# Beyond the longest session: the news that the pod leaves, goodbyes, the last usage.
DRAIN_MARGIN_SECONDS = 120
# Node autoscalers would end a pod after minutes, whatever its grace period is.
KEEP_ANNOTATIONS = {
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    "karpenter.sh/do-not-disrupt": "true",
}
_MODELS = "/etc/streaming-stack/models"
_KEYS = "/etc/streaming-stack/keys"
_TOKENS = "/etc/streaming-stack/tokens"
_SPOOL = "/var/spool/streaming-stack"
# After the last session, until the kill: the last usage is delivered.
_LAST_WORDS_SECONDS = 30


def gateway(stack: StreamingStack, inputs: Inputs) -> list[Child]:
    """Deployment and Service."""
    return [Child(_service(stack)), _deployment(stack, inputs)]


def grace_seconds(stack: StreamingStack) -> int:
    """How long a pod may take to end: its longest session, and what comes around it."""
    return stack.spec.gateway.max_session_seconds + DRAIN_MARGIN_SECONDS


def _service(stack: StreamingStack) -> Service:
    name = names.gateway(stack.metadata.name)
    port = ServicePort(name=names.HTTP, port=names.GATEWAY_PORT, targetPort=names.HTTP, appProtocol="kubernetes.io/ws")
    return Service(
        metadata=meta(stack, name, names.GATEWAY, annotations=service_annotations(stack)),
        spec=ServiceSpec(selector=names.selector(stack.metadata.name, names.GATEWAY), ports=[port]),
    )


def _deployment(stack: StreamingStack, inputs: Inputs) -> Child:
    name = names.gateway(stack.metadata.name)
    spec = stack.spec.gateway
    found = Deployment(
        metadata=meta(stack, name, names.GATEWAY),
        spec=DeploymentSpec(
            selector=selector(stack, names.GATEWAY),
            # Never fewer than wanted: a session that ends comes back at once and must find a pod.
            strategy=DeploymentStrategy(rollingUpdate=RollingUpdateDeployment(maxSurge=1, maxUnavailable=0)),
            template=pod_template(stack, inputs, _pod(stack, inputs)),
        ),
    )
    return Child(found, replicas=spec.autoscaling.min_replicas)


def _pod(stack: StreamingStack, inputs: Inputs) -> Pod:
    name = stack.metadata.name
    file = names.TOKEN_SECRET_FILE
    volumes = [
        config_volume("models", names.models(name)),
        scratch("spool", size="1Gi"),
        secret_volume("tokens", names.token_secret(name), {file: file}),
    ]
    if stack.spec.gateway.auth.mode == "Keys":
        keys = stack.spec.gateway.auth.secret_name or names.api_keys(name)
        volumes.append(secret_volume("keys", keys, {config.API_KEYS_FILE: config.API_KEYS_FILE}))
    return Pod(
        component=names.GATEWAY,
        containers=(_container(stack, inputs),),
        overrides=stack.spec.gateway.pods,
        grace_seconds=grace_seconds(stack),
        volumes=tuple(volumes),
        annotations=KEEP_ANNOTATIONS,
    )


def _container(stack: StreamingStack, inputs: Inputs) -> Container:
    spec = stack.spec.gateway
    mounts = [mount("models", _MODELS), mount("spool", _SPOOL, read_only=False), mount("tokens", _TOKENS)]
    if spec.auth.mode == "Keys":
        mounts.append(mount("keys", _KEYS))
    return Container(
        name="gateway",
        image=image_of(stack, inputs, "gateway"),
        env=environment(_settings(stack, inputs), variables(spec.pods)),
        ports=ports(http=names.GATEWAY_PORT, metrics=names.METRICS_PORT),
        resources=requirements(spec.resources),
        startupProbe=startup_probe("/healthz", names.HTTP),
        readinessProbe=http_probe("/readyz", names.HTTP, period=5, failures=2),
        # While it drains the gateway still answers here: its sessions must not be killed.
        livenessProbe=http_probe("/healthz", names.HTTP, period=10, failures=6),
        lifecycle=sleep_before_stop(),
        volumeMounts=mounts,
    )


def _settings(stack: StreamingStack, inputs: Inputs) -> dict[str, EnvironmentValue | None]:
    name, spec = stack.metadata.name, stack.spec.gateway
    proxy = config.address(stack, inputs, names.license_proxy(name), names.LICENSE_PROXY_PORT)
    return {
        "AAI_WSS_PORT": str(names.GATEWAY_PORT),
        "METRICS_PORT": str(names.METRICS_PORT),
        "AAI_ASR_ENDPOINT": config.address(stack, inputs, names.load_balancer(name), names.GRPC_PORT),
        "AAI_LICENSE_AND_USAGE_PROXY_ENDPOINT": f"http://{proxy}",
        "LEASE_ENDPOINT": f"http://{config.first_proxy(stack, inputs)}",
        "GATEWAY_MODELS_FILE": f"{_MODELS}/{config.GATEWAY_MODELS_FILE}",
        "API_KEYS_FILE": f"{_KEYS}/{config.API_KEYS_FILE}" if spec.auth.mode == "Keys" else None,
        "TOKEN_SECRET_FILE": f"{_TOKENS}/{names.TOKEN_SECRET_FILE}",
        "SINGLE_USE_TOKENS": "true" if spec.auth.single_use_tokens else None,
        "SPOOL_DIR": _SPOOL,
        "BUDGET_BYTES": _budget_bytes(spec.resources),
        "MAX_SESSIONS": str(spec.sessions.max_per_pod),
        "MAX_SESSION_SECONDS": str(spec.max_session_seconds),
        "POD_UID": ObjectFieldSelector(fieldPath="metadata.uid"),
        "DRAIN_SECONDS": str(grace_seconds(stack) - PRE_STOP_SECONDS - _LAST_WORDS_SECONDS),
    }


def _budget_bytes(resources: Resources) -> str | None:
    """Half of the memory for audio that waits or may be sent again: beyond it the pod refuses, and is not killed."""
    memory = resources.limits.get("memory")
    return str(max(1, int(parse_amount(memory) / 2))) if memory else None
