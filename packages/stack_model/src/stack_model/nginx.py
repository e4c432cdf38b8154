"""nginx's configuration for the load balancer, rendered from the routes of a stack; pure.

Two dialects, one behaviour. `STATIC` knows every backend by its address and follows changes by a graceful reload.
`RESOLVE` (nginx 1.27.3 and newer) also takes names and follows them through DNS without a reload.

`x-avoid-pod: host:port,...` (addresses as `x-upstream-pod` told them, the worst first) leads to another backend of the
route, if there is one; otherwise to any at random. Among names the picker finds it; without one it is any.
Where the text has the addresses of a route it avoids all of the list for up to four backends, and one of it for more.
Streams that avoid a pod are balanced among themselves; the least connections of the others do not count them.

`x-route` tells the recogniser which route the value of X-Model-Version leads to; a client's own is overwritten.

Paths in the text are relative: run it as `nginx -p FOLDER -c nginx.conf -e stderr`, and nothing is written elsewhere.
"""

import enum
import functools
import ipaddress
import re
from collections.abc import Sequence
from importlib import resources
from typing import Annotated

import jinja2
from pydantic import Field, field_validator

from stack_model.api import ApiModel, Route
from stack_model.detours import Detours, detours

OLDEST = (1, 19, 10)  # knows keepalive_time
_FIRST_WITH_RESOLVE = (1, 27, 3)

_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_BACKEND = re.compile(rf"(\[[0-9a-fA-F:]+\]|{_LABEL}(\.{_LABEL})*\.?):[0-9]{{1,5}}")
Address = Annotated[str, Field(pattern=r"^(\[[0-9a-fA-F:.]+\]|[0-9.]+)(:[0-9]{1,5})?$")]
Port = Annotated[int, Field(ge=1, le=65535)]


class Dialect(enum.StrEnum):
    """Which nginx the text is for."""

    STATIC = "static"
    RESOLVE = "resolve"


