"""Channels to the load balancers: one for each address, those in trouble last."""

import asyncio
import contextlib
import ipaddress
import socket
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from streamingstack.asr.v1 import recognizer_pb2_grpc as rpc

from streaming_gateway.link.settings import LinkSettings

_TROUBLE_SECONDS = 5.0
_LOOKUP_SECONDS = 3.0
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
    """One address of a load balancer, the channel to it, and the streams on that."""

    address: str
    channel: Any
    streams: int = 0
    trouble_at: float = field(default=float("-inf"))

    def recognize(self, metadata: Sequence[tuple[str, str]]) -> Any:
        """A new call of `Recognize`."""
        call = rpc.RecognizerServiceStub(self.channel).Recognize(metadata=metadata)
        self.streams += 1
        call.add_done_callback(self._ended)
        return call

    def in_trouble(self) -> None:
        """A stream failed here: others come first for a few seconds."""
        self.trouble_at = time.monotonic()

    def _ended(self, _call: Any) -> None:
        self.streams -= 1


class Endpoints:
    """Every load balancer of the gateway. Names are looked up again every few seconds, beside the traffic."""

    def __init__(self, settings: LinkSettings) -> None:
        self._settings = settings
        self._credentials = _credentials(settings) if settings.secure else None
        self._known: dict[str, list[str]] = {}
        self._endpoints: dict[str, Endpoint] = {}
        self._retired: list[Endpoint] = []
        self._turn = 0
        self._refreshed_at = float("-inf")
        self._refreshing: asyncio.Task[None] | None = None

    async def pick(self, tried: Mapping[str, int], avoid: Collection[str]) -> Endpoint:
        """The endpoint for the next stream: least tried, not to be avoided, without recent trouble, in turn."""
        self._refresh_if_due()
        if not self._endpoints and self._refreshing is not None:
            await asyncio.shield(self._refreshing)
        now = time.monotonic()
        self._turn += 1
        start = self._turn % len(self._endpoints)
        ordered = [*self._endpoints.values()]

        def rank(endpoint: Endpoint) -> tuple[int, bool, bool]:
            troubled = now - endpoint.trouble_at < _TROUBLE_SECONDS
            return tried.get(endpoint.address, 0), endpoint.address in avoid, troubled

        return min([*ordered[start:], *ordered[:start]], key=rank)

    async def close(self) -> None:
        """Close every channel."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.wait({self._refreshing})
        for endpoint in [*self._endpoints.values(), *self._retired]:
            await endpoint.channel.close()
        self._endpoints.clear()
        self._retired.clear()

    def _refresh_if_due(self) -> None:
        running = self._refreshing is not None and not self._refreshing.done()
        if not running and time.monotonic() - self._refreshed_at >= self._settings.resolve_seconds:
            self._refreshed_at = time.monotonic()
            self._refreshing = asyncio.create_task(self._refresh())

    async def _refresh(self) -> None:
        wanted: dict[str, str] = {}
        for target in self._settings.endpoints:
            found = await _addresses(target)
            # A name that cannot be looked up now keeps its addresses; one that never could is left to gRPC.
            self._known[target] = found or self._known.get(target) or [target]
            wanted.update(dict.fromkeys(self._known[target], target))
        for address in set(self._endpoints) - set(wanted):
            self._retired.append(self._endpoints.pop(address))
        for address, target in wanted.items():
            if address not in self._endpoints:
                self._endpoints[address] = Endpoint(address, self._channel(address, target))
        for endpoint in [one for one in self._retired if not one.streams]:
            self._retired.remove(endpoint)
            await endpoint.channel.close()

    def _channel(self, address: str, target: str) -> Any:
        options = [*_OPTIONS, ("grpc.default_authority", target)]
        if self._credentials is None:
            return grpc.aio.insecure_channel(address, options=options)
        options.append(("grpc.ssl_target_name_override", target.rpartition(":")[0]))
        return grpc.aio.secure_channel(address, self._credentials, options=options)


async def _addresses(target: str) -> list[str]:
    """`host:port` of every address behind `target`; empty where it cannot be looked up."""
    host, _, port = target.rpartition(":")
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host.strip("[]"))
        return [target]
    try:
        async with asyncio.timeout(_LOOKUP_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    except (OSError, TimeoutError):
        return []
    hosts = dict.fromkeys(str(address[0]) for *_, address in found)
    return [f"[{one}]:{port}" if ":" in one else f"{one}:{port}" for one in hosts]


def _credentials(settings: LinkSettings) -> Any:
    """Raises OSError when the file of trusted certificates cannot be read."""
    roots = settings.ca_file.read_bytes() if settings.ca_file else None
    return grpc.ssl_channel_credentials(root_certificates=roots)
