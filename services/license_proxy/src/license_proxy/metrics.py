"""The licence proxy's metrics."""

from license_token import Claims
from prometheus_client import CollectorRegistry, Counter, Gauge

from license_proxy.states import State, Verdict


class ProxyMetrics:
    """Counters and gauges in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._state = Gauge(
            "license_proxy_license_state", "1 for the state of the licence, 0 for the others.", ["state"],
            registry=self.registry,
        )  # fmt: skip
        self._expires = Gauge(
            "license_proxy_license_expires_timestamp_seconds", "When the licence ends.", registry=self.registry
        )
        self.replacements_refused = Counter(
            "license_proxy_license_replacements_refused_total",
            "Changes of the licence's files that were not taken.",
            registry=self.registry,
        )
        self.events_accepted = Counter(
            "license_proxy_usage_events_accepted_total", "Usage events written to disk.", registry=self.registry
        )
        self.requests_refused = Counter(
            "license_proxy_usage_requests_refused_total", "Usage requests that were not accepted.", ["reason"],
            registry=self.registry,
        )  # fmt: skip
        for reason in ("invalid", "too_large", "storage"):
            self.requests_refused.labels(reason)
        self.pending = Gauge(
            "license_proxy_usage_sessions_pending", "Sessions with usage not yet delivered.", registry=self.registry
        )
        self.sessions_leased = Gauge(
            "license_proxy_sessions_leased",
            "Open sessions of all gateways that tell this proxy; 0 on proxies that count none.",
            registry=self.registry,
        )
        self.storage_available = Gauge(
            "license_proxy_storage_available", "1 while the state folder can be used.", registry=self.registry
        )

    def show_license(self, verdict: Verdict, claims: Claims) -> None:
        """Put the licence's state into the gauges."""
        for state in State:
            self._state.labels(state.value).set(state is verdict.state)
        self._expires.set(claims.expires_at.timestamp())
