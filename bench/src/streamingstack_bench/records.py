"""What a run leaves behind: messages with their times, sessions with their fate, processes with their cost."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from streamingstack_bench.clips import Programme

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Received:
    """A message of the server; `at_s` is seconds since the first sample of the audio was spoken (before it: < 0)."""

    at_s: float
    message: Message


Fate = Literal["completed", "refused", "broken"]


@dataclass
class Session:
    """What became of a session. All times in seconds since its first sample was spoken; `late_s` one value a chunk.

    Refused: the server said no before any audio. Broken: it ended without Termination, or not in time.
    `configuration` is what Begin told, `ordered_s` when each of the client's orders was sent.
    """

    fate: Fate = "broken"
    reason: str = ""
    begin_s: float = 0.0
    received: list[Received] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)
    sent_s: float = 0.0
    finished_s: float | None = None
    violations: list[str] = field(default_factory=list)
    configuration: Mapping[str, Any] = field(default_factory=dict)
    ordered_s: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Played:
    """One session and what it played."""

    programme: Programme
    session: Session


@dataclass(frozen=True)
class Part:
    """One part of the stack; memory in bytes (PSS), processor time in seconds."""

    processes: int
    pss_mean: float
    pss_peak: int
    cpu_s: float


@dataclass(frozen=True)
class Cost:
    """The whole stack over a measured span. `others_cores`: what everything else on the machine used meanwhile."""

    span_s: float
    cpu_s: float
    pss_mean: float
    pss_peak: int
    parts: dict[str, Part]
    others_cores: float
