"""A stack as a Compose project: one file, and the `.env.example` beside it. Pure."""

from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import yaml

from stack_model.api import StreamingStack
from stack_model.compose.model_files import model_store
from stack_model.compose.pools import between, pool, recogniser_name
from stack_model.compose.services import (
    CLIENTS,
    INSIDE,
    OUTSIDE,
    Node,
    Part,
    gateway,
    license_proxy,
    load_balancer,
)
from stack_model.compose.sync_api import sync_api
from stack_model.compose.variables import env_example
from stack_model.compose.vendor import vendor_gateway, vendor_license_proxy, vendor_recogniser
from stack_model.nginx import BalancerRoute
from stack_model.nginx_routes import BalancerRoutes, dump_routes

_HEAD = """\
# {name}: made by `streamingstack render --target compose`; what differs from machine to machine stands in .env, see
# .env.example. One of each part runs; sizes, autoscaling and rollouts that spare sessions are Kubernetes' work.
# Clients: ws://HOST:8080/v3/ws. Inside: licence proxy 8080, load balancer 50051 (health 8080), recognisers 50051
# (metrics 9090), Triton 8000 to 8002. Nothing but the licence proxy and the model store has a way out.
"""


@dataclass(frozen=True)
class ComposeProject:
    """The texts of the two files."""

    compose_yaml: str
    env_example: str


def render_compose(stack: StreamingStack) -> ComposeProject:
    """The project of one stack; raises ComposeError where Compose cannot run it."""
    parts = _parts(stack)
    name = stack.metadata.name
    document = {"name": name, "services": {part.name: _tidy(part.service) for part in parts}, **_shared(stack, parts)}
    text = yaml.dump(document, Dumper=_Readable, sort_keys=False, width=120, allow_unicode=True)
    used = (variable for part in parts for variable in (*part.variables, *part.secrets.values()))
    return ComposeProject(_HEAD.format(name=name) + text, env_example(name, used))


def _parts(stack: StreamingStack) -> list[Part]:
    models = stack.spec.models
    counts = [model.gpu.count if model.gpu else 0 for model in models]
    placed = list(zip(models, accumulate(counts, initial=0), strict=False))
    balancer = load_balancer(stack, _routes(stack))
    if stack.spec.images.flavour == "Vendor":
        recognisers = [vendor_recogniser(stack, model, card) for model, card in placed]
        return [vendor_gateway(stack), vendor_license_proxy(stack), balancer, *recognisers]
    pools = [part for model, card in placed for part in pool(stack, model, card)]
    return [gateway(stack), *sync_api(stack), license_proxy(stack), balancer, *pools, *model_store(stack)]


def _routes(stack: StreamingStack) -> str:
    routes = tuple(
        BalancerRoute(
            name=model.name, aliases=tuple(model.route_aliases), backends=(f"{recogniser_name(model)}:50051",)
        )
        for model in stack.spec.models
    )
    return dump_routes(BalancerRoutes(routes=routes))


def _shared(stack: StreamingStack, parts: list[Part]) -> Node:
    """Networks, volumes, configs and secrets; those that are not empty."""
    used = {network for part in parts for network in part.service["networks"]}
    networks: dict[str, Any] = {
        INSIDE: {"internal": True},
        # Answers to clients find their way; nothing else leaves with an address that anybody would answer to.
        CLIENTS: {"driver_opts": {"com.docker.network.bridge.enable_ip_masquerade": "false"}},
        OUTSIDE: None,
        **{between(model): {"internal": True} for model in stack.spec.models},
    }
    shared = {
        "networks": {name: node for name, node in networks.items() if name in used},
        "volumes": {name: node for part in parts for name, node in part.volumes.items()},
        "configs": {name: node for part in parts for name, node in part.configs.items()},
        "secrets": {name: {"file": str(file)} for part in parts for name, file in part.secrets.items()},
    }
    return {name: section for name, section in shared.items() if section}


def _tidy(service: Node) -> Node:
    return {name: value for name, value in service.items() if value not in ({}, [])}


class _Readable(yaml.SafeDumper):
    """Multi-line texts as blocks, and what stands in several places in each of them."""

    def ignore_aliases(self, data: Any) -> bool:
        """Always."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Readable.add_representer(str, _text)
