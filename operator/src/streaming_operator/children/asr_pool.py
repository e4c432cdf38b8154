"""A pool: the recognisers of one model, each with a Triton of its own. Pure.

Triton is a sidecar, an init container that goes on: the recogniser starts when the model is loaded, and Triton ends
after the recogniser has drained.
"""

from lightkube.models.apps_v1 import DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment
from lightkube.models.core_v1 import (
    Container,
    NodeAffinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    ServicePort,
    ServiceSpec,
    VolumeMount,
)
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import Service
from stack_model.api import Model, StreamingStack
from stack_model.catalogue import family_of
from stack_model.languages import languages_of

from streaming_operator import names
from streaming_operator.checks.cards import memory_label, smallest_mib
from streaming_operator.children.child import Child
from streaming_operator.children.containers import (
    PRE_STOP_SECONDS,
    environment,
    grpc_probe,
    http_probe,
    mount,
    ports,
    scratch,
    sleep_before_stop,
    startup_probe,
)
from streaming_operator.children.images import image_of_pool
from streaming_operator.children.model_files import folder_of, model_files
from streaming_operator.children.pod import Pod, meta, pod_template, selector, toleration, variables
from streaming_operator.children.shares import recogniser_share, triton_share
from streaming_operator.facts import Inputs

# Streams move to another pod meanwhile.
_DRAIN_SECONDS = 20
_GRACE_SECONDS = PRE_STOP_SECONDS + _DRAIN_SECONDS + 30
# Its scratch volumes would keep a node that is nearly empty from being taken away, and its streams move.
MAY_MOVE = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"}
# Large images and models are fetched before anything loads.
_FETCH_SECONDS = 1500


def asr_pool(stack: StreamingStack, inputs: Inputs, model: Model) -> list[Child]:
    """Deployment and headless Service of one model."""
    return [Child(pool_service(stack, model)), pool_deployment(stack, inputs, model, _pod(stack, inputs, model))]


def pool_service(stack: StreamingStack, model: Model) -> Service:
    """Headless: nginx follows the pods through DNS."""
    name = stack.metadata.name
    port = ServicePort(name=names.GRPC, port=names.GRPC_PORT, targetPort=names.GRPC, appProtocol="kubernetes.io/h2c")
    return Service(
        metadata=meta(stack, names.pool(name, model.name), names.ASR, model.name),
        spec=ServiceSpec(clusterIP="None", selector=names.selector(name, names.ASR, model.name), ports=[port]),
    )


def pool_deployment(stack: StreamingStack, inputs: Inputs, model: Model, pod: Pod) -> Child:
    """The Deployment of these pods, rolled as the model wants it."""
    as_written = model.model_dump_json(by_alias=True, exclude_defaults=True)
    found = Deployment(
        metadata=meta(
            stack, names.pool(stack.metadata.name, model.name), names.ASR, model.name, {names.MODEL: as_written}
        ),
        spec=DeploymentSpec(
            selector=selector(stack, names.ASR, model.name),
            strategy=_strategy(model),
            progressDeadlineSeconds=model.startup_seconds + _FETCH_SECONDS,
            template=pod_template(stack, inputs, pod),
        ),
    )
    return Child(found, replicas=model.autoscaling.min_replicas)


def _strategy(model: Model) -> DeploymentStrategy:
    """`Replace` needs no spare card: a new pod would wait for one, and the old one for the new."""
    surge, unavailable = (1, 0) if model.wanted_rollout == "Surge" else (0, 1)
    return DeploymentStrategy(rollingUpdate=RollingUpdateDeployment(maxSurge=surge, maxUnavailable=unavailable))


def _pod(stack: StreamingStack, inputs: Inputs, model: Model) -> Pod:
    files = model_files(stack, inputs, model)
    gpu = model.gpu
    return Pod(
        component=names.ASR,
        model=model.name,
        containers=(_recogniser(stack, inputs, model),),
        init=(*(files.init if files else ()), _triton(stack, inputs, model, files.mount if files else None)),
        overrides=model.pods,
        grace_seconds=_GRACE_SECONDS,
        volumes=(*([files.volume] if files else []), scratch("shm", memory=True, size="1Gi" if gpu else "256Mi")),
        tolerations=tuple(map(toleration, gpu.tolerations)) if gpu else (),
        node_selector=gpu.node_selector if gpu else {},
        runtime_class=gpu.runtime_class_name if gpu else None,
        node_affinity=large_enough(model) if gpu else None,
        annotations=MAY_MOVE,
    )


def large_enough(model: Model) -> NodeAffinity:
    """Nodes that are not known to have too small a card: a pod there would crash for ever; waiting says why."""
    label = memory_label(model)
    known = NodeSelectorRequirement(key=label, operator="Gt", values=[str(smallest_mib(model) - 1)])
    unknown = NodeSelectorRequirement(key=label, operator="DoesNotExist")
    terms = [NodeSelectorTerm(matchExpressions=[one]) for one in (known, unknown)]
    return NodeAffinity(requiredDuringSchedulingIgnoredDuringExecution=NodeSelector(nodeSelectorTerms=terms))


def _recogniser(stack: StreamingStack, inputs: Inputs, model: Model) -> Container:
    settings = {
        "ASR_PORT": str(names.GRPC_PORT),
        "METRICS_PORT": str(names.METRICS_PORT),
        "ROUTE": model.name,
        "TRITON_URL": f"127.0.0.1:{names.TRITON_GRPC_PORT}",
        "MAX_OPEN_STREAMS": str(model.streams.max_per_pod),
        "REPLACING": "true" if any(family_of(name) == "universal-3" for name in model.speech_models) else None,
        "LANGUAGES": ",".join(languages_of(model)) or None,
        "DRAIN_SECONDS": str(_DRAIN_SECONDS),
    }
    return Container(
        name="recognizer",
        image=image_of_pool(stack, inputs, model),
        command=["recognizer"],
        env=environment(settings, variables(model.pods)),
        ports=ports(grpc=names.GRPC_PORT, metrics=names.METRICS_PORT),
        resources=recogniser_share(model.wanted_resources),
        startupProbe=startup_probe("/metrics", names.METRICS),
        # Full is ready; draining, or without its Triton, is not.
        readinessProbe=grpc_probe(names.GRPC_PORT),
        # Without its Triton it lives and waits: ending it would mend nothing.
        livenessProbe=http_probe("/metrics", names.METRICS, failures=6),
        lifecycle=sleep_before_stop(),
    )


def _triton(stack: StreamingStack, inputs: Inputs, model: Model, files: VolumeMount | None) -> Container:
    settings = {
        "WHISPER_MODEL_DIR": folder_of(model) if files else None,
        "WHISPER_LANGUAGES": ",".join(languages_of(model)) or None,
    }
    return Container(
        name="triton",
        image=image_of_pool(stack, inputs, model),
        command=["triton"],
        restartPolicy="Always",
        env=environment(settings, variables(model.pods)),
        ports=ports(triton_http=names.TRITON_HTTP_PORT, triton_metrics=names.TRITON_METRICS_PORT),
        resources=triton_share(model.wanted_resources, model.gpu),
        # Until every model is loaded nothing may restart it.
        startupProbe=startup_probe("/v2/health/ready", "triton-http", seconds=model.startup_seconds, period=5),
        # Not `ready`: a model's process that died is loaded anew by the recogniser.
        livenessProbe=http_probe("/v2/health/live", "triton-http", failures=6, timeout=10),
        volumeMounts=[*([files] if files else []), mount("shm", "/dev/shm", read_only=False)],  # noqa: S108 - a volume
    )
