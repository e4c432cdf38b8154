"""Picks a backend that is none of the avoided ones, for routes whose addresses only DNS knows.

nginx asks by a subrequest, for streams with `x-avoid-pod` alone; it cannot exclude one address of a name by itself.
"""

import random
from collections.abc import Sequence

import dns.asyncresolver
import dns.exception
import dns.name
from service_kit.logs import get_logger
from stack_model.nginx import BalancerRoute, is_name
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_log = get_logger(__name__)


def other_backends(addresses: Sequence[str], avoided: str) -> list[str]:
    """Every address but those in the list `avoided`, separated by commas; all of them when there is no other."""
    listed = {address.strip() for address in avoided.split(",")}
    return [address for address in addresses if address not in listed] or list(addresses)


class Picker:
    """Answers `/pick` for the routes last given."""

    def __init__(self, resolvers: Sequence[str]) -> None:
        """`resolvers` as nginx writes them: address or address:port, IPv6 in brackets."""
        self.routes: dict[str, BalancerRoute] = {}
        self._resolver = dns.asyncresolver.Resolver(configure=False)
        self._resolver.nameservers = [_name_server(resolver) for resolver in resolvers]
        self._resolver.lifetime = 0.4

    @property
    def app(self) -> Starlette:
        """The HTTP application."""
        return Starlette(routes=[Route("/pick", self._pick)])

    async def _pick(self, request: Request) -> Response:
        route = self.routes.get(request.headers.get("x-route", ""))
        addresses = [] if route is None else await self._addresses(route)
        chosen = other_backends(addresses, request.headers.get("x-avoid-pod", ""))
        headers = {"x-picked-pod": random.choice(chosen)} if chosen else {}  # noqa: S311 - spreads load
        return Response(status_code=204, headers=headers)

    async def _addresses(self, route: BalancerRoute) -> list[str]:
        found: list[str] = []
        for backend in route.backends:
            found += await self._look_up(backend) if is_name(backend) else [backend]
        return found

    async def _look_up(self, backend: str) -> list[str]:
        host, _, port = backend.rpartition(":")
        found: list[str] = []
        try:
            answers = await self._resolver.resolve_name(dns.name.from_text(host))
            found = [f"[{address}]" if ":" in address else address for address in answers.addresses()]
        except dns.exception.DNSException as failure:
            _log.warning("backend name not found", backend=backend, reason=type(failure).__name__)
        return [f"{address}:{port}" for address in found]


def _name_server(resolver: str) -> dns.nameserver.Nameserver:
    address, _, port = resolver.rpartition(":") if resolver[-1] != "]" and ":" in resolver else (resolver, "", "53")
    return dns.nameserver.Do53Nameserver(address.strip("[]"), int(port))
