"""Channels to the load balancers: one for each address, those in trouble last."""

import asyncio
import socket
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import grpc

from streaming_gateway.link.settings import LinkSettings

_TROUBLE_SECONDS = 5.0
_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    ("grpc.max_send_message_length", 1024 * 1024),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),  # the link retries by itself, elsewhere
    ("grpc.use_local_subchannel_pool", 1),
    # A connection that died without a word is noticed even where streams come and go too fast to tell.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # A recogniser that comes back is used at once.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
]


@dataclass
class Endpoint:
    """One address of a load balancer and the channel to it."""

    address: str
    channel: Any
    trouble_at: float = field(default=float("-inf"))

    def in_trouble(self) -> None:
        """A stream failed here: others come first for a few seconds."""
        self.trouble_at = time.monotonic()


class Endpoints:
    """Every load balancer of the gateway. Names are resolved again every few seconds."""

    def __init__(self, settings: LinkSettings) -> None:
        self._settings = settings
        self._credentials = _credentials(settings) if settings.secure else None
        self._endpoints: dict[str, Endpoint] = {}
        self._turn = 0
        self._resolved_at = float("-inf")
        self._resolving = asyncio.Lock()
        self._retired: list[Endpoint] = []

    async def pick(self, tried: dict[str, int], avoid: Collection[str]) -> Endpoint:
        """The endpoint for the next stream: least tried, not to be avoided, without recent trouble, in turn."""
        await self._resolve()
        now = time.monotonic()
        self._turn += 1
        ordered = list(self._endpoints.values())
        ordered = ordered[self._turn % len(ordered) :] + ordered[: self._turn % len(ordered)]

        def rank(endpoint: Endpoint) -> tuple[int, bool, bool]:
            troubled = now - endpoint.trouble_at < _TROUBLE_SECONDS
            return tried.get(endpoint.address, 0), endpoint.address in avoid, troubled

        return min(ordered, key=rank)

    async def close(self) -> None:
        """Close every channel."""
        for endpoint in [*self._endpoints.values(), *self._retired]:
            await endpoint.channel.close()
        self._endpoints.clear()
        self._retired.clear()

    async def _resolve(self) -> None:
        async with self._resolving:
            if time.monotonic() - self._resolved_at < self._settings.resolve_seconds:
                return
            wanted: dict[str, str] = {}
            for target in self._settings.endpoints:
                wanted.update(dict.fromkeys(await _addresses(target), target))
            for address in set(self._endpoints) - set(wanted):
                self._retired.append(self._endpoints.pop(address))  # its streams end by themselves
            for address, target in wanted.items():
                if address not in self._endpoints:
                    self._endpoints[address] = Endpoint(address, self._channel(address, target))
            self._resolved_at = time.monotonic()

    def _channel(self, address: str, target: str) -> Any:
        if self._credentials is None:
            return grpc.aio.insecure_channel(address, options=[*_OPTIONS, ("grpc.default_authority", target)])
        host = target.rpartition(":")[0]
        options = [*_OPTIONS, ("grpc.ssl_target_name_override", host), ("grpc.default_authority", target)]
        return grpc.aio.secure_channel(address, self._credentials, options=options)


async def _addresses(target: str) -> list[str]:
    """`host:port` of every address behind `target`; the target itself where it cannot be resolved now."""
    host, _, port = target.rpartition(":")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except OSError:
        return [target]
    hosts = dict.fromkeys(str(address[0]) for *_, address in found)
    return [f"[{one}]:{port}" if ":" in one else f"{one}:{port}" for one in hosts]


def _credentials(settings: LinkSettings) -> Any:
    """Raises OSError when the file of trusted certificates cannot be read."""
    roots = settings.ca_file.read_bytes() if settings.ca_file else None
    return grpc.ssl_channel_credentials(root_certificates=roots)
