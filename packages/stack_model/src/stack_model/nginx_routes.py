"""The load balancer's routes file: which values of X-Model-Version lead to which recognisers; pure.

YAML or JSON, for instance:

    routes:
    - name: u3-pro
      aliases: [universal-3-5-pro]
      backends: ["127.0.0.1:50051"]
"""

import yaml
from pydantic import Field, ValidationError, model_validator

from stack_model.api import ApiModel, StreamingStack
from stack_model.nginx import BalancerRoute, refuse_ambiguous

FIRST_LOCAL_PORT = 50051


class BalancerRoutes(ApiModel):
    """What the routes file holds."""

    routes: tuple[BalancerRoute, ...] = Field(description="One for each model; may be empty.")

    @model_validator(mode="after")
    def _routes_are_distinct(self) -> "BalancerRoutes":
        refuse_ambiguous(self.routes)
        return self


class RoutesError(ValueError):
    """A routes file that cannot be used; the text names the source, the field and the reason."""


def parse_routes(text: str, source: str) -> BalancerRoutes:
    """Read YAML or JSON; `source` names it in errors. Raises RoutesError."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as failure:
        raise RoutesError(f"{source}: {' '.join(str(failure).split())}") from None
    if not isinstance(document, dict):
        raise RoutesError(f"{source}: expected a mapping with `routes`, found {type(document).__name__}")
    try:
        return BalancerRoutes.model_validate(document)
    except ValidationError as refused:
        lines = [f"{'.'.join(map(str, error['loc'])) or 'file'}: {error['msg']}" for error in refused.errors()]
        raise RoutesError(f"{source}: {'; '.join(lines)}") from None


def dump_routes(routes: BalancerRoutes) -> str:
    """The routes file's text."""
    return yaml.safe_dump(routes.model_dump(by_alias=True, mode="json"), sort_keys=False)


def local_routes(
    stack: StreamingStack, *, host: str = "127.0.0.1", first_port: int = FIRST_LOCAL_PORT
) -> BalancerRoutes:
    """The routes of a local run: one recogniser a model, on ports counting up in the order of spec.models."""
    return BalancerRoutes(
        routes=tuple(
            BalancerRoute(
                name=model.name, aliases=tuple(model.route_aliases), backends=(f"{host}:{first_port + index}",)
            )
            for index, model in enumerate(stack.spec.models)
        )
    )
