"""`images.flavour: Vendor`: the images of AssemblyAI's self-hosted streaming stack, release 1.0.0. Pure.

The gateway and the recognisers speak a private contract, and so do the gateway and the licence proxy: all of them
switch together. The vendor's load balancer is plain nginx with a file; ours routes by the same header and stays. Names
of variables, ports and health paths are those of the vendor's Compose files. What those do not tell is not guessed:

- which user the images run as, and whether they bear a read-only root: so their containers are not confined further
  than the Pod Security level `baseline`;
- metrics: so no autoscaler is made, and the status shows no sessions;
- whether the licence proxy heeds the usual variables of an HTTP proxy, and which one names further certificates: it is
  given what ours is given, and `licenseProxy.pods.env` may name the file of certificates once more;
- a limit of sessions for the gateway, lists of API keys and models, tokens: spec fields of that kind have no effect;
- how a gateway drains: it is given the longest session's time.

Models are baked into the images: no model store, no source.
"""

import copy
from typing import Any, TypeVar

from lightkube.models.core_v1 import (
    Container,
    PodTemplateSpec,
    ResourceRequirements,
    SecretKeySelector,
    SecurityContext,
)
from lightkube.resources.apps_v1 import Deployment, StatefulSet
from stack_model.api import Model, StreamingStack

from streaming_operator import names
from streaming_operator.children import config
from streaming_operator.children.asr_pool import pool_deployment, pool_service
from streaming_operator.children.child import Child
from streaming_operator.children.containers import (
    EnvironmentValue,
    environment,
    grpc_probe,
    http_probe,
    mount,
    ports,
    requirements,
    scratch,
    secret_volume,
    sleep_before_stop,
    startup_probe,
)
from streaming_operator.children.gateway import KEEP_ANNOTATIONS, gateway, grace_seconds
from streaming_operator.children.images import image_of, image_of_pool
from streaming_operator.children.license_proxy import license_proxy
from streaming_operator.children.load_balancer import load_balancer
from streaming_operator.children.outside import CA_MOUNT, ca_volume, read_at_start, way_out
from streaming_operator.children.pod import Pod, pod_template, toleration, variables
from streaming_operator.facts import Inputs

RELEASE = "1.0.0"
_Part = TypeVar("_Part")
_HEALTH = "/v3/ws/health"
_LICENSE = "/var/aai"
_USAGE_KEY = "api-key"
# A recogniser's streams are opened anew elsewhere by the gateway.
_RECOGNISER_GRACE = 60
_PROXY_GRACE = 45


def workloads(stack: StreamingStack, inputs: Inputs) -> list[Child]:
    """Every part, in the order of application: our Services and sizes, the vendor's pods."""
    return [
        *config.balancer_config(stack, inputs),
        *_with_pods(license_proxy(stack, inputs), _template(stack, inputs, _proxy(stack, inputs))),
        *(child for model in config.pools(stack, inputs) for child in _pool(stack, inputs, model)),
        *load_balancer(stack, inputs),
        *_with_pods(gateway(stack, inputs), _template(stack, inputs, _gateway(stack, inputs))),
    ]


def _with_pods(children: list[Child], template: PodTemplateSpec) -> list[Child]:
    """The same children; the workload among them makes other pods."""
    return [_with_template(child, template) for child in children]


def _with_template(child: Child, template: PodTemplateSpec) -> Child:
    found = child.object
    if not isinstance(found, Deployment | StatefulSet):
        return child
    return Child(_changed(found, spec=_changed(found.spec, template=template)), child.replicas)


def _pool(stack: StreamingStack, inputs: Inputs, model: Model) -> list[Child]:
    pod = _recogniser(stack, inputs, model)
    deployment = pool_deployment(stack, inputs, model, pod)
    return [Child(pool_service(stack, model)), _with_template(deployment, _template(stack, inputs, pod))]


def _template(stack: StreamingStack, inputs: Inputs, pod: Pod) -> PodTemplateSpec:
    """Our template without what images of an unknown make may not bear."""
    template = pod_template(stack, inputs, pod)
    spec = template.spec
    confined = SecurityContext(allowPrivilegeEscalation=False)
    changed = _changed(
        spec,
        securityContext=_changed(spec.securityContext, runAsNonRoot=None) if spec else None,
        containers=[_changed(container, securityContext=confined) for container in spec.containers] if spec else [],
    )
    return _changed(template, spec=changed)


def _changed(given: _Part, **fields: Any) -> _Part:
    """A copy with other fields; the given one stays as it is."""
    copied = copy.copy(given)
    for name, value in fields.items():
        setattr(copied, name, value)
    return copied


