"""The licence proxy: a pod with a volume for each ordinal, and the only way out for counts of usage. Pure."""

from lightkube.models.apps_v1 import (
    StatefulSetPersistentVolumeClaimRetentionPolicy,
    StatefulSetSpec,
)
from lightkube.models.core_v1 import (
    Container,
    PersistentVolumeClaim,
    SecretKeySelector,
    ServicePort,
    ServiceSpec,
    VolumeMount,
)
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import StatefulSet
from lightkube.resources.core_v1 import Service
from stack_model.api import StreamingStack

from streaming_operator import names
from streaming_operator.children.child import Child
from streaming_operator.children.claims import claim_spec
from streaming_operator.children.containers import (
    EnvironmentValue,
    config_volume,
    environment,
    http_probe,
    mount,
    ports,
    requirements,
    secret_volume,
    sleep_before_stop,
    startup_probe,
)
from streaming_operator.children.images import image_of
from streaming_operator.children.outside import CA_MOUNT, ca_volume, read_at_start, way_out
from streaming_operator.children.pod import Pod, meta, pod_template, selector, variables
from streaming_operator.facts import Inputs

# Sleep, then whatever is being written: gateways keep what was not acknowledged.
_GRACE_SECONDS = 45
_USAGE_KEY = "api-key"
_LICENSE = "/etc/streaming-stack/license"
_KEYS = "/etc/streaming-stack/license-keys"
_STATE = "/var/lib/streaming-stack"


def license_proxy(stack: StreamingStack, inputs: Inputs) -> list[Child]:
    """StatefulSet, a Service for gateways, and a headless one that names each pod."""
    return [Child(_service(stack)), Child(_pods_service(stack)), Child(_stateful_set(stack, inputs))]


def _service(stack: StreamingStack) -> Service:
    port = ServicePort(name=names.HTTP, port=names.LICENSE_PROXY_PORT, targetPort=names.HTTP)
    return Service(
        metadata=meta(stack, names.license_proxy(stack.metadata.name), names.LICENSE_PROXY),
        spec=ServiceSpec(selector=names.selector(stack.metadata.name, names.LICENSE_PROXY), ports=[port]),
    )


def _pods_service(stack: StreamingStack) -> Service:
    port = ServicePort(name=names.HTTP, port=names.LICENSE_PROXY_PORT, targetPort=names.HTTP)
    return Service(
        metadata=meta(stack, names.license_proxy_pods(stack.metadata.name), names.LICENSE_PROXY),
        spec=ServiceSpec(
            clusterIP="None",
            # Asked one by one for their state, also while they start.
            publishNotReadyAddresses=True,
            selector=names.selector(stack.metadata.name, names.LICENSE_PROXY),
            ports=[port],
        ),
    )


def _stateful_set(stack: StreamingStack, inputs: Inputs) -> StatefulSet:
    name = stack.metadata.name
    storage = stack.spec.license_proxy.storage
    claim = PersistentVolumeClaim(
        # It can never be changed, so it has nothing that a later version might want otherwise.
        metadata=ObjectMeta(name="state", labels=names.selector(name, names.LICENSE_PROXY)),
        spec=claim_spec(storage, "ReadWriteOnce"),
    )
    return StatefulSet(
        metadata=meta(stack, names.license_proxy(name), names.LICENSE_PROXY),
        spec=StatefulSetSpec(
            # An ordinal with undelivered usage stays until that is delivered.
            replicas=max(stack.spec.license_proxy.replicas, inputs.undelivered_proxies),
            serviceName=names.license_proxy_pods(name),
            selector=selector(stack, names.LICENSE_PROXY),
            podManagementPolicy="Parallel",
            # What is not delivered yet must outlive the pod, the size and the stack.
            persistentVolumeClaimRetentionPolicy=StatefulSetPersistentVolumeClaimRetentionPolicy(
                whenDeleted="Retain", whenScaled="Retain"
            ),
            template=pod_template(stack, inputs, _pod(stack, inputs)),
            volumeClaimTemplates=[claim],
        ),
    )


def _pod(stack: StreamingStack, inputs: Inputs) -> Pod:
    license_ = stack.spec.license
    usage_key = stack.spec.license_proxy.usage.api_key_secret_name
    return Pod(
        component=names.LICENSE_PROXY,
        containers=(_container(stack, inputs),),
        overrides=stack.spec.license_proxy.pods,
        grace_seconds=_GRACE_SECONDS,
        volumes=(
            secret_volume("license", license_.secret_name, {license_.key: "license.jwt"}),
            config_volume(
                "license-keys", license_.public_keys_config_map, {license_.public_keys_key: "public-keys.json"}
            ),
            *ca_volume(stack),
        ),
        starts_with=(*read_at_start(stack), *([f"Secret/{usage_key}"] if usage_key else [])),
        keeps_disk=True,
        hash_key=None,
    )


def _container(stack: StreamingStack, inputs: Inputs) -> Container:
    spec = stack.spec.license_proxy
    mounts: list[VolumeMount] = [
        mount("license", _LICENSE),
        mount("license-keys", _KEYS),
        mount("state", _STATE, read_only=False),
        *([CA_MOUNT] if ca_volume(stack) else []),
    ]
    return Container(
        name="license-proxy",
        image=image_of(stack, inputs, "license_proxy"),
        env=environment({**_settings(stack), **way_out(stack, inputs)}, variables(spec.pods)),
        ports=ports(http=names.LICENSE_PROXY_PORT),
        resources=requirements(spec.resources),
        startupProbe=startup_probe("/health", names.HTTP),
        readinessProbe=http_probe("/health", names.HTTP, period=5, failures=2),
        livenessProbe=http_probe("/health", names.HTTP, failures=6),
        lifecycle=sleep_before_stop(),
        volumeMounts=mounts,
    )


def _settings(stack: StreamingStack) -> dict[str, EnvironmentValue | None]:
    spec = stack.spec.license_proxy
    key = spec.usage.api_key_secret_name
    return {
        "SERVER_PORT": str(names.LICENSE_PROXY_PORT),
        "LICENSE_FILE_PATH": f"{_LICENSE}/license.jwt",
        "LICENSE_PUBLIC_KEYS_PATH": f"{_KEYS}/public-keys.json",
        "STATE_DIR": _STATE,
        "LICENSE_CHECK_IN_ENDPOINT": spec.check_in_endpoint,
        "USAGE_TRACKER_ENDPOINT": spec.usage.endpoint,
        "USAGE_TRACKING_API_KEY": SecretKeySelector(name=key, key=_USAGE_KEY) if key else None,
    }
