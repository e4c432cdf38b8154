"""What the link counts: how often a recogniser was lost, and what that cost."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class LinkMetrics:
    """Counters of one gateway process, in `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.streams = Gauge("gateway_recognizer_streams", "Recogniser streams in use.", registry=registry)
        self.failovers = Counter(
            "gateway_recognizer_failovers", "Streams lost in mid-session.", ["reason"], registry=registry
        )
        self.gap = Histogram(
            "gateway_recognizer_failover_gap_seconds",
            "From the last message of a lost stream to the first progress past it.",
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 3, 4, 5, 7.5, 10, 20, 30, 60),
            registry=registry,
        )
        self.replayed = Counter(
            "gateway_recognizer_replayed_audio_seconds", "Audio sent again after a loss.", registry=registry
        )
        self.hedges = Counter(
            "gateway_recognizer_hedges", "Streams opened because another was slow to be Ready.", registry=registry
        )
        self.refusals = Counter(
            "gateway_recognizer_refusals", "Streams refused, by gRPC status.", ["status"], registry=registry
        )
        self.lost = Counter(
            "gateway_recognizer_sessions_lost", "Sessions ended for want of a recogniser.", registry=registry
        )
        self.troubles = Counter(
            "gateway_recognizer_contract_troubles", "Messages that broke the contract.", registry=registry
        )
        self.held = Gauge("gateway_audio_held_bytes", "Audio held for backlog and replay.", registry=registry)
