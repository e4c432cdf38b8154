"""What rules a session's turns, and when a change of it counts."""

from collections import deque
from dataclasses import dataclass

from stack_model.catalogue import Family

DEFAULT_CONFIDENCE_THRESHOLD = 0.4


@dataclass(frozen=True)
class TurnConfig:
    """Resolved settings of one session's turns; silences and delays in milliseconds of audio.

    `language`: an ISO 639-1 code, what is spoken as long as nobody has heard it.
    """

    family: Family
    min_turn_silence: int
    max_turn_silence: int
    end_of_turn_confidence_threshold: float = DEFAULT_CONFIDENCE_THRESHOLD
    format_turns: bool = False
    include_partial_turns: bool = True
    report_language: bool = False
    continuous_partials: bool = False
    interruption_delay: int = 500
    filter_profanity: bool = False
    language: str = ""


class Timeline:
    """The configuration in force at a position: a checkpoint is judged by the one at its sample, not at its arrival."""

    def __init__(self, config: TurnConfig) -> None:
        self._current = config
        self._pending: deque[tuple[int, TurnConfig]] = deque()

    @property
    def waiting(self) -> int:
        """Changes that are not in force yet."""
        return len(self._pending)

    def change(self, at_sample: int, config: TurnConfig) -> None:
        """From `at_sample` on, `config` is in force. Positions never go back."""
        if self._pending and self._pending[-1][0] == at_sample:
            self._pending.pop()
        self._pending.append((at_sample, config))

    def at(self, sample: int) -> TurnConfig:
        """The configuration at `sample`; asked with positions that never go back."""
        while self._pending and self._pending[0][0] <= sample:
            self._current = self._pending.popleft()[1]
        return self._current
