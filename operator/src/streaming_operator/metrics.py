"""What the operator counts. Labels are kinds, verbs and outcomes; nothing of a stack's content."""

import contextlib

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from stack_model.api import ConditionType

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


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
        self.conditions = Gauge(
            f"{name}stack_condition", "1 where the condition is True, 0 where it is not.",
            ["namespace", "stack", "type"], registry=self.registry,
        )  # fmt: skip

    def forget_stack(self, namespace: str, stack: str) -> None:
        """A stack is gone: it has no conditions any more."""
        for type_ in ConditionType:
            with contextlib.suppress(KeyError):  # it never had that one
                self.conditions.remove(namespace, stack, type_.value)

    def count_request(self, verb: str, kind: str, code: int) -> None:
        """One answer of the API server."""
        self.requests.labels(verb, kind, str(code)).inc()
