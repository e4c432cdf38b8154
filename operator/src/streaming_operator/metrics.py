"""What the operator counts. Labels are kinds, verbs and outcomes; nothing of a stack's content."""

import contextlib
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from stack_model.api import ConditionType

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class DrainingGauges:
    """Pods of each stack that drain, and what is open on them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        where = ["namespace", "stack", "component", "model"]
        name = "streaming_operator_stack_draining_"
        self._pods = Gauge(
            f"{name}pods", "Pods that end when their sessions or streams have.", where, registry=registry
        )
        self._sessions = Gauge(
            f"{name}sessions", "Open sessions or streams on pods that drain.", where, registry=registry
        )
        # By stack, what it has gauges of.
        self._told: dict[tuple[str, str], set[tuple[str, str]]] = {}

    def count(self, namespace: str, stack: str, pods: Mapping[tuple[str, str], tuple[int, int]]) -> None:
        """Pods that drain and what is open on them, by component and model; of what is not named any more, nothing."""
        for gone in self._told.get((namespace, stack), set()) - pods.keys():
            self._pods.remove(namespace, stack, *gone)
            self._sessions.remove(namespace, stack, *gone)
        self._told[namespace, stack] = set(pods)
        for where, (count, active) in pods.items():
            self._pods.labels(namespace, stack, *where).set(count)
            self._sessions.labels(namespace, stack, *where).set(active)

    def forget(self, namespace: str, stack: str) -> None:
        """A stack is gone."""
        self.count(namespace, stack, {})
        del self._told[namespace, stack]


class OperatorMetrics:
    """Counters and gauges in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        name = "streaming_operator_"
        self.reconciles = Histogram(
            f"{name}reconcile_seconds", "Reconciling one stack.", buckets=_SECONDS, registry=self.registry
        )
        self.failures = Counter(
            f"{name}reconcile_failures",
            "Reconciles that failed and are tried again.",
            ["error"],
            registry=self.registry,
        )
        self.requests = Counter(
            f"{name}api_requests", "Requests to the API server; code 0 is no answer.", ["verb", "kind", "code"],
            registry=self.registry,
        )  # fmt: skip
        self.refused_children = Counter(
            f"{name}children_refused", "Children that could not be applied.", ["reason"], registry=self.registry
        )
        self.queue_depth = Gauge(
            f"{name}queue_depth", "Stacks that are due or being reconciled.", registry=self.registry
        )
        self.oldest_key = Gauge(
            f"{name}queue_oldest_seconds", "How long the oldest key has been due.", registry=self.registry
        )
        self.objects = Gauge(f"{name}objects", "Children and pods that are watched.", registry=self.registry)
        self.stacks = Gauge(f"{name}stacks", "StreamingStacks that are watched.", registry=self.registry)
        self.costs_due = Gauge(
            f"{name}deletion_costs_due", "Pods whose deletion cost is still to be written.", registry=self.registry
        )
        self.conditions = Gauge(
            f"{name}stack_condition", "1 where the condition is True, 0 where it is not.",
            ["namespace", "stack", "type"], registry=self.registry,
        )  # fmt: skip
        self.draining = DrainingGauges(self.registry)

    def forget_stack(self, namespace: str, stack: str) -> None:
        """A stack is gone: nothing is told of it any more."""
        self.draining.forget(namespace, stack)
        for type_ in ConditionType:
            with contextlib.suppress(KeyError):  # it never had that one
                self.conditions.remove(namespace, stack, type_.value)

    def count_request(self, verb: str, kind: str, code: int) -> None:
        """One answer of the API server."""
        self.requests.labels(verb, kind, str(code)).inc()
