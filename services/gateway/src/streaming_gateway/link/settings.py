"""The link's times and bounds, in seconds and bytes."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class LinkSettings:
    """How the gateway reaches recognisers; the defaults are the contract's figures.

    endpoints: `host:port` of each load balancer; a name with several addresses counts as several.
    budget_bytes: audio held for all sessions together, backlog and replay: beyond it new ones are refused, and where
        backlogs alone are more, the largest ends. 512 MiB is 48 sessions with 5 minutes of backlog and a 60 s segment
        each.
    hedge_seconds: until a stream that is not Ready has a second one beside it; each further one waits twice as long.
    concurrent_openings: streams of one route that are waited for at the same time: a crowd opens in order, where asking
        for all at once, and once more for each that is slow, would keep a recogniser from ever being Ready.
    concurrent_replays: sessions of one route that catch up at the same time after a loss.
    """

    endpoints: tuple[str, ...]
    secure: bool = False
    ca_file: Path | None = None
    admission_seconds: float = 0.3
    admission_retry_seconds: tuple[float, ...] = (0.03, 0.06, 0.09)
    hedge_seconds: float = 1.0
    streams_at_once: int = 3
    ready_seconds: float = 5.0
    silence_seconds: float = 3.0
    stall_seconds: float = 10.0
    ping_seconds: float = 5.0
    buffer_seconds: float = 60.0
    budget_bytes: int = 512 * 1024 * 1024
    concurrent_openings: int = 64
    concurrent_replays: int = 16
    resolve_seconds: float = 5.0
    check_contract: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError naming the field."""
        if not self.endpoints:
            raise ValueError("endpoints: empty; give host:port of at least one load balancer")
        for endpoint in self.endpoints:
            host, colon, port = endpoint.rpartition(":")
            if not (host and colon and port.isdigit() and 0 < int(port) < 65536):
                raise ValueError(f"endpoints: {endpoint!r} is not host:port")
        for name in ("admission_seconds", "hedge_seconds", "ready_seconds", "silence_seconds", "buffer_seconds"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}: must be more than 0 seconds")
        if min(self.streams_at_once, self.concurrent_openings, self.concurrent_replays) < 1:
            raise ValueError("streams_at_once, concurrent_openings, concurrent_replays: must be at least 1")
