"""What the gateway counts. Labels are models, codes and reasons, never anything a client said."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from streaming_gateway.problems import KEY_LIMITS, SHORTAGES

_WAITS = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
_SHORT_WAITS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0)


class GatewayMetrics:
    """The gateway's own metrics; the link to the recognisers has more in the same registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.active = Gauge("streaming_gateway_sessions_active", "Open sessions.", registry=registry)
        self.capacity = Gauge("streaming_gateway_sessions_capacity", "Sessions this pod takes.", registry=registry)
        self.draining = Gauge("streaming_gateway_draining", "1 while the pod drains.", registry=registry)
        self.refused = Counter(
            "streaming_gateway_sessions_refused", "Sessions refused before Begin.", ["reason"], registry=registry
        )
        for reason in (*SHORTAGES, *KEY_LIMITS):  # there from the start: an increase from nothing is no increase
            self.refused.labels(reason)
        self.ended = Counter(
            "streaming_gateway_sessions_ended", "Sessions ended.", ["model", "code", "reason"], registry=registry
        )
        self.turns = Counter("streaming_gateway_turns", "Turns ended.", ["model"], registry=registry)
        self.audio = Counter("streaming_gateway_audio_seconds", "Audio received.", ["model"], registry=registry)
        self._time_turns(registry)
        self.backlog = Gauge(
            "streaming_gateway_backlog_seconds",
            "Audio received and not yet heard, over all sessions.",
            registry=registry,
        )
        self.usage_refused = Gauge(
            "streaming_gateway_usage_refused_sessions",
            "Sessions whose usage the licence proxy does not accept; kept in the spool.",
            registry=registry,
        )

    def _time_turns(self, registry: CollectorRegistry) -> None:
        self.begin = Histogram(
            "streaming_gateway_begin_seconds", "From the upgrade to Begin.", buckets=_SHORT_WAITS, registry=registry
        )
        self.first_partial = Histogram(
            "streaming_gateway_first_partial_seconds",
            "From the arrival of a turn's first speech to its first message.",
            ["model"],
            buckets=_WAITS,
            registry=registry,
        )
        self.final = Histogram(
            "streaming_gateway_final_seconds",
            "From the arrival of a turn's last word to its end of turn; the silence waited for is part of it.",
            ["model"],
            buckets=_WAITS,
            registry=registry,
        )