def _gateway(stack: StreamingStack, inputs: Inputs) -> Pod:
    name, spec = stack.metadata.name, stack.spec.gateway
    proxy = config.address(stack, inputs, names.license_proxy(name), names.LICENSE_PROXY_PORT)
    settings = {
        "AAI_WSS_PORT": str(names.GATEWAY_PORT),
        "AAI_LOG_LEVEL": "INFO",
        "AAI_USE_STRUCTURED_LOGGING": "True",
        "AAI_ASR_ENDPOINT": config.address(stack, inputs, names.load_balancer(name), names.GRPC_PORT),
        "AAI_USE_SECURE_CHANNEL_TO_ASR_SERVICE": "False",
        "AAI_LICENSE_AND_USAGE_PROXY_ENDPOINT": f"http://{proxy}",
    }
    container = Container(
        name="gateway",
        image=image_of(stack, inputs, "gateway"),
        env=environment(settings, variables(spec.pods)),
        ports=ports(http=names.GATEWAY_PORT),
        resources=requirements(spec.resources),
        startupProbe=startup_probe(_HEALTH, names.HTTP, seconds=120),
        readinessProbe=http_probe(_HEALTH, names.HTTP, period=5, failures=2),
        livenessProbe=http_probe(_HEALTH, names.HTTP, failures=6),
        lifecycle=sleep_before_stop(),
    )
    return Pod(
        component=names.GATEWAY,
        containers=(container,),
        overrides=spec.pods,
        grace_seconds=grace_seconds(stack),
        annotations=KEEP_ANNOTATIONS,
    )


def _proxy(stack: StreamingStack, inputs: Inputs) -> Pod:
    license_, spec = stack.spec.license, stack.spec.license_proxy
    key = spec.usage.api_key_secret_name
    container = Container(
        name="license-proxy",
        image=image_of(stack, inputs, "license_proxy"),
        env=environment({**_proxy_settings(key), **way_out(stack, inputs)}, variables(spec.pods)),
        ports=ports(http=names.LICENSE_PROXY_PORT),
        resources=requirements(spec.resources),
        startupProbe=startup_probe("/health", names.HTTP, seconds=120),
        readinessProbe=http_probe("/health", names.HTTP, period=5, failures=2),
        livenessProbe=http_probe("/health", names.HTTP, failures=6),
        lifecycle=sleep_before_stop(),
        volumeMounts=[mount("license", _LICENSE), *([CA_MOUNT] if ca_volume(stack) else [])],
    )
    license_volume = secret_volume("license", license_.secret_name, {license_.key: "license.jwt"})
    # It is not known to read the licence again: a new one rolls it.
    once = (f"Secret/{license_.secret_name}", *read_at_start(stack), *([f"Secret/{key}"] if key else []))
    return Pod(
        component=names.LICENSE_PROXY,
        containers=(container,),
        overrides=spec.pods,
        grace_seconds=_PROXY_GRACE,
        volumes=(license_volume, *ca_volume(stack)),
        starts_with=once,
        hash_key=None,
    )


def _proxy_settings(key: str | None) -> dict[str, EnvironmentValue | None]:
    return {
        "HTTP_PORT": str(names.LICENSE_PROXY_PORT),
        "LOGGING_LEVEL": "INFO",
        "USE_STRUCTURED_LOGGING": "True",
        "LICENSE_FILE_PATH": f"{_LICENSE}/license.jwt",
        "USAGE_TRACKING_API_KEY": SecretKeySelector(name=key, key=_USAGE_KEY) if key else None,
    }


def _recogniser(stack: StreamingStack, inputs: Inputs, model: Model) -> Pod:
    gpu = model.gpu
    settings = {
        "SERVER_PORT": str(names.GRPC_PORT),
        "LOGGING_LEVEL": "INFO",
        "USE_STRUCTURED_LOGGING": "True",
        "MAX_OPEN_STREAMS": str(model.streams.max_per_pod),
    }
    probe = grpc_probe(names.GRPC_PORT)
    starting = grpc_probe(names.GRPC_PORT, period=10, failures=-(-model.startup_seconds // 10))
    container = Container(
        name="recognizer",
        image=image_of_pool(stack, inputs, model),
        env=environment(settings, variables(model.pods)),
        ports=ports(grpc=names.GRPC_PORT),
        resources=_resources(model),
        startupProbe=starting,
        readinessProbe=probe,
        livenessProbe=grpc_probe(names.GRPC_PORT, period=10, failures=6),
        lifecycle=sleep_before_stop(),
        volumeMounts=[mount("shm", "/dev/shm", read_only=False)],  # noqa: S108 - a volume
    )
    return Pod(
        component=names.ASR,
        model=model.name,
        containers=(container,),
        overrides=model.pods,
        grace_seconds=_RECOGNISER_GRACE,
        volumes=(scratch("shm", memory=True, size="1Gi"),),
        tolerations=tuple(map(toleration, gpu.tolerations)) if gpu else (),
        node_selector=gpu.node_selector if gpu else {},
        runtime_class=gpu.runtime_class_name if gpu else None,
    )


def _resources(model: Model) -> ResourceRequirements:
    """What the model asks for, in one container, and its cards."""
    cards = {model.gpu.resource_name: str(model.gpu.count)} if model.gpu else {}
    found = requirements(model.wanted_resources)
    return ResourceRequirements(
        requests={**(found.requests or {}), **cards} or None, limits={**(found.limits or {}), **cards} or None
    )
