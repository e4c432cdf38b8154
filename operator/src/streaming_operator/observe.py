"""From what was seen of a stack's children and pods to `facts.Observed`. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from streaming_operator import names
from streaming_operator.cache import ChildKey
from streaming_operator.facts import ChildFailure, Observed, PodsFact
from streaming_operator.kinds import AUTOSCALER, DEPLOYMENT, HTTP_ROUTE, POD, STATEFUL_SET
from streaming_operator.reading import Reading
from streaming_operator.seen import Acceptance, Autoscaling, PodState, Seen, Size

Read = Callable[[Seen], Reading | None]
# The worst licence state wins: one proxy that cannot check in is worth knowing.
_LICENSE_STATES = ("Failed", "TrustBased", "Ready", "Connected")
_MOST_BLOCKED = 5
_NONE: Mapping[str, int] = MappingProxyType({})


def observe(
    stack: str,
    models: Iterable[str],
    children: Mapping[ChildKey, Seen],
    read: Read,
    failures: Sequence[ChildFailure] = (),
    held: Sequence[str] = (),
    sizes: Mapping[str, int] = _NONE,
) -> Observed:
    """What is there of `stack` with these `models`, those that leave included.

    `sizes`: how many pods a Deployment had, by name; that is still wanted where it is missing and cannot be made.
    """
    by_component = _by_component(children)

    def part(kind: str, name: str, component: str, pool: str = "") -> PodsFact:
        workload, missing = children.get((kind, name)), Size(desired=sizes.get(name, 0))
        return _pods_fact(workload, missing, by_component.get((component, pool), []), read)

    proxies = _readings(by_component.get((names.LICENSE_PROXY, ""), ()), read)
    stores = _readings(by_component.get((names.MODEL_STORE, ""), ()), read)
    state, trusted = _license(proxies)
    return Observed(
        gateway=part(DEPLOYMENT.name, names.gateway(stack), names.GATEWAY),
        license_proxy=part(STATEFUL_SET.name, names.license_proxy(stack), names.LICENSE_PROXY),
        load_balancer=part(DEPLOYMENT.name, names.load_balancer(stack), names.LOAD_BALANCER),
        model_store=part(DEPLOYMENT.name, names.model_store(stack), names.MODEL_STORE),
        sync_api=part(DEPLOYMENT.name, names.sync_api(stack), names.SYNC_API),
        models={model: part(DEPLOYMENT.name, names.pool(stack, model), names.ASR, model) for model in models},
        license_state=state,
        trust_expiration=trusted,
        usage_backlog=_backlog(proxies),
        digests={name: digest for store in stores for name, digest in store.digests.items()},
        failures=tuple(failures),
        scaling_blocked=_scaling_blocked(children),
        route_accepted=_route_accepted(children),
        fetch_errors={name: error for store in stores for name, error in store.errors.items()},
        gateway_held=names.gateway(stack) in held,
    )


def _readings(pods: Iterable[Seen], read: Read) -> list[Reading]:
    """Of those that said something."""
    return [reading for pod in pods if (reading := read(pod))]


def _backlog(proxies: Sequence[Reading]) -> int | None:
    known = [reading.backlog for reading in proxies if reading.backlog is not None]
    return sum(known) if known else None


def _by_component(children: Mapping[ChildKey, Seen]) -> dict[tuple[str, str], list[Seen]]:
    """Pods that have not finished, by component and pool."""
    pods = [seen for (kind, _), seen in children.items() if kind == POD.name and not _finished(seen)]
    found: dict[tuple[str, str], list[Seen]] = {}
    for pod in pods:
        found.setdefault((pod.component, pod.pool), []).append(pod)
    return found


def _pods_fact(workload: Seen | None, missing: Size, pods: Sequence[Seen], read: Read) -> PodsFact:
    size = workload.state if workload and isinstance(workload.state, Size) else missing
    staying = [pod for pod in pods if not pod.terminating]
    draining = [pod for pod in pods if pod.terminating]
    blocked = list(
        dict.fromkeys(pod.state.blocked for pod in staying if isinstance(pod.state, PodState) and pod.state.blocked)
    )
    if size.failure:
        blocked.insert(0, ("Quota" if "exceeded quota" in size.failure else "FailedCreate", size.failure))
    ready = [pod for pod in staying if _ready(pod)]
    return PodsFact(
        desired=size.desired,
        ready=len(ready) if pods else size.ready,
        draining=len(draining),
        active=_sum(reading.active for pod in staying if (reading := read(pod))),
        capacity=_sum(reading.capacity for pod in ready if (reading := read(pod))),
        draining_active=_sum(reading.active for pod in draining if (reading := read(pod))),
        blocked=tuple(blocked[:_MOST_BLOCKED]),
        rolled=size.rolled,
        loading_since=_loading_since(staying),
    )


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _loading_since(pods: Iterable[Seen]) -> datetime | None:
    """Creation of the oldest pod that is not ready."""
    made = [
        pod.state.created
        for pod in pods
        if isinstance(pod.state, PodState) and not pod.state.ready and pod.state.address and pod.state.created
    ]
    return datetime.fromisoformat(min(made)) if made else None


def _license(proxies: Sequence[Reading]) -> tuple[str | None, datetime | None]:
    told = [reading for reading in proxies if reading.license_state is not None]
    for state in _LICENSE_STATES:
        of_state = [reading for reading in told if reading.license_state == state]
        if of_state:
            until = [reading.trust_expiration for reading in of_state if reading.trust_expiration is not None]
            return state, min(until, default=None)
    return (told[0].license_state, None) if told else (None, None)


def _scaling_blocked(children: Mapping[ChildKey, Seen]) -> tuple[tuple[str, str], ...]:
    return tuple(
        sorted(
            (name, seen.state.blocked)
            for (kind, name), seen in children.items()
            if kind == AUTOSCALER.name and isinstance(seen.state, Autoscaling) and seen.state.blocked
        )
    )


def _route_accepted(children: Mapping[ChildKey, Seen]) -> tuple[bool, str] | None:
    for (kind, _), seen in children.items():
        if kind == HTTP_ROUTE.name and isinstance(seen.state, Acceptance) and seen.state.accepted is not None:
            return seen.state.accepted, seen.state.message
    return None


def _ready(pod: Seen) -> bool:
    return isinstance(pod.state, PodState) and pod.state.ready


def _finished(pod: Seen) -> bool:
    return isinstance(pod.state, PodState) and pod.state.finished
