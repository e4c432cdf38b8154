"""What a session leaves behind: metrics, usage, one line in the log. Nothing that was said."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from license_client.usage_spool import UsageEvent
from service_kit.logs import get_logger

from streaming_gateway.arrivals import Arrivals
from streaming_gateway.metrics import GatewayMetrics
from streaming_gateway.problems import CLIENT_GONE, Closing
from streaming_gateway.wire import WireMessage

_log = get_logger(__name__)


class SessionReport:
    """Counts one session. `model` is the deployed speech model."""

    def __init__(
        self,
        session_id: str,
        tenant: str,
        model: str,
        metrics: GatewayMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session_id = session_id
        self._tenant = tenant
        self._model = model
        self._metrics = metrics
        self._clock = clock
        self._arrivals = Arrivals()
        self._usage_sequence = 0
        self._audio_seconds = 0.0
        self._turns = 0
        self._turn_shown = False
        self.began = clock()
        self.started_at = datetime.now(UTC)

    @property
    def session_seconds(self) -> float:
        """Since Begin."""
        return self._clock() - self.began

    def received(self, audio_seconds: float, through_sample: int) -> None:
        """`audio_seconds` were received in all, and the recogniser is given audio up to `through_sample`."""
        self._metrics.audio.labels(self._model).inc(audio_seconds - self._audio_seconds)
        self._audio_seconds = audio_seconds
        self._arrivals.arrived(through_sample, self._clock())

    def shown(self, message: WireMessage, since_sample: int | None) -> None:
        """The client is sent `message`, about the audio at `since_sample`."""
        if message["type"] != "Turn":
            return
        first_of_turn, self._turn_shown = not self._turn_shown, not message["end_of_turn"]
        waited = None if since_sample is None else self._arrivals.waited(since_sample, self._clock())
        if not message["end_of_turn"]:
            if first_of_turn and waited is not None:
                self._metrics.first_partial.labels(self._model).observe(waited)
        elif message["utterance"] or not message["turn_is_formatted"]:
            self._turns += 1
            self._metrics.turns.labels(self._model).inc()
            if waited is not None:
                self._metrics.final.labels(self._model).observe(waited)

    def usage(self, *, ended: bool) -> UsageEvent:
        """What the session has used so far; each call is the next in sequence."""
        self._usage_sequence += 1
        return UsageEvent(
            session_id=self._session_id,
            sequence=self._usage_sequence,
            audio_ms=round(self._audio_seconds * 1000),
            session_ms=round(self.session_seconds * 1000),
            model=self._model,
            tenant=self._tenant,
            started_at=self.started_at.isoformat(),
            ended=ended,
        )

    def ended(self, how: Closing, code: int) -> None:
        """The session closed with `code`."""
        reason = how.problem.kind if how.problem else "client_gone" if how is CLIENT_GONE else "ended"
        self._metrics.ended.labels(self._model, str(code), reason).inc()
        _log.info(
            "session ended",
            session_id=self._session_id,
            code=code,
            reason=reason,
            audio_seconds=round(self._audio_seconds, 3),
            session_seconds=round(self.session_seconds, 3),
            turns=self._turns,
        )
