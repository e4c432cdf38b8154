"""Glimpses serve tentative words alone: one that is dropped, or that fails, changes nothing else."""

import asyncio

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from streaming_asr.engine import SAMPLE_RATE, EngineLostError, Hypothesis, Window
from streaming_asr.server import Serving, serve_recogniser
from streaming_asr.triton.client import COMMIT, GLIMPSE, TritonEngine
from streamingstack_bench.peer import Delivery, play
from streamingstack_bench.scripted import ROUTES, Script, ScriptedEngine, ScriptedVoice
from tritonclient.utils import InferenceServerException


@pytest.mark.parametrize(
    ("priority", "message", "stays"),
    [
        (GLIMPSE, "Request timeout expired", True),
        (GLIMPSE, "[request id: 7] Exceeds maximum queue size", True),
        (GLIMPSE, "failed to connect to all addresses", False),
        (COMMIT, "Socket closed", False),
    ],
)
async def test_of_a_dropped_glimpse_only_a_server_that_is_gone_is_given_up(
    priority: int, message: str, stays: bool
) -> None:
    engine = TritonEngine("127.0.0.1:1", registry=CollectorRegistry())
    engine.ready.set()
    engine.lost.clear()
    failure = InferenceServerException(message, status="StatusCode.UNAVAILABLE")
    meaning = engine._failed(failure, "whisper", priority)
    assert isinstance(meaning, EngineLostError) != stays
    assert engine.ready.is_set() == stays


class Failing(ScriptedEngine):
    """Its glimpses fail in a way that nobody foresaw, with a text that quotes what was said."""

    glimpses = 0

    async def glimpse(self, window: Window) -> Hypothesis | None:
        self.glimpses += 1
        raise RuntimeError("aubergine")


async def test_a_glimpse_that_fails_is_logged_without_its_text_and_costs_no_final_word(
    capfd: pytest.CaptureFixture[str],
) -> None:
    unheard: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unheard.append(context))
    script = Script.of("aubergine bassoon chrysalis | dromedary")
    engine = Failing(script)
    serving = Serving(ROUTES, 4, host="127.0.0.1")
    async with serve_recogniser(serving, engine, ScriptedVoice(script)) as server:
        silence = np.zeros(5 * SAMPLE_RATE, np.int16)
        result = await play(f"127.0.0.1:{server.port}", silence, how=Delivery(100, 4.0))
    assert result.text() == "aubergine bassoon chrysalis dromedary"
    assert engine.glimpses
    logged = "".join(capfd.readouterr())
    assert "a glimpse failed" in logged
    assert "test_glimpses.py:" in logged
    assert "aubergine" not in logged
    assert unheard == []
