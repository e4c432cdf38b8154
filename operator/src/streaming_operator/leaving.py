"""Models that left the spec: when their pools may go. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from streaming_operator import names
from streaming_operator.cache import ChildKey
from streaming_operator.kinds import DEPLOYMENT, POD
from streaming_operator.reading import Reading
from streaming_operator.seen import PodState, Seen

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

    A proxy beyond `wanted` that does not answer counts as one that has some; one that answers and counts none, as the
    vendor's, holds up nothing.
    """
    highest = 0
    for (kind, name), pod in children.items():
        ordinal = name.rpartition("-")[2]
        if kind != POD.name or pod.component != names.LICENSE_PROXY or not ordinal.isdecimal() or int(ordinal) < wanted:
            continue
        reading = readings.get(pod.uid)
        if pod.terminating or not isinstance(pod.state, PodState) or not pod.state.address:
            continue
        if reading is None or (reading.backlog or 0) > 0:
            highest = max(highest, int(ordinal) + 1)
    return highest
