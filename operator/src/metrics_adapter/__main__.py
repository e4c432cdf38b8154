"""`python -m metrics_adapter run`."""

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence

from lightkube.core.exceptions import ConfigError
from service_kit.logs import configure_logs
from service_kit.settings import load_settings

from metrics_adapter.settings import AdapterSettings


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="metrics-adapter", description="The load of stacks, for autoscalers.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="serve custom.metrics.k8s.io and KEDA's scaler; configured by the environment")
    parser.parse_args(arguments)
    settings = load_settings(AdapterSettings)
    configure_logs("streaming-metrics-adapter", structured=settings.structured_logging, level=settings.log_level)
    for chatty in ("httpx2", "httpcore2", "aiohttp"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    from metrics_adapter.running import run

    try:
        asyncio.run(run(settings))
    except (ConfigError, OSError) as failure:
        sys.stderr.write(f"metrics-adapter: {failure}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
