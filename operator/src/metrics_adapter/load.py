"""The load of each pod, and of each Deployment, from what its pods said. Pure.

What becomes of a pod that has no value, by cause:

- *It ends* (deletionTimestamp), *has finished*, or *drains*: no value, and it counts for nothing. The HPA itself leaves
  out pods that end or failed. Their sessions stay where they are until they are over: nowhere else is room needed.
- *It is silent, or its last word is older than `stale_after`*: no value. The HPA takes such a pod as idle when the
  others ask for more pods, and as full (at its target) when they ask for fewer: it never scales in on ignorance.
  `demand` does the same for KEDA, which sees one number instead of the pods.
- *It has no address yet* (pending): no value; the HPA leaves it out, as it does with every pending pod.

The headroom is shared among the pods that have a value, so their sum is right however many are silent.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from metrics_adapter.catalogue import PARTS, Part
from metrics_adapter.pods import Group, Pod, Pods
from metrics_adapter.samples import WINDOW_SECONDS, History, Sample
from metrics_adapter.stacks import Stacks


@dataclass(frozen=True)
class Value:
    """One metric of one pod. `milli` is a thousandth of a session or stream; `window` in seconds, None for a moment."""

    pod: Pod
    milli: int
    taken: datetime
    window: int | None = None


class NoLoadKnownError(Exception):
    """No pod of a Deployment says anything; the text says which."""


@dataclass
class Loads:
    """Pods, stacks and what pods said, seen together. `histories` is by the pod's uid."""

    pods: Pods
    stacks: Stacks
    histories: dict[str, History]
    stale_after: float

    def values(self, metric: str, part: Part, pods: Iterable[Pod], now: float) -> list[Value]:
        """A value for each of the pods that has one."""
        shares: dict[Group, float] = {}
        found = []
        for pod in pods:
            sample = self._said(pod, now) if pod.group and pod.group.component == part.component else None
            if sample is None or pod.group is None:
                continue
            if metric == part.active:
                found.append(Value(pod, sample.active * 1000, sample.taken))
            elif metric == part.capacity:
                found.append(Value(pod, sample.capacity * 1000, sample.taken))
            else:
                if pod.group not in shares:
                    shares[pod.group] = self._headroom_share(pod.group, now)
                wanted = sample.active + self._refused(pod, now) + shares[pod.group]
                found.append(Value(pod, round(wanted * 1000), sample.taken, int(WINDOW_SECONDS)))
        return found

    def demand(self, group: Group, now: float, target: int | None = None) -> float:
        """Sessions or streams that all pods of a Deployment should carry; those that are silent stand for the target.

        Raises NoLoadKnownError.
        """
        part = PARTS[group.component]
        pods = [pod for pod in self.pods.of_group(group) if pod.counts and not self._drains(pod, now)]
        values = self.values(part.wanted, part, pods, now)
        if not values:
            raise NoLoadKnownError(f"no {group.component} pod of {'/'.join(group.stack)} {group.pool} tells its load")
        aim = self.stacks.aim(group)
        assumed = target if target is not None else aim.target if aim else 0
        # One that is not ready has nothing to say yet.
        silent = sum(pod.ready for pod in pods) - sum(value.pod.ready for value in values)
        return sum(value.milli for value in values) / 1000 + silent * assumed

    def _said(self, pod: Pod, now: float) -> Sample | None:
        """The pod's last words, where they count."""
        history = self.histories.get(pod.uid)
        sample = history.fresh(now, self.stale_after) if history and pod.counts else None
        return None if sample is None or sample.draining else sample

    def _drains(self, pod: Pod, now: float) -> bool:
        history = self.histories.get(pod.uid)
        sample = history.fresh(now, self.stale_after) if history else None
        return sample is not None and sample.draining

    def _refused(self, pod: Pod, now: float) -> float:
        history = self.histories.get(pod.uid)
        return history.refused(now) if history else 0.0

    def _headroom_share(self, group: Group, now: float) -> float:
        aim = self.stacks.aim(group)
        told = sum(self._said(pod, now) is not None for pod in self.pods.of_group(group))
        return aim.headroom / told if aim and told else 0.0
