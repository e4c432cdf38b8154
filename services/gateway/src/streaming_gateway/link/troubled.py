"""Which recognisers of a route a new stream had better avoid: in trouble a moment ago, or silent since. Pure.

A pod goes by the address that the load balancer tells as `x-upstream-pod`. Readiness takes a broken pod out within
seconds; until then it has the fewest connections, so that the load balancer would send it every new stream.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable

_TROUBLED_SECONDS = 15.0
_KNOWN_SECONDS = 60.0
_MOST = 8


class Pods:
    """The recognisers that this gateway has met, by route."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock`: seconds that never go back."""
        self._clock = clock
        self._heard: defaultdict[str, dict[str, float]] = defaultdict(dict)
        self._troubled: defaultdict[str, dict[str, float]] = defaultdict(dict)

    def heard(self, route: str, pod: str) -> None:
        """It sent a message: whatever it broke, it lives."""
        if pod:
            self._heard[route][pod] = self._clock()
            self._troubled[route].pop(pod, None)

    def troubled(self, route: str, pod: str) -> None:
        """A stream was lost there, or refused for another reason than want of places."""
        if pod:
            self._troubled[route].pop(pod, None)  # the newest last
            self._troubled[route][pod] = self._clock()

    def avoid(self, route: str, first: Iterable[str], silent_since: float | None = None) -> tuple[str, ...]:
        """`first`, then the pods in trouble, the newest first, then those without a message since `silent_since`.

        Where several are that silent and no other is known, the last one heard is not named.
        """
        now = self._clock()
        troubled, heard = self._troubled[route], self._heard[route]
        _drop_before(troubled, now - _TROUBLED_SECONDS)
        _drop_before(heard, now - _KNOWN_SECONDS)
        oldest_first = sorted(heard, key=heard.__getitem__)
        silent = [] if silent_since is None else [pod for pod in oldest_first if heard[pod] < silent_since]
        if len(silent) == len(heard) > 1:
            silent.pop()
        return tuple(dict.fromkeys(filter(None, [*first, *reversed(troubled), *silent])))[:_MOST]


def _drop_before(times: dict[str, float], oldest: float) -> None:
    for pod in [pod for pod, at in times.items() if at < oldest]:
        del times[pod]
