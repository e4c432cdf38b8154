"""Models that left the spec: when their pools may go. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from streaming_operator import names
from streaming_operator.cache import ChildKey
from streaming_operator.kinds import DEPLOYMENT, POD, STATEFUL_SET, Kind
from streaming_operator.reading import Reading
from streaming_operator.seen import PodState, Seen, Size

# A stream outlives its session by a little.
AFTER_LONGEST_SESSION = timedelta(seconds=120)
LOOK_AGAIN_SECONDS = 10.0


@dataclass(frozen=True)
class Pool:
    """The Deployment of one model's pool, as seen."""

    model: str
    deployment: str
    seen: Seen


def pools(children: Mapping[ChildKey, Seen], owner: str) -> list[Pool]:
    """The pools that the stack with uid `owner` has."""
    return [
        Pool(seen.pool, name, seen)
        for (kind, name), seen in children.items()
        if kind == DEPLOYMENT.name
        and seen.component == names.ASR
        and seen.pool
        and seen.owner == owner
        and not seen.terminating
    ]


def returned(found: Iterable[Pool], wanted: Collection[str]) -> list[Pool]:
    """Pools that were leaving and are wanted again."""
    return [pool for pool in found if pool.model in wanted and pool.seen.leaving_since]


def unwanted(found: Iterable[Pool], wanted: Collection[str]) -> list[Pool]:
    """Pools whose model is not in the spec."""
    return [pool for pool in found if pool.model not in wanted]


def must_stay(
    since: datetime, now: datetime, streams: int | None, *, unlisted_after: timedelta, longest_session: timedelta
) -> bool:
    """Whether a pool whose model left at `since` is still needed; `streams` is None where some pod does not say.

    Until `unlisted_after` a gateway may not have taken the new list of models, and give a pool without streams one.
    """
    age = now - since
    if age < unlisted_after:
        return True
    if age >= longest_session + AFTER_LONGEST_SESSION:
        return False
    return streams is None or streams > 0


def streams_of(pool: str, children: Mapping[ChildKey, Seen], readings: Mapping[str, Reading]) -> int | None:
    """Streams on a pool's pods, `readings` by pod uid; None where a pod that could have some has not said."""
    streams = 0
    for (kind, _), pod in children.items():
        if kind != POD.name or pod.pool != pool or not isinstance(pod.state, PodState) or pod.state.finished:
            continue
        if not pod.state.address:
            continue  # it never ran
        reading = readings.get(pod.uid)
        if reading is None or reading.active is None:
            return None
        streams += reading.active
    return streams


def undelivered_proxies(children: Mapping[ChildKey, Seen], readings: Mapping[str, Reading], wanted: int) -> int:
    """How many licence proxies must stay though `wanted` would do: up to the highest one with usage not delivered.

    A proxy beyond `wanted` that does not answer counts as one that has some, as its claim may: one that has no pod or
    no address now among them. One that answers and counts none, as the vendor's, holds up nothing.
    """
    pods = {_ordinal(name): pod for (kind, name), pod in children.items() if _is_proxy(kind, POD, pod)}
    sizes = [
        seen.state.desired
        for (kind, _), seen in children.items()
        if _is_proxy(kind, STATEFUL_SET, seen) and isinstance(seen.state, Size)
    ]
    size = max(sizes, default=0)
    undelivered = [
        ordinal
        for ordinal in {*range(wanted, size), *(ordinal for ordinal in pods if ordinal >= wanted)}
        if _may_have_usage(pods.get(ordinal), readings, leaves=ordinal >= size)
    ]
    return max(undelivered, default=-1) + 1


def _is_proxy(kind: str, of: Kind, seen: Seen) -> bool:
    return kind == of.name and seen.component == names.LICENSE_PROXY


def _ordinal(pod: str) -> int:
    told = pod.rpartition("-")[2]
    return int(told) if told.isdecimal() else -1


def _may_have_usage(pod: Seen | None, readings: Mapping[str, Reading], *, leaves: bool) -> bool:
    if pod is None or (pod.terminating and leaves):
        return not leaves
    reading = readings.get(pod.uid)
    return reading is None or (reading.backlog or 0) > 0
