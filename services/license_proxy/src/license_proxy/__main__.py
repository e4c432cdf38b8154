"""`python -m license_proxy`."""

import asyncio
import contextlib
import sys
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop
from service_kit.drain import terminate_event
from service_kit.http import serve_http
from service_kit.logs import configure_logs, get_logger
from service_kit.settings import load_settings

from license_proxy.app import create_app
from license_proxy.ledger import Ledger, LedgerUnavailable
from license_proxy.license_file import LicenseFiles, LicenseUnusable
from license_proxy.metrics import ProxyMetrics
from license_proxy.proxy import LicenseProxy
from license_proxy.settings import ProxySettings

log = get_logger(__name__)


class CannotStart(Exception):
    """The message is one line that names what is wrong and the remedy."""


def main() -> None:
    """Serve until SIGTERM. Exit status 1, and one line on standard error, where it cannot start."""
    settings = load_settings(ProxySettings)
    configure_logs("license-proxy", structured=settings.structured_logging, level=settings.log_level)
    try:
        uvloop.run(serve(settings))
    except CannotStart as error:
        sys.stderr.write(f"license-proxy cannot start: {error}\n")
        raise SystemExit(1) from None


async def serve(settings: ProxySettings) -> None:
    """Serve until SIGTERM or SIGINT. Raises CannotStart."""
    files = LicenseFiles(
        _required(settings.license_file_path, "LICENSE_FILE_PATH", "the licence"),
        _required(settings.license_public_keys_path, "LICENSE_PUBLIC_KEYS_PATH", "the issuer's public keys (JWKS)"),
    )
    metrics = ProxyMetrics()
    ledger = Ledger(settings.state_dir)
    try:
        proxy = LicenseProxy(files.read(), files, ledger, metrics, lambda: datetime.now(UTC))
        proxy.start()
    except (LicenseUnusable, LedgerUnavailable) as error:
        raise CannotStart(str(error)) from None
    stop = terminate_event()
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(ledger.close)
        server = serve_http(create_app(proxy, metrics), settings.host, settings.port)
        try:
            port = await stack.enter_async_context(server)
        except OSError as error:
            address = f"{settings.host}:{settings.port}"
            raise CannotStart(f"cannot listen on {address}: {error.strerror}; set SERVER_PORT to a free one") from None
        log.info("licence proxy ready", port=port, state=proxy.verdict().state.value)
        await _until(stop, proxy.follow(settings.reload_seconds))
        log.info("licence proxy stops")


async def _until(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Run `work` until `stop` is set; what `work` raises is raised."""
    running = asyncio.ensure_future(work)
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
    finally:
        running.cancel()
        stopped.cancel()


def _required(path: Path | None, variable: str, what: str) -> Path:
    if path is None:
        raise CannotStart(f"{variable} is not set; set it to the path of {what}")
    return path


if __name__ == "__main__":
    main()
