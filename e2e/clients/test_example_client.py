"""The flow of the self-hosted stack's example, on the websockets it holds: it trusts the server with every wait and
every field. It is written anew, and not the example itself."""

from pathlib import Path
from typing import Any

import pytest
from client_runs import EXAMPLE, run_client


@pytest.mark.check(100)
@pytest.mark.parametrize("speed", [None, 4.0], ids=["burst", "paced"])
async def test_the_example_completes_a_session(plain_stack: Any, recording: Path, speed: float | None) -> None:
    told = await run_client(EXAMPLE, plain_stack.url, audio=recording, speed=speed, keyterms='["Helstone"]')
    assert told.code == 0, told.log
    assert [event["event"] for event in (told.events[0], *told.events[-3:])] == [
        "begin", "termination", "closed", "completed",
    ]  # fmt: skip
    assert told.finals(formatted=True) == ["Hello there, this is a test.", "Done."]
    assert told.one("termination")["audio"] == 22
    assert (told.one("closed")["code"], told.one("closed")["reason"]) == (1000, "Session Ended")
    assert told.of("unknown") == []
    assert [event["websockets"] for event in told.of("completed")] == ["15.0.1"]


async def test_the_example_reads_universal_3_too(stack: Any, recording: Path) -> None:
    async with stack(replacing=True) as running:
        told = await run_client(EXAMPLE, running.url, audio=recording, speech_model="universal-3-5-pro")
    assert told.code == 0, told.log
    assert told.finals(formatted=True) == ["Hello there, this is a test.", "Done."]
    assert len(told.of("speech_started")) == 2
    assert told.one("completed")
