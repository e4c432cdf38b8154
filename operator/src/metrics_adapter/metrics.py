"""What the adapter counts of itself. Labels are parts, verbs and codes; nothing of a stack's content."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class AdapterMetrics:
    """Counters and gauges in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        name = "streaming_metrics_adapter_"
        self.answers = Counter(
            f"{name}answers", "Requests for metrics, by HTTP status.", ["code"], registry=self.registry
        )
        self.answer_seconds = Histogram(
            f"{name}answer_seconds", "Answering a request for metrics.", buckets=_SECONDS, registry=self.registry
        )
        self.scrapes = Counter(
            f"{name}scrapes", "Pods asked for their metrics.", ["component", "outcome"], registry=self.registry
        )
        self.requests = Counter(
            f"{name}api_requests", "Requests to the API server; code 0 is no answer.", ["verb", "kind", "code"],
            registry=self.registry,
        )  # fmt: skip
        self.pods = Gauge(f"{name}pods", "Gateways and recognisers that are watched.", registry=self.registry)
        self.registered = Gauge(
            f"{name}registered", "1 while custom.metrics.k8s.io leads to this adapter.", registry=self.registry
        )
        self.certificate_expiry = Gauge(
            f"{name}certificate_expiry_seconds", "When the serving certificate ends, Unix time.", registry=self.registry
        )

    def count_request(self, verb: str, kind: str, code: int) -> None:
        """One answer of the API server."""
        self.requests.labels(verb, kind, str(code)).inc()

    def count_scrape(self, component: str, answered: bool) -> None:
        """One pod asked."""
        self.scrapes.labels(component, "answered" if answered else "silent").inc()

    def show_pods(self, count: Callable[[], float]) -> None:
        """Where the number of pods is read when asked for."""
        self.pods.set_function(count)
