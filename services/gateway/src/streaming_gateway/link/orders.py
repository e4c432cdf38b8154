"""What the session asked for at positions of its audio: finalizes and updates, in order. Pure."""

from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from streamingstack.asr.v1 import recognizer_pb2 as pb

from streaming_gateway.link.api import Hearing

_FIELDS = frozenset(field.name for field in fields(Hearing))


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

    def finalize(self, at: int) -> int:
        """Close the open segment at position `at`; returns the Finalize's id."""
        self._finalizes += 1
        request = pb.RecognizeRequest(finalize=pb.Finalize(id=self._finalizes, at_sample=at))
        self._add(at, request, finalize_id=self._finalizes)
        return self._finalizes

    def update(self, at: int, changes: Mapping[str, Any]) -> None:
        """Change fields of Hearing from position `at` on. Raises TypeError naming a field that does not exist."""
        unknown = sorted(set(changes) - _FIELDS)
        if unknown:
            raise TypeError(f"update: {', '.join(unknown)} cannot be changed; known are {', '.join(sorted(_FIELDS))}")
        if changes:
            self._add(at, pb.RecognizeRequest(update=_update(at, changes)), changes=dict(changes))

    def answered(self, finalize_id: int) -> bool:
        """Forget an answered Finalize; False when it was answered before."""
        left = [order for order in self._orders if order.finalize_id != finalize_id]
        found = len(left) < len(self._orders)
        self._orders = left
        return found

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

    def _add(self, at: int, request: pb.RecognizeRequest, **more: Any) -> None:
        self._count += 1
        self._orders.append(Order(self._count, at, request, **more))


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
