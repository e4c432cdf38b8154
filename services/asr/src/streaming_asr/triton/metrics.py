"""What the recogniser exports about its engine."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
_FACTORS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0)


class EngineMetrics:
    """Counters and gauges of one engine client."""

    def __init__(self, registry: CollectorRegistry) -> None:
        name = "streaming_asr_engine_"
        self.up = Gauge(f"{name}up", "1 while the model server serves", registry=registry)
        self.losses = Counter(f"{name}losses", "Times the model server went away", registry=registry)
        self.queue_depth = Gauge(f"{name}queue_depth", "Decodes that wait or run", registry=registry)
        self.shed = Counter(f"{name}glimpses_shed", "Tentative decodes left out under load", registry=registry)
        self.decode_seconds = Histogram(
            f"{name}decode_seconds", "From asking for a decode to its answer", buckets=_SECONDS, registry=registry
        )
        self.real_time_factor = Histogram(
            f"{name}real_time_factor",
            "Seconds of a decode by seconds of its window",
            buckets=_FACTORS,
            registry=registry,
        )
