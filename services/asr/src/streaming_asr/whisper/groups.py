"""Which requests of a batch may run together, and how they are spread over workers. Pure."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def together(requests: Sequence[T], shape: Callable[[T], Hashable]) -> list[list[T]]:
    """Requests of one shape each, in the order in which the shapes first appear."""
    groups: dict[Hashable, list[T]] = {}
    for request in requests:
        groups.setdefault(shape(request), []).append(request)
    return list(groups.values())


def each(run: Callable[[Sequence[T]], Sequence[R]], group: Sequence[T]) -> Iterator[tuple[T, R | Exception]]:
    """What `run` gives for each request, all at once; where that fails, one by one: what breaks one, breaks that alone.

    A failure is given, not raised: every request must be answered.
    """
    try:
        results = run(group)
    except Exception as failure:  # noqa: BLE001 - whatever it is
        if len(group) == 1:
            yield group[0], failure
            return
        for one in group:
            yield from each(run, [one])
    else:
        yield from zip(group, results, strict=True)


def split_evenly(groups: Sequence[Sequence[T]], workers: int, most: int) -> list[list[T]]:
    """The groups, cut so that no piece is greater than `most` and, while there are fewer pieces than workers, further.

    Pieces of one group differ by one request at most.
    """
    spare = max(1, workers // max(1, len(groups)))
    pieces: list[list[T]] = []
    for group in groups:
        count = max(-(-len(group) // most), min(spare, len(group)))
        size, longer = divmod(len(group), count)
        begin = 0
        for number in range(count):
            end = begin + size + (number < longer)
            pieces.append(list(group[begin:end]))
            begin = end
    return pieces
