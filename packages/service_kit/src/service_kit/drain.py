"""SIGTERM and SIGINT as an event that a service waits for."""

import asyncio
import signal


def terminate_event() -> asyncio.Event:
    """An event set by the first SIGTERM or SIGINT; call inside a running loop."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, event.set)
    return event
