"""What the load balancer reads from its environment."""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field
from service_kit.settings import ServiceSettings


class BalancerSettings(ServiceSettings):
    """One variable for each field, in capitals."""

    routes_file: Path = Field(description="YAML or JSON with `routes`; read again whenever it changes.")
    grpc_port: int = Field(default=50051, ge=1, le=65535, description="Where gateways connect.")
    health_port: int = Field(default=8080, ge=1, le=65535, description="Serves /nginx_health.")
    listen_host: str = Field(
        default="0.0.0.0", description="Addresses to listen on, comma separated; IPv6 in brackets."
    )
    nginx: str = Field(default="nginx", description="The program, by name or path.")
    nginx_dialect: Literal["auto", "static", "resolve"] = Field(
        default="auto", description="`resolve` follows names through DNS and needs nginx 1.27.3; `auto` asks nginx."
    )
    resolvers: str = Field(
        default="", description="DNS servers, comma separated, for names in the routes; empty: those of the system."
    )
    run_dir: Path | None = Field(default=None, description="Where nginx keeps its files; absent: a temporary folder.")
    workers: int = Field(default_factory=lambda: min(4, _usable_cpus()), ge=1, description="Worker processes.")
    streams_per_worker: int = Field(default=4096, ge=1, description="Open streams of one worker.")
    access_log: bool = Field(default=False, description="One line a stream: route, pod, status, seconds, bytes.")
    poll_seconds: float = Field(default=1.0, gt=0, description="How often the routes file is looked at.")
    drain_seconds: float = Field(
        default=10800, ge=0, description="How long open streams may go on after SIGTERM; a second one ends them."
    )


def _usable_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
