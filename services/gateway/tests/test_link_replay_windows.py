"""A resumed stream decodes the very windows that the lost one would have: another window is heard otherwise.

What is replayed reaches back as far as the longest window and the context before a segment, as the recogniser asks.
"""

import pytest
from lossy_link import Loss, Peer, Played, Session
from streaming_asr.engine import Hypothesis, Window
from streaming_gateway.link.ledger import Plan
from streamingstack_bench.scripted import Script, ScriptedEngine

LEFT_CONTEXT_MS = 24_000  # as recognisers have it by default


class NotingEngine(ScriptedEngine):
    """Notes every window that is decoded for final words: begin and end."""

    def __init__(self, script: Script, noted: list[tuple[int, int]]) -> None:
        super().__init__(script)
        self._noted = noted

    async def decode(self, window: Window) -> Hypothesis:
        self._noted.append((window.first_sample, window.first_sample + len(window.pcm)))
        return await super().decode(window)

    async def glimpse(self, window: Window) -> Hypothesis | None:
        return None


class NotingPlayed(Played):
    """A session whose recognisers note their windows."""

    def __init__(self, script: Script, session: Session, losses: list[Loss]) -> None:
        super().__init__(script, session, losses)
        self.windows: list[tuple[int, int]] = []

    def peer(self, plan: Plan) -> Peer:
        engine = NotingEngine(self.script, self.windows)
        return Peer(self.script, plan, self.session.replacing, engine=engine, left_context_ms=LEFT_CONTEXT_MS)


async def played(script: Script, seconds: float, losses: list[Loss]) -> NotingPlayed:
    one = NotingPlayed(script, Session(seconds, 640), losses)
    await one.run()
    return one


PAUSES = Script.of("one two three four five six | seven eight nine ten | | twelve thirteen fourteen | | the end")
NO_PAUSE = Script.of(" ".join(f"w{number}" for number in range(60)), gap_ms=60)


@pytest.mark.parametrize(("script", "seconds"), [(PAUSES, 16.0), (NO_PAUSE, 25.0)], ids=["pauses", "no pause for 22 s"])
async def test_no_loss_makes_another_window(script: Script, seconds: float) -> None:
    whole = await played(script, seconds, [])
    assert len(set(whole.windows)) > 9
    for count in range(1, whole.count + 1):
        cut = await played(script, seconds, [Loss(count, "before")])
        assert not set(cut.windows) - set(whole.windows), f"loss at {count}"
        assert cut.session.told.comparable() == whole.session.told.comparable()
