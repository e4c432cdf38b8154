"""The recogniser's own service with the scripted engine: same environment, ports, health, metrics and draining.

It follows the life of the model server beside it as the real one does (`triton_standin.py`), and knows no model. The
script is the file that SCRIPT names.
"""

import asyncio
import time
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Histogram
from pydantic import Field
from service_kit.logs import configure_logs, get_logger
from service_kit.settings import load_settings
from streaming_asr.__main__ import run
from streaming_asr.engine import EngineLostError, Hypothesis, Window
from streaming_asr.settings import RecogniserSettings
from streaming_asr.triton.client import TritonEngine

from streamingstack_bench.scripted import Script, ScriptedEngine, ScriptedVoice

_LOOK_SECONDS = 0.1


class ScriptedSettings(RecogniserSettings):
    """The recogniser's, and what is said."""

    script: Path = Field(validation_alias="SCRIPT", description="Script as JSON, as `Script.dump` writes it.")


class ScriptedTritonEngine(TritonEngine):
    """Asks the model server for nothing but its health; what is heard is the script's."""

    def __init__(self, url: str, *, script: Script, registry: CollectorRegistry, **more: Any) -> None:
        super().__init__(url, registry=registry, **more)
        self._scripted = ScriptedEngine(script)
        self._lag = Histogram(
            "scripted_event_loop_lag_seconds",
            "How much later than asked for this process was woken.",
            buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5),
            registry=registry,
        )
        self._looking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "ScriptedTritonEngine":
        self._looking = asyncio.create_task(self._look_at_the_loop())
        await super().__aenter__()
        return self

    async def decode(self, window: Window) -> Hypothesis:
        """See WindowEngine."""
        return await self._while_served().decode(window)

    async def glimpse(self, window: Window) -> Hypothesis | None:
        """See WindowEngine."""
        return await self._while_served().glimpse(window)

    async def end_of_turn(self, window: Window) -> float:
        """See WindowEngine."""
        return await self._while_served().end_of_turn(window)

    def _while_served(self) -> ScriptedEngine:
        if not self.ready.is_set():
            raise EngineLostError("the model server is away")
        return self._scripted

    async def _look_at_the_loop(self) -> None:
        while True:
            asked = time.monotonic()
            await asyncio.sleep(_LOOK_SECONDS)
            self._lag.observe(max(0.0, time.monotonic() - asked - _LOOK_SECONDS))


def main() -> None:
    """Read the environment and serve until SIGTERM."""
    settings = load_settings(ScriptedSettings)
    configure_logs("asr", structured=settings.structured_logging, level=settings.log_level)
    script = Script.load(settings.script)

    def engine_of(url: str, **more: Any) -> TritonEngine:
        return ScriptedTritonEngine(url, script=script, **more)

    try:
        asyncio.run(run(settings, engine_of, lambda _: ScriptedVoice(script)))
    except (OSError, RuntimeError) as failure:
        get_logger(__name__).error("cannot start", reason=str(failure))
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
