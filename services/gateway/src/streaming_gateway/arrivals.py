"""When each part of the audio arrived, to tell how long a client waited for what was said in it."""

from bisect import bisect_left
from collections import deque

_REMEMBERED = 4096


class Arrivals:
    """The newest few thousand frames: positions in samples, times in seconds of a steady clock."""

    def __init__(self) -> None:
        self._ends: deque[int] = deque(maxlen=_REMEMBERED)
        self._times: deque[float] = deque(maxlen=_REMEMBERED)

    def arrived(self, through_sample: int, now: float) -> None:
        """Audio up to `through_sample` is here."""
        self._ends.append(through_sample)
        self._times.append(now)

    def waited(self, sample: int, now: float) -> float | None:
        """Seconds since the audio at `sample` came; None where that is not known any more."""
        place = bisect_left(self._ends, sample)
        if not self._ends or place == len(self._ends) or (place == 0 and len(self._ends) == _REMEMBERED):
            return None
        return now - self._times[place]
