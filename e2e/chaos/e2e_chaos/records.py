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
