"""The files that parts read from ConfigMaps and Secrets; all of them are reloaded in place. Pure."""

import base64

from lightkube.resources.core_v1 import ConfigMap, Secret
from stack_model.api import Model, StreamingStack
from stack_model.catalogue import dump_models, gateway_models
from stack_model.nginx import BalancerRoute
from stack_model.nginx_routes import BalancerRoutes, dump_routes
from stack_model.stored_models import dump_stored_models, needs_store, stored_model

from streaming_operator import names
from streaming_operator.children.child import Child
from streaming_operator.children.pod import meta
from streaming_operator.facts import Inputs

# Keys of the ConfigMaps and Secrets, and the names of the files that pods see.
GATEWAY_MODELS_FILE = "models.json"
ROUTES_FILE = "routes.yaml"
STORED_MODELS_FILE = "models.yaml"
API_KEYS_FILE = names.API_KEYS_FILE


def pools(stack: StreamingStack, inputs: Inputs) -> list[Model]:
    """Every model that has a pool: those of the spec, and those that left it and still have streams."""
    wanted = {model.name for model in stack.spec.models}
    return [*stack.spec.models, *(model for model in inputs.leaving if model.name not in wanted)]


def is_stored(stack: StreamingStack, model: Model) -> bool:
    """Whether a model comes through the model store; what Kubernetes mounts, or an image brings, does not."""
    named = model.source is not None or bool(model.files)
    return named and needs_store(model) and stack.spec.images.flavour != "Vendor"


def stored(stack: StreamingStack, inputs: Inputs) -> list[Model]:
    """The models that come through the model store."""
    return [model for model in pools(stack, inputs) if is_stored(stack, model)]


def address(stack: StreamingStack, inputs: Inputs, service: str, port: int) -> str:
    """`host:port` of a Service, whole, as nginx's resolver wants it."""
    namespace = stack.metadata.namespace or "default"
    return f"{service}.{namespace}.svc.{inputs.cluster_domain}:{port}"


def first_proxy(stack: StreamingStack, inputs: Inputs) -> str:
    """`host:port` of the licence proxy that is always there: it counts what has to be counted in one place."""
    name = stack.metadata.name
    pod = f"{names.license_proxy(name)}-0.{names.license_proxy_pods(name)}"
    return address(stack, inputs, pod, names.LICENSE_PROXY_PORT)


def gateway_config(stack: StreamingStack, inputs: Inputs) -> list[Child]:
    """What the gateway lists; a model that leaves is not among it."""
    name = names.models(stack.metadata.name)
    found = ConfigMap(
        metadata=meta(stack, name, names.GATEWAY), data={GATEWAY_MODELS_FILE: dump_models(gateway_models(stack)) + "\n"}
    )
    return [Child(found), *_made_keys(stack, inputs)]


def _made_keys(stack: StreamingStack, inputs: Inputs) -> list[Child]:
    """The hash of the first API key, where the operator made one."""
    auth = stack.spec.gateway.auth
    if auth.mode != "Keys" or auth.secret_name or inputs.first_key_hash is None:
        return []
    line = f"{inputs.first_key_hash} first\n"
    name = names.api_keys(stack.metadata.name)
    data = {API_KEYS_FILE: base64.b64encode(line.encode()).decode()}
    return [Child(Secret(metadata=meta(stack, name, names.GATEWAY), data=data))]


def balancer_config(stack: StreamingStack, inputs: Inputs) -> list[Child]:
    """Where each route leads; the route of a model that leaves stays, but an alias may have gone to another model."""
    taken = {route for model in stack.spec.models for route in model.routes}
    wanted = {model.name for model in stack.spec.models}
    routes = BalancerRoutes(
        routes=tuple(
            BalancerRoute(
                name=model.name,
                aliases=tuple(model.route_aliases) if model.name in wanted else (),
                backends=(address(stack, inputs, names.pool(stack.metadata.name, model.name), names.GRPC_PORT),),
            )
            for model in pools(stack, inputs)
            if model.name in wanted or model.name not in taken
        )
    )
    name = names.routes(stack.metadata.name)
    found = ConfigMap(metadata=meta(stack, name, names.LOAD_BALANCER), data={ROUTES_FILE: dump_routes(routes)})
    return [Child(found)]


def store_config(stack: StreamingStack, inputs: Inputs) -> list[Child]:
    """What the model store keeps."""
    models = stored(stack, inputs)
    if not models:
        return []
    name = names.model_store(stack.metadata.name)
    text = dump_stored_models([stored_model(model) for model in models])
    return [Child(ConfigMap(metadata=meta(stack, name, names.MODEL_STORE), data={STORED_MODELS_FILE: text}))]
