"""`python -m streaming_sync_api`: serve until SIGTERM, then drain."""

import asyncio
import sqlite3
import sys

from service_kit.drain import terminate_event
from service_kit.logs import configure_logs, get_logger
from service_kit.settings import load_settings

from streaming_sync_api.app import run_sync_api
from streaming_sync_api.settings import SyncSettings

_log = get_logger(__name__)


async def _serve(settings: SyncSettings) -> None:
    terminated = terminate_event()
    async with run_sync_api(settings) as running:
        _log.info("Ready to serve!", port=running.port, metrics_port=running.metrics_port)
        await terminated.wait()
        await running.api.drain(settings.linger_seconds, settings.drain_seconds)
    _log.info("stopped")


def main() -> None:
    """Exits with status 2 and one line where the environment is wrong."""
    settings = load_settings(SyncSettings)
    configure_logs("sync-api", structured=settings.structured_logging, level=settings.log_level)
    try:
        asyncio.run(_serve(settings))
    except (OSError, ValueError, sqlite3.Error) as failure:
        sys.stderr.write(f"the sync API cannot start: {failure}\n")
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
