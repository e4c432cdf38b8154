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


async def _serve(settings: GatewaySettings) -> None:
    terminated = terminate_event()
    async with run_gateway(settings) as running:
        _log.info("Ready to serve!", port=running.port, metrics_port=running.metrics_port)
        await terminated.wait()
        await running.gateway.drain(settings.drain_seconds)
    _log.info("stopped")


def main() -> None:
    """Exits with status 2 and one line where the environment is wrong."""
    settings = load_settings(GatewaySettings)
    configure_logs("streaming-api", structured=settings.structured_logging, level=settings.log_level)
    try:
        asyncio.run(_serve(settings))
    except (OSError, ValueError, sqlite3.Error) as failure:
        sys.stderr.write(f"the gateway cannot start: {failure}\n")
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
