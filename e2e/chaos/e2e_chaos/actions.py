"""What is done to a cluster and seen of it: pods as they are, troubles made and released."""

from collections.abc import Callable
from dataclasses import dataclass, field

from e2e_cluster.errors import ClusterError
from kubernetes.client import V1Pod
from kubernetes.client.exceptions import ApiException
from live_namespace import is_ready
from scripted_stack import Running

from e2e_chaos.parts import Container, Layout, Made, PodView
from e2e_chaos.plan import Trouble
from e2e_chaos.sessions import Clock

_COMPONENT, _POOL = "app.kubernetes.io/component", "streamingstack.dev/pool"
# Longer than any part takes to come back on a busy machine; then the trouble counts as never over.
_GIVEN_UP_SECONDS = 180.0


@dataclass
class Actions:
    """Makes the troubles of a plan, one replica of a part at a time. `say` hears a line for each."""

    running: Running
    layout: Layout
    clock: Clock
    say: Callable[[str], None]
    made: list[Made] = field(default_factory=list)
    skipped: list[Trouble] = field(default_factory=list)

    def pods(self) -> list[PodView]:
        """All pods of the stack and of the operator."""
        name = self.running.namespace.name
        own = self.running.namespace.core.list_namespaced_pod(name).items
        operators = self.running.operator.core.list_namespaced_pod(self.running.operator.name).items
        return [
            *(view(pod) for pod in own if _COMPONENT in (pod.metadata.labels or {})),
            *map(view_operator, operators),
        ]

    def make(self, trouble: Trouble, pods: list[PodView]) -> None:
        """Do it, and remember what was hit. Raises ClusterError, ApiException."""
        if trouble.part == "node":
            node = self.layout.cuttable
            made = Made(trouble, self.clock(), node)
            self.running.namespace.door.cut(node)
        else:
            victim = self.layout.victim(trouble, pods)
            made = Made(trouble, self.clock(), victim.name, victim)
            self._hit(trouble, victim)
        self.made.append(made)
        held = f" for {trouble.hold_s:.0f} s" if trouble.hold_s else ""
        self.say(f"{trouble.part}: {trouble.kind} {made.target}{held}")

    def attempt(self, trouble: Trouble, pods: list[PodView]) -> None:
        """Make it; left out where what it was to hit went away just then."""
        try:
            self.make(trouble, pods)
        except (ClusterError, ApiException, IndexError, KeyError) as gone:
            self.skipped.append(trouble)
            self.say(f"{trouble.part}: nothing to {trouble.kind}: {type(gone).__name__}")

    def look(self, pods: list[PodView]) -> None:
        """Release what is due, and note what is whole again."""
        now = self.clock()
        for made in self.made:
            if made.release_at is not None and now >= made.release_at:
                self._release(made)
            if made.whole_at is None and made.is_over(self.layout, pods):
                made.whole_at = now
                self.say(f"{made.trouble.part}: whole again after {now - made.at:.1f} s")
            elif made.whole_at is None and now - made.at > _GIVEN_UP_SECONDS:
                raise ClusterError(f"{made.trouble.part} {made.target} did not come back in {_GIVEN_UP_SECONDS:.0f} s")

    def release_all(self) -> None:
        """Thaw and restore whatever is still held: a run that ends early leaves nothing frozen."""
        for made in self.made:
            if made.release_at is not None:
                self._release(made)

    def _hit(self, trouble: Trouble, victim: PodView) -> None:
        space = self.running.operator if trouble.part == "operator" else self.running.namespace
        if trouble.kind == "delete":
            space.core.delete_namespaced_pod(victim.name, space.name)
            return
        container = victim.containers[self.layout.places[trouble.part].container]
        (space.door.kill if trouble.kind == "kill" else space.door.freeze)(victim.node, container.id)

    def _release(self, made: Made) -> None:
        door = self.running.namespace.door
        if made.victim is None:
            door.restore(made.target)
        else:
            container = made.victim.containers[self.layout.places[made.trouble.part].container]
            door.thaw(made.victim.node, container.id)
        made.released_at = self.clock()


def view(pod: V1Pod) -> PodView:
    """A pod of the stack."""
    labels = pod.metadata.labels
    pool = labels.get(_POOL)
    return _view(pod, f"{labels[_COMPONENT]}/{pool}" if pool else labels[_COMPONENT])


def view_operator(pod: V1Pod) -> PodView:
    """A pod of the operator."""
    return _view(pod, "operator")


def _view(pod: V1Pod, role: str) -> PodView:
    statuses = [*(pod.status.container_statuses or []), *(pod.status.init_container_statuses or [])]
    return PodView(
        name=pod.metadata.name,
        uid=pod.metadata.uid,
        node=pod.spec.node_name or "",
        role=role,
        ready=is_ready(pod),
        leaving=pod.metadata.deletion_timestamp is not None,
        containers={
            status.name: Container(status.container_id or "", status.restart_count, bool(status.ready))
            for status in statuses
        },
    )
