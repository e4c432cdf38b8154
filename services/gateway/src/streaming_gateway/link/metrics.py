"""What the link counts: how often a recogniser was lost, and what that cost."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# Finest where gaps are: a drain takes tenths of a second, a death some, a frozen pod three seconds and more.
_GAPS = (
    *(0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.25, 3.5, 3.75),
    *(4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0),
)


class LinkMetrics:
    """Counters of one gateway process, in `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.streams = Gauge("gateway_recognizer_streams", "Recogniser streams in use.", registry=registry)
        self.failovers = Counter(
            "gateway_recognizer_failovers", "Streams lost in mid-session.", ["route", "reason"], registry=registry
        )
        self.gap = Histogram(
            "gateway_recognizer_failover_gap_seconds",
            "From the last message of a lost stream to the first progress past it.",
            ["route"],
            buckets=_GAPS,
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
