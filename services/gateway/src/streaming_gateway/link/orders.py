"""What the session asked for at positions of its audio: finalizes and updates, in order. Pure."""

from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from streamingstack.asr.v1 import recognizer_pb2 as pb

from streaming_gateway.link.api import Hearing

_FIELDS = frozenset(field.name for field in fields(Hearing))
# What one session may have waiting for its audio, or for an answer, or kept for a replay.
MOST_ORDERS = 500
_MOST_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Order:
    """Something that takes effect at position `at`; `number` counts a session's orders from 1."""

    number: int
    at: int
    request: pb.RecognizeRequest
    finalize_id: int = 0
    changes: Mapping[str, Any] | None = None


class Orders:
    """Every order that a replay would have to send again, and the configuration in force before the first of them."""

    def __init__(self, hearing: Hearing) -> None:
        self._base = hearing
        self._orders: list[Order] = []
        self._count = 0
        self._finalizes = 0

    @property
    def full(self) -> bool:
        """Whether the session has ordered more than is kept for it."""
        if len(self._orders) >= MOST_ORDERS:
            return True
        return sum(order.request.ByteSize() for order in self._orders) >= _MOST_BYTES

    def finalize(self, at: int) -> int:
        """Close the open segment at position `at`; returns the Finalize's id.

        One that waits for its answer at the same position does that already: nothing lies between them.
        """
        last = next((order for order in reversed(self._orders) if order.finalize_id), None)
        if last is not None and last.at == at:
            return last.finalize_id
        self._finalizes += 1
        self._count += 1
        request = pb.RecognizeRequest(finalize=pb.Finalize(id=self._finalizes, at_sample=at))
        self._orders.append(Order(self._count, at, request, finalize_id=self._finalizes))
        return self._finalizes

    def update(self, at: int, changes: Mapping[str, Any]) -> None:
        """Change fields of Hearing from position `at` on. Raises TypeError naming a field that does not exist.

        Updates in a row at one position become one, which is sent anew where the first was sent already: that changes
        nothing for the recogniser.
        """
        unknown = sorted(set(changes) - _FIELDS)
        if unknown:
            raise TypeError(f"update: {', '.join(unknown)} cannot be changed; known are {', '.join(sorted(_FIELDS))}")
        if not changes:
            return
        self._count += 1
        self._orders.append(_changing(self._count, at, changes))
        self._join(len(self._orders) - 1)

    def answered(self, finalize_id: int) -> bool:
        """Forget an answered Finalize; False when it was answered before."""
        index = next((i for i, order in enumerate(self._orders) if order.finalize_id == finalize_id), None)
        if index is None:
            return False
        del self._orders[index]
        self._join(index)
        return True

    def first_finalize_at(self) -> int | None:
        """Position of the first Finalize without an answer."""
        return next((order.at for order in self._orders if order.finalize_id), None)

    def forget(self, before: int) -> None:
        """Fold updates up to position `before` into the configuration: no replay begins earlier."""
        folded, self._base = self.in_force(before)
        if folded:
            self._orders = [order for order in self._orders if order.number not in folded]

    def in_force(self, at: int) -> tuple[frozenset[int], Hearing]:
        """The configuration at position `at`, and the numbers of the updates it contains."""
        passed = [order for order in self._orders if order.changes is not None and order.at <= at]
        hearing = self._base
        for order in passed:
            hearing = replace(hearing, **(order.changes or {}))
        return frozenset(order.number for order in passed), hearing

    def after(self, number: int, skip: Collection[int]) -> Order | None:
        """The first order behind `number` that is not in `skip`."""
        return next((order for order in self._behind(number) if order.number not in skip), None)

    def _behind(self, number: int) -> Iterator[Order]:
        first = bisect_right(self._orders, number, key=lambda order: order.number)
        return (self._orders[i] for i in range(first, len(self._orders)))

    def _join(self, index: int) -> None:
        """Make one of the orders at `index` and before it where both are updates of one position."""
        pair = self._orders[max(0, index - 1) : index + 1]
        if len(pair) == 2 and pair[0].at == pair[1].at and all(order.changes is not None for order in pair):
            changes = {**(pair[0].changes or {}), **(pair[1].changes or {})}
            self._orders[index - 1 : index + 1] = [_changing(pair[1].number, pair[1].at, changes)]


def _changing(number: int, at: int, changes: Mapping[str, Any]) -> Order:
    return Order(number, at, pb.RecognizeRequest(update=_update(at, changes)), changes=dict(changes))


def _update(at: int, changes: Mapping[str, Any]) -> pb.Update:
    update = pb.Update(at_sample=at)
    for name, value in changes.items():
        if name == "checkpoints_ms":
            update.checkpoints.CopyFrom(pb.Checkpoints(ms=value))
        elif name == "language_codes":
            update.language_codes.CopyFrom(pb.LanguageCodes(codes=value))
        elif name == "keyterms":
            update.keyterms.CopyFrom(pb.Keyterms(terms=value))
        else:
            setattr(update, name, value)
    return update
