"""The load balancer's life: render, start, follow the routes file, drain."""

import asyncio
import contextlib
import resource
import socket
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from service_kit.drain import terminate_event
from service_kit.http import serve_http
from service_kit.logs import get_logger
from stack_model.nginx import BalancerOptions, Dialect
from stack_model.nginx_routes import BalancerRoutes, RoutesError, parse_routes

from load_balancer.picker import Picker
from load_balancer.plan import choose_dialect, make_options, render_generation, resolvers_of
from load_balancer.process import Nginx, NginxError, find_nginx, worker_user
from load_balancer.settings import BalancerSettings

_log = get_logger(__name__)

START_SECONDS = 15.0
RELOAD_SECONDS = 15.0


class StartError(Exception):
    """The load balancer cannot start; one line that names the cause and the remedy."""


class LoadBalancer:
    """nginx and the routes it serves."""

    def __init__(self, settings: BalancerSettings, options: BalancerOptions, nginx: Nginx, picker: Picker) -> None:
        """Nothing is started yet."""
        self._settings = settings
        self._options = options
        self._nginx = nginx
        self._picker = picker
        self._generation = ""
        self._seen = ""

    async def start(self) -> None:
        """Start nginx with the routes of the file; raises StartError."""
        try:
            self._seen = await self._read()
            routes = parse_routes(self._seen, str(self._settings.routes_file))
            text, self._generation = render_generation(routes.routes, self._options)
            await self._nginx.check(text)
            self._picker.routes = {route.name: route for route in routes.routes}
            await self._nginx.start()
        except OSError as failure:
            raise StartError(f"ROUTES_FILE {self._settings.routes_file}: {failure.strerror or failure}") from None
        except (ValueError, NginxError) as failure:
            raise StartError(str(failure)) from None

    async def run(self) -> int:
        """Serve until SIGTERM and the last stream, or until nginx ends; returns the exit status."""
        terminated = terminate_event()
        ended = asyncio.create_task(self._nginx.wait())
        follow = asyncio.create_task(self._follow())
        stop = asyncio.create_task(terminated.wait())
        try:
            await asyncio.wait({ended, follow, stop}, return_when=asyncio.FIRST_COMPLETED)
            if stop.done() and not ended.done():
                follow.cancel()
                return await self._drain(terminated, ended)
            if ended.done():
                _log.error("nginx ended, and so do we", status=ended.result())
                return 1
            follow.result()
            return 1
        finally:
            for task in (follow, stop):
                task.cancel()
            await self._nginx.kill()

    async def _drain(self, terminated: asyncio.Event, ended: asyncio.Task[int]) -> int:
        _log.info("draining", seconds=self._settings.drain_seconds)
        terminated.clear()
        self._nginx.drain()
        again = asyncio.create_task(terminated.wait())
        limit = self._settings.drain_seconds
        await asyncio.wait({ended, again}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        again.cancel()
        _log.info("stopped", drained=ended.done())
        return 0

    async def _follow(self) -> None:
        if await self._nginx.in_force(self._generation, START_SECONDS):
            _log.info("Ready to serve!", grpc_port=self._options.grpc_port, dialect=self._options.dialect.value)
        else:
            _log.error("nginx does not answer", seconds=START_SECONDS)
        while True:
            await asyncio.sleep(self._settings.poll_seconds)
            await self._look_again()

    async def _look_again(self) -> None:
        try:
            text = await self._read()
        except OSError as failure:
            text = f"unreadable: {failure.strerror}"
        if text == self._seen:
            return
        self._seen = text
        try:
            await self._apply(parse_routes(text, str(self._settings.routes_file)))
        except (RoutesError, NginxError, ValueError) as refused:
            _log.error("new routes refused, the old ones stay", reason=str(refused))

    async def _apply(self, routes: BalancerRoutes) -> None:
        text, generation = render_generation(routes.routes, self._options)
        if generation == self._generation:
            return
        await self._nginx.check(text)
        self._picker.routes = {route.name: route for route in routes.routes}
        self._nginx.reload()
        self._generation = generation
        if await self._nginx.in_force(generation, RELOAD_SECONDS):
            backends = sum(len(route.backends) for route in routes.routes)
            _log.info("routes applied", routes=len(routes.routes), backends=backends, generation=generation)
        else:
            _log.error("nginx did not take the new routes", seconds=RELOAD_SECONDS)

    async def _read(self) -> str:
        return await asyncio.to_thread(self._settings.routes_file.read_text, errors="replace")


@contextlib.asynccontextmanager
async def prepared(settings: BalancerSettings) -> AsyncIterator[LoadBalancer]:
    """A balancer that can be started: nginx found, ports free, folder made; raises StartError."""
    try:
        program, version = await find_nginx(settings.nginx)
        dialect = choose_dialect(settings.nginx_dialect, version)
    except (NginxError, ValueError) as failure:
        raise StartError(str(failure)) from None
    resolvers = await asyncio.to_thread(_resolvers, settings)
    picker = Picker(resolvers)
    async with contextlib.AsyncExitStack() as stack:
        follows_names = dialect is Dialect.RESOLVE and bool(resolvers)
        port = await stack.enter_async_context(serve_http(picker.app, "127.0.0.1", 0)) if follows_names else None
        options = _options(settings, dialect, resolvers, port)
        _refuse_taken_ports(options)
        folder = settings.run_dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="load-balancer-")))
        folder.mkdir(parents=True, exist_ok=True)
        health = (_reachable(options.listen[0]), options.health_port)
        yield LoadBalancer(settings, options, Nginx(program, folder.absolute(), health), picker)


def _options(
    settings: BalancerSettings, dialect: Dialect, resolvers: list[str], picker_port: int | None
) -> BalancerOptions:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    try:
        options = make_options(
            settings,
            dialect,
            resolvers=resolvers,
            picker_port=picker_port,
            user=worker_user(),
            open_file_limit=limit if limit != resource.RLIM_INFINITY else 1 << 20,
        )
    except ValueError as failure:
        raise StartError(f"LISTEN_HOST or RESOLVERS: {' '.join(str(failure).split())}") from None
    if options.streams_per_worker < settings.streams_per_worker:
        _log.warning("open files are limited", limit=limit, streams_per_worker=options.streams_per_worker)
    return options


def _resolvers(settings: BalancerSettings) -> list[str]:
    if settings.resolvers:
        return [part.strip() for part in settings.resolvers.split(",")]
    try:
        return resolvers_of(Path("/etc/resolv.conf").read_text())
    except OSError:
        return []


def _refuse_taken_ports(options: BalancerOptions) -> None:
    for variable, port in (("GRPC_PORT", options.grpc_port), ("HEALTH_PORT", options.health_port)):
        for address in options.listen:
            family = socket.AF_INET6 if address.startswith("[") else socket.AF_INET
            with socket.socket(family) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((address.strip("[]"), port))
                except OSError as failure:
                    raise StartError(f"{variable} {address}:{port}: {failure.strerror}; set {variable}") from None


def _reachable(address: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "[::]": "::1"}.get(address, address.strip("[]"))
