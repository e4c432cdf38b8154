"""The model store: one pod that fetches models, verifies them and serves them inside the namespace. Pure."""

from lightkube.models.apps_v1 import DeploymentSpec, DeploymentStrategy
from lightkube.models.core_v1 import (
    Container,
    EnvFromSource,
    PersistentVolumeClaimVolumeSource,
    SecretEnvSource,
    ServicePort,
    ServiceSpec,
    Volume,
)
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import PersistentVolumeClaim, Service
from stack_model.api import StreamingStack

from streaming_operator import names
from streaming_operator.children import config
from streaming_operator.children.child import Child
from streaming_operator.children.claims import claim_spec
from streaming_operator.children.containers import (
    config_volume,
    environment,
    http_probe,
    mount,
    ports,
    requirements,
    startup_probe,
)
from streaming_operator.children.images import image_of
from streaming_operator.children.outside import CA_MOUNT, ca_volume, read_at_start, way_out
from streaming_operator.children.pod import Pod, meta, pod_template, selector, variables
from streaming_operator.facts import Inputs

_GRACE_SECONDS = 30
_LIST = "/etc/streaming-stack/models"
_DATA = "/var/lib/streaming-stack"


def model_store(stack: StreamingStack, inputs: Inputs) -> list[Child]:
    """Claim, Service and Deployment; nothing where Kubernetes mounts every model itself."""
    if not config.stored(stack, inputs):
        return []
    return [Child(_claim(stack)), Child(_service(stack)), Child(_deployment(stack, inputs))]


def _claim(stack: StreamingStack) -> PersistentVolumeClaim:
    return PersistentVolumeClaim(
        metadata=meta(stack, names.model_store(stack.metadata.name), names.MODEL_STORE),
        spec=claim_spec(stack.spec.model_store.storage, "ReadWriteOnce"),
    )


def _service(stack: StreamingStack) -> Service:
    port = ServicePort(name=names.HTTP, port=names.MODEL_STORE_PORT, targetPort=names.HTTP)
    return Service(
        metadata=meta(stack, names.model_store(stack.metadata.name), names.MODEL_STORE),
        spec=ServiceSpec(selector=names.selector(stack.metadata.name, names.MODEL_STORE), ports=[port]),
    )


def _deployment(stack: StreamingStack, inputs: Inputs) -> Deployment:
    return Deployment(
        metadata=meta(stack, names.model_store(stack.metadata.name), names.MODEL_STORE),
        spec=DeploymentSpec(
            selector=selector(stack, names.MODEL_STORE),
            # Its volume is one node's at a time.
            strategy=DeploymentStrategy(type="Recreate"),
            template=pod_template(stack, inputs, _pod(stack, inputs)),
        ),
    )


def _pod(stack: StreamingStack, inputs: Inputs) -> Pod:
    claim = names.model_store(stack.metadata.name)
    credentials = stack.spec.model_store.credentials_secret_name
    return Pod(
        component=names.MODEL_STORE,
        containers=(_container(stack, inputs),),
        overrides=stack.spec.model_store.pods,
        grace_seconds=_GRACE_SECONDS,
        volumes=(
            config_volume("list", claim),
            Volume(name="data", persistentVolumeClaim=PersistentVolumeClaimVolumeSource(claimName=claim)),
            *ca_volume(stack),
        ),
        starts_with=(*read_at_start(stack), *([f"Secret/{credentials}"] if credentials else [])),
        keeps_disk=True,
    )


def _container(stack: StreamingStack, inputs: Inputs) -> Container:
    spec = stack.spec.model_store
    credentials = spec.credentials_secret_name
    settings = {
        "MODELS_FILE": f"{_LIST}/{config.STORED_MODELS_FILE}",
        "STORE_DIR": _DATA,
        "SERVER_PORT": str(names.MODEL_STORE_PORT),
        "METRICS_PORT": str(names.METRICS_PORT),
        **way_out(stack, inputs),
    }
    return Container(
        name="model-store",
        image=image_of(stack, inputs, "model_store"),
        args=["serve"],
        env=environment(settings, variables(spec.pods)),
        envFrom=[EnvFromSource(secretRef=SecretEnvSource(name=credentials))] if credentials else None,
        ports=ports(http=names.MODEL_STORE_PORT, metrics=names.METRICS_PORT),
        resources=requirements(spec.resources),
        startupProbe=startup_probe("/health", names.HTTP),
        readinessProbe=http_probe("/readyz", names.HTTP, period=5, failures=2),
        livenessProbe=http_probe("/health", names.HTTP, failures=6),
        volumeMounts=[
            mount("list", _LIST),
            mount("data", _DATA, read_only=False),
            *([CA_MOUNT] if ca_volume(stack) else []),
        ],
    )
