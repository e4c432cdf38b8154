"""Sessions of the script around a trouble, each of which has to hear every word once."""

import asyncio
import concurrent.futures
import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from e2e_chaos.records import Heard, Word
from e2e_chaos.sessions import Speech, speak_all
from e2e_chaos.verdict import judge_all
from live_namespace import until
from scripted_stack import SCRIPT, SCRIPTED_MODEL, Running
from streamingstack_bench.long_script import quiet_end

SAID = [Word(word.text, word.start_ms, word.end_ms) for word in SCRIPT.words]
SESSIONS = 4
# Until something is final, and something is not.
_UNDER_WAY_SECONDS = 4.0


@dataclass
class Talk:
    """Sessions that run since `began`; `heard` when they have ended."""

    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    heard: list[Heard] = field(default_factory=list)


@contextlib.contextmanager
def talk(running: Running, seconds: float) -> Iterator[Talk]:
    """Sessions of about that length, under way when the block begins; at its end each has heard every word once."""
    seconds = quiet_end(SCRIPT, seconds)
    speech = [Speech(f"scripted {number}", SCRIPTED_MODEL, seconds) for number in range(SESSIONS)]
    told = Talk()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        sessions = pool.submit(lambda: asyncio.run(speak_all(running.where, speech, time.monotonic, over_s=1.0)))
        until("sessions are heard", lambda: sessions.done() or running.streams() == SESSIONS, 30)
        time.sleep(_UNDER_WAY_SECONDS)
        yield told
        assert not sessions.done(), "the sessions were too short for this machine"
        told.heard = sessions.result(timeout=seconds + 120)
    found = judge_all(told.heard, SAID, seconds)
    assert found.is_clean, found
    assert found.moved_ms == 0, found
