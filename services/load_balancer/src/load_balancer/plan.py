"""From settings and the machine's facts to nginx's options; pure."""

import hashlib
from collections.abc import Sequence
from typing import Protocol

from stack_model.nginx import BalancerOptions, BalancerRoute, Dialect, dialect_for, render_nginx


class Wishes(Protocol):
    """What of BalancerSettings is nginx's."""

    listen_host: str
    grpc_port: int
    health_port: int
    workers: int
    streams_per_worker: int
    access_log: bool


def choose_dialect(wanted: str, version: tuple[int, int, int]) -> Dialect:
    """The dialect to render; raises ValueError when this nginx does not know it."""
    best = dialect_for(version)
    if wanted == "auto":
        return best
    if Dialect(wanted) is Dialect.RESOLVE and best is Dialect.STATIC:
        raise ValueError("NGINX_DIALECT=resolve needs nginx 1.27.3 or newer; install it, or set NGINX_DIALECT=auto")
    return Dialect(wanted)


def make_options(
    settings: Wishes,
    dialect: Dialect,
    *,
    resolvers: Sequence[str],
    picker_port: int | None,
    user: str | None,
    open_file_limit: int,
) -> BalancerOptions:
    """nginx's options; fewer streams a worker where the machine does not allow that many open files.

    Raises ValueError (pydantic's) for an address that nginx would not take.
    """
    options = BalancerOptions(
        dialect=dialect,
        listen=tuple(part.strip() for part in settings.listen_host.split(",")),
        grpc_port=settings.grpc_port,
        health_port=settings.health_port,
        workers=settings.workers,
        streams_per_worker=settings.streams_per_worker,
        resolvers=tuple(resolvers),
        picker=None if picker_port is None else f"127.0.0.1:{picker_port}",
        access_log=settings.access_log,
        user=user,
    )
    excess = options.open_files - open_file_limit
    if excess <= 0:
        return options
    return options.model_copy(update={"streams_per_worker": max(1, options.streams_per_worker - (excess + 1) // 2)})


def render_generation(routes: Sequence[BalancerRoute], options: BalancerOptions) -> tuple[str, str]:
    """The configuration and its generation, a digest that /nginx_health shows once it is in force."""
    generation = hashlib.sha256(render_nginx(routes, options).encode()).hexdigest()[:16]
    return render_nginx(routes, options.model_copy(update={"generation": generation})), generation


def resolvers_of(resolv_conf: str) -> list[str]:
    """The name servers in the text of an /etc/resolv.conf, as nginx writes them."""
    words = [line.split() for line in resolv_conf.splitlines()]
    servers = [line[1].split("%")[0] for line in words if len(line) > 1 and line[0] == "nameserver"]
    return [f"[{server}]" if ":" in server else server for server in servers]
