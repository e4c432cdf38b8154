"""A whole gateway before a scripted recogniser, on free ports: for tests here, and for those with real clients."""

import asyncio
import contextlib
import json
from dataclasses import dataclass
from typing import Any

from streaming_gateway.app import RunningGateway, run_gateway
from streaming_gateway.settings import GatewaySettings
from streamingstack_bench.scripted import Script, serve_scripted

ENGLISH = {"speech_model": "universal-streaming-english", "route": "en-default"}
MULTILINGUAL = {"speech_model": "universal-streaming-multilingual", "route": "ml-default"}
UNIVERSAL_3 = {"speech_model": "universal-3-5-pro", "route": "u3-pro"}


@dataclass(frozen=True)
class Stack:
    """`url` has no path; `recogniser` is the scripted one, None where there is none."""

    running: RunningGateway
    recogniser: Any

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.running.port}"

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.running.port}"

    @property
    def metrics(self) -> str:
        return f"http://127.0.0.1:{self.running.metrics_port}/metrics"

    @property
    def sessions(self) -> int:
        return len(self.running.gateway.sessions)

    async def is_empty(self) -> None:
        """Waits until neither the gateway nor the recogniser has anything left of any session."""
        async with asyncio.timeout(15):
            while self.sessions or self.recogniser.slots.active:
                await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def scripted_gateway(
    script: Script | None = None, *, replacing: bool = False, capacity: int = 28, **settings: Any
) -> Any:
    """Both while the context is open; `settings` are the gateway's. Yields a Stack."""
    models = [UNIVERSAL_3] if replacing else [ENGLISH, MULTILINGUAL]
    defaults = {"host": "127.0.0.1", "port": 0, "metrics_port": 0, "models": json.dumps(models), "drain_seconds": 0}
    script = script or Script.of("Hello there, this is a test. | | Done.")
    async with serve_scripted(script, replacing=replacing, capacity=capacity) as recogniser:
        defaults["asr_endpoint"] = f"127.0.0.1:{recogniser.port}"
        configured = GatewaySettings(**{**defaults, "check_contract": True, **settings})
        async with run_gateway(configured) as running:
            yield Stack(running, recogniser)
