"""nginx between gateways and recognisers: routes are reloaded in place, pods are followed through DNS. Pure."""

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
    sleep_before_stop,
    startup_probe,
)
from streaming_operator.children.gateway import grace_seconds
from streaming_operator.children.images import image_of
from streaming_operator.children.pod import Pod, meta, pod_template, selector, variables
from streaming_operator.facts import Inputs

_ROUTES = "/etc/streaming-stack/routes"
_LAST_WORDS_SECONDS = 30


def load_balancer(stack: StreamingStack, inputs: Inputs) -> list[Child]:
    """Deployment and headless Service: gateways spread their streams over the pods themselves."""
    return [Child(_service(stack)), Child(_deployment(stack, inputs))]


def _service(stack: StreamingStack) -> Service:
    port = ServicePort(name=names.GRPC, port=names.GRPC_PORT, targetPort=names.GRPC, appProtocol="kubernetes.io/h2c")
    return Service(
        metadata=meta(stack, names.load_balancer(stack.metadata.name), names.LOAD_BALANCER),
        spec=ServiceSpec(
            clusterIP="None", selector=names.selector(stack.metadata.name, names.LOAD_BALANCER), ports=[port]
        ),
    )


def _deployment(stack: StreamingStack, inputs: Inputs) -> Deployment:
    return Deployment(
        metadata=meta(stack, names.load_balancer(stack.metadata.name), names.LOAD_BALANCER),
        spec=DeploymentSpec(
            # No autoscaler sizes it: it is nearly idle, and two are there for the death of one.
            replicas=stack.spec.load_balancer.replicas,
            selector=selector(stack, names.LOAD_BALANCER),
            strategy=DeploymentStrategy(rollingUpdate=RollingUpdateDeployment(maxSurge=1, maxUnavailable=0)),
            template=pod_template(stack, inputs, _pod(stack, inputs)),
        ),
    )


def _pod(stack: StreamingStack, inputs: Inputs) -> Pod:
    return Pod(
        component=names.LOAD_BALANCER,
        containers=(_container(stack, inputs),),
        overrides=stack.spec.load_balancer.pods,
        # A stream through it lasts as long as a session.
        grace_seconds=grace_seconds(stack),
        volumes=(config_volume("routes", names.routes(stack.metadata.name)),),
    )


def _container(stack: StreamingStack, inputs: Inputs) -> Container:
    spec = stack.spec.load_balancer
    settings = {
        "ROUTES_FILE": f"{_ROUTES}/{config.ROUTES_FILE}",
        "GRPC_PORT": str(names.GRPC_PORT),
        "HEALTH_PORT": str(names.BALANCER_HEALTH_PORT),
        "NGINX_DIALECT": "resolve",
        "DRAIN_SECONDS": str(grace_seconds(stack) - PRE_STOP_SECONDS - _LAST_WORDS_SECONDS),
    }
    return Container(
        name="load-balancer",
        image=image_of(stack, inputs, "load_balancer"),
        env=environment(settings, variables(spec.pods)),
        ports=ports(grpc=names.GRPC_PORT, health=names.BALANCER_HEALTH_PORT),
        resources=requirements(spec.resources),
        startupProbe=startup_probe("/nginx_health", "health"),
        readinessProbe=http_probe("/nginx_health", "health", period=5, failures=2),
        livenessProbe=http_probe("/nginx_health", "health", failures=6),
        lifecycle=sleep_before_stop(),
        volumeMounts=[mount("routes", _ROUTES)],
    )
