"""What a recogniser exports to Prometheus. No label ever carries anything spoken."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from streaming_asr.slots import SHORTAGES

UNAVAILABLE = "unavailable"
_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)


class RecogniserMetrics:
    """Counters and gauges of one recogniser process."""

    def __init__(self, registry: CollectorRegistry, capacity: int) -> None:
        name = "streaming_asr_"
        self.active = Gauge(f"{name}streams_active", "Streams in use", registry=registry)
        self.capacity = Gauge(f"{name}streams_capacity", "Streams this pod takes", registry=registry)
        self.capacity.set(capacity)
        self.draining = Gauge(f"{name}draining", "1 while the pod drains", registry=registry)
        self.refused = Counter(
            f"{name}streams_refused", "Streams refused, first attempts only", ["reason"], registry=registry
        )
        for reason in (*SHORTAGES, UNAVAILABLE):  # there from the start: an increase from nothing is no increase
            self.refused.labels(reason)
        self.ended = Counter(f"{name}streams_ended", "Streams that ended", ["status"], registry=registry)
        self.resumed = Counter(f"{name}streams_resumed", "Streams taken over from a lost pod", registry=registry)
        self.audio = Counter(f"{name}audio_seconds", "Audio heard", registry=registry)
        self.chunk_latency = Histogram(
            f"{name}chunk_latency_seconds",
            "From a chunk's arrival until it is heard, checkpoints included",
            buckets=_SECONDS,
            registry=registry,
        )
