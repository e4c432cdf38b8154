"""What a run leaves behind: words with their times, sessions with their end. Pure."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Word:
    """A word; times in milliseconds since the session's first sample."""

    text: str
    start_ms: int
    end_ms: int


@dataclass
class Heard:
    """What one session heard: the words of ended turns, and how the session ended.

    `lags` are (seconds on the run's clock, seconds from the end of the word's sound until it was final at the client),
    one for each word in the order in which they became final. `late_s` is how late the client itself was, at most.
    """

    name: str
    session_id: str = ""
    words: list[Word] = field(default_factory=list)
    lags: list[tuple[float, float]] = field(default_factory=list)
    begun_at: float = 0.0
    begin_s: float = 0.0
    sent_s: float = 0.0
    late_s: float = 0.0
    code: int = 0
    reason: str = ""
    terminated: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether it ended as its client asked."""
        return self.terminated and self.code == 1000


@dataclass(frozen=True)
class Lost:
    """A stream that a gateway lost, by its log: when on the run's clock, whose, and why."""

    at: float
    session: str
    reason: str


@dataclass
class Outcome:
    """A whole run: what sessions heard, what gateways lost and counted, how busy the machine was: `pods_cores` are
    what all pods used on the mean, `busy` is the share of all cores that was used by anybody.

    `began` and all times are on the run's clock; `counted` are differences of the gateways' metrics by sample, and
    `lag` those of the scripted recognisers' event loops at the end.
    """

    began: float
    scripted: list[Heard]
    speech: list[Heard]
    lost: list[Lost] = field(default_factory=list)
    counted: dict[str, float] = field(default_factory=dict)
    lag: dict[str, float] = field(default_factory=dict)
    busy: float = 0.0
    pods_cores: float = 0.0


@dataclass(frozen=True)
class Comeback:
    """A client and its sessions: the one that broke off, and the one after it; `away_s` from the break to Begin."""

    sessions: tuple[Heard, ...]
    away_s: float = 0.0

    @property
    def broke_off(self) -> bool:
        """Whether it needed a second session."""
        return len(self.sessions) > 1


@dataclass(frozen=True)
class Metered:
    """Usage over some sessions, in seconds of audio; `missing` sessions are unknown, `most_short_s` the worst loss."""

    sessions: int
    sent_s: float
    metered_s: float
    missing: int
    most_short_s: float
    most_over_s: float
