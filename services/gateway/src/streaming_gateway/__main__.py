"""`python -m streaming_gateway`: serve until SIGTERM, then drain."""

import asyncio
import sqlite3
import sys

from service_kit.drain import terminate_event
from service_kit.logs import configure_logs, get_logger
from service_kit.settings import load_settings

from streaming_gateway.app import run_gateway
from streaming_gateway.settings import GatewaySettings

_log = get_logger(__name__)


async def _serve(settings: GatewaySettings) -> int:
    terminated = terminate_event()
    async with run_gateway(settings) as running:
        _log.info("Ready to serve!", port=running.port, metrics_port=running.metrics_port)
        waiting = asyncio.create_task(terminated.wait())
        await asyncio.wait({waiting, running.failed}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if running.failed.done():
            _log.error("a background task ended", kind=type(running.failed.exception()).__name__)
            return 1
        await running.gateway.drain(settings.drain_seconds)
    _log.info("stopped")
    return 0


def main() -> None:
    """Exits with status 2 and one line where the environment is wrong."""
    settings = load_settings(GatewaySettings)
    configure_logs("streaming-api", structured=settings.structured_logging, level=settings.log_level)
    try:
        status = asyncio.run(_serve(settings))
    except (OSError, ValueError, sqlite3.Error) as failure:
        sys.stderr.write(f"the gateway cannot start: {failure}\n")
        status = 2
    raise SystemExit(status)


if __name__ == "__main__":
    main()
