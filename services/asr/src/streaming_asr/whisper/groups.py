"""Which requests of a batch may run together, and how they are spread over workers. Pure."""

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

T = TypeVar("T")


def together(requests: Sequence[T], shape: Callable[[T], Hashable]) -> list[list[T]]:
    """Requests of one shape each, in the order in which the shapes first appear."""
    groups: dict[Hashable, list[T]] = {}
    for request in requests:
        groups.setdefault(shape(request), []).append(request)
    return list(groups.values())


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