class BalancerRoute(ApiModel):
    """One value of X-Model-Version, its other names, and the recognisers behind it."""

    name: Route = Field(description="The route, as in spec.models[].name.")
    aliases: tuple[Route, ...] = Field(default=(), description="Other values that lead to the same backends.")
    backends: tuple[str, ...] = Field(
        default=(), description="host:port each, IPv6 in brackets. Empty: the route is known and unavailable."
    )

    @field_validator("backends")
    @classmethod
    def _backends_are_usable(cls, backends: tuple[str, ...]) -> tuple[str, ...]:
        for backend in backends:
            if not _BACKEND.fullmatch(backend):
                raise ValueError(f"{backend!r} is not host:port, like 127.0.0.1:50051 or [::1]:50051")
            host, _, port = backend.rpartition(":")
            if not 1 <= int(port) <= 65535:
                raise ValueError(f"{backend}: the port must be between 1 and 65535")
            if host.startswith("["):
                ipaddress.IPv6Address(host[1:-1])
        twice = sorted({backend for backend in backends if backends.count(backend) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} appears twice")
        return backends

    @property
    def values(self) -> tuple[str, ...]:
        """The name and its aliases."""
        return (self.name, *self.aliases)


class BalancerOptions(ApiModel):
    """Everything else that the text depends on."""

    dialect: Dialect = Dialect.STATIC
    listen: tuple[Address, ...] = Field(default=("0.0.0.0",), min_length=1, description="Addresses, without a port.")
    grpc_port: Port = 50051
    health_port: Port = 8080
    workers: int = Field(default=2, ge=1, description="Worker processes; a client's connection stays on one of them.")
    streams_per_worker: int = Field(default=4096, ge=1, description="Streams of one worker; two connections each.")
    resolvers: tuple[Address, ...] = Field(default=(), description="DNS servers for names; RESOLVE only.")
    resolver_valid_seconds: int = Field(default=2, ge=1, description="How long an answer of DNS is believed.")
    picker: Address | None = Field(
        default=None, description="host:port of the HTTP service that picks a backend for x-avoid-pod among names."
    )
    access_log: bool = Field(default=False, description="One line a stream: route, pod, status, seconds, bytes.")
    user: str | None = Field(
        default=None, pattern=r"^[a-z_][a-z0-9_-]*( [a-z_][a-z0-9_-]*)?$", description="Only for a start as root."
    )
    generation: str = Field(
        default="", pattern=r"^[A-Za-z0-9]*$", description="Shown by /nginx_health, to see a reload arrive."
    )

    @property
    def worker_connections(self) -> int:
        """Two for each stream, and some for health checks and the picker."""
        return 2 * self.streams_per_worker + 256

    @property
    def open_files(self) -> int:
        """File descriptors that one worker may need."""
        return self.worker_connections + 256


def dialect_for(version: tuple[int, int, int]) -> Dialect:
    """The better dialect of an nginx version; raises ValueError when it is too old for either."""
    if version < OLDEST:
        found, needed = (".".join(map(str, numbers)) for numbers in (version, OLDEST))
        raise ValueError(f"nginx {found} is too old; install {needed} or newer")
    return Dialect.RESOLVE if version >= _FIRST_WITH_RESOLVE else Dialect.STATIC


def parse_version(text: str) -> tuple[int, int, int]:
    """The version in the output of `nginx -v`; raises ValueError."""
    found = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", text)
    if found is None:
        raise ValueError(f"no nginx version in {text.strip()[:80]!r}")
    major, minor, patch = found.groups()
    return int(major), int(minor), int(patch)


def is_name(backend: str) -> bool:
    """Whether the backend's host is to be looked up, that is: no IP address."""
    try:
        ipaddress.ip_address(backend.rpartition(":")[0].strip("[]"))
    except ValueError:
        return True
    return False


def render_nginx(routes: Sequence[BalancerRoute], options: BalancerOptions) -> str:
    """The whole nginx.conf.

    Raises ValueError where a value of X-Model-Version would lead to two routes, or where a name cannot be followed.
    """
    refuse_ambiguous(routes)
    _refuse_unknown_addresses(routes, options)
    values = [value for route in routes for value in route.values]
    return _template().render(
        options=options,
        routes=[route for route in routes if route.backends],
        every_route=routes,
        resolve=options.dialect is Dialect.RESOLVE,
        followed=[route for route in routes if _is_followed(route, options)],
        detours={route.name: _detours(route, options) for route in routes},
        served=f"this balancer serves {', '.join(values)}" if values else "this balancer serves no route yet",
    )


def refuse_ambiguous(routes: Sequence[BalancerRoute]) -> None:
    """Raises ValueError where a name or alias appears twice."""
    values = [value for route in routes for value in route.values]
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        raise ValueError(f"routes: name or alias {', '.join(twice)} appears twice")


def _refuse_unknown_addresses(routes: Sequence[BalancerRoute], options: BalancerOptions) -> None:
    """Raises ValueError for a name that nginx would look up once at most, or not at all."""
    names = [backend for route in routes for backend in route.backends if is_name(backend)]
    if names and options.dialect is Dialect.STATIC:
        raise ValueError(f"{names[0]}: names need nginx 1.27.3 or newer; install it, or give IP addresses")
    if names and not options.resolvers:
        raise ValueError(f"{names[0]}: a name needs a DNS server; set resolvers, or give IP addresses")


def _is_followed(route: BalancerRoute, options: BalancerOptions) -> bool:
    """Whether nginx itself follows this route's backends, so that only it knows their addresses."""
    return options.dialect is Dialect.RESOLVE and any(map(is_name, route.backends))


def _detours(route: BalancerRoute, options: BalancerOptions) -> Detours:
    if _is_followed(route, options):
        return Detours(patterns=[(rf"^{re.escape('route_' + route.name)} .", f"route_{route.name}_any")])
    return detours(f"route_{route.name}", route.backends)


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - not HTML; every value is bound to a pattern without quotes and semicolons
    )
    environment.filters["is_name"] = is_name
    return environment.from_string(resources.files("stack_model").joinpath("nginx.conf.j2").read_text())
