"""`python -m load_balancer`: nginx in front of the recognisers, until SIGTERM."""

import asyncio
import sys

from service_kit.logs import configure_logs, get_logger
from service_kit.settings import load_settings

from load_balancer.service import StartError, prepared
from load_balancer.settings import BalancerSettings


async def _serve(settings: BalancerSettings) -> int:
    try:
        async with prepared(settings) as balancer:
            await balancer.start()
            return await balancer.run()
    except StartError as failure:
        get_logger(__name__).error("cannot start", reason=str(failure))
        return 1


def main() -> None:
    """Run the service; exits 0 after draining, 1 when it cannot start or nginx ends, 2 for wrong settings."""
    settings = load_settings(BalancerSettings)
    configure_logs("load-balancer", structured=settings.structured_logging, level=settings.log_level)
    sys.exit(asyncio.run(_serve(settings)))


if __name__ == "__main__":
    main()
