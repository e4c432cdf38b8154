"""What the sync API counts. Labels are models, statuses and codes, never anything a client said."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0)


class SyncMetrics:
    """Counters and gauges of one process."""

    def __init__(self, registry: CollectorRegistry, capacity: int) -> None:
        name = "streaming_sync_"
        self.active = Gauge(f"{name}requests_active", "Requests in work.", registry=registry)
        self.capacity = Gauge(f"{name}requests_capacity", "Requests this pod takes at a time.", registry=registry)
        self.capacity.set(capacity)
        self.draining = Gauge(f"{name}draining", "1 while the pod drains.", registry=registry)
        self.answers = Counter(f"{name}answers", "Requests answered.", ["status", "code"], registry=registry)
        self.audio = Counter(f"{name}audio_seconds", "Audio transcribed.", ["model"], registry=registry)
        self.streams_ended = Counter(
            f"{name}streams_ended_early", "Streams that ended before their words.", ["reason"], registry=registry
        )
        self.seconds = Histogram(
            f"{name}inference_seconds",
            "From the last byte of a request to its words.",
            ["model"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.usage_refused = Gauge(
            f"{name}usage_refused_sessions",
            "Recordings whose usage the licence proxy does not accept; kept in the spool.",
            registry=registry,
        )
