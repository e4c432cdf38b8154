"""What a session asks of its recogniser and what can go wrong, free of any transport."""

from dataclasses import dataclass

from streamingstack.asr.v1 import recognizer_pb2 as pb


@dataclass(frozen=True)
class Hearing:
    """How the recogniser listens; every field can change in mid-session.

    vad_threshold: speech probability below which a frame is silence, 0 to 1.
    checkpoints_ms: silences, in milliseconds, at which the recogniser asks; sorted, distinct.
    language_codes: ISO 639-1, most likely first. prompt, keyterms: for models that take them.
    """

    vad_threshold: float
    checkpoints_ms: tuple[int, ...]
    language_codes: tuple[str, ...] = ()
    prompt: str = ""
    keyterms: tuple[str, ...] = ()


@dataclass(frozen=True)
class LinkRequest:
    """One session's wish for a recogniser.

    segment_cap_samples: at 16 kHz. buffer_seconds: the longest time without any recogniser; None: the gateway's own.
    """

    session_id: str
    route: str
    hearing: Hearing
    segment_cap_samples: int = 960_000
    traffic_class: pb.TrafficClass = pb.TRAFFIC_CLASS_INTERACTIVE
    buffer_seconds: float | None = None


class NoCapacityError(Exception):
    """Every recogniser refused the session; nothing was begun."""


class BudgetSpentError(NoCapacityError):
    """This gateway holds as much audio as it may; no recogniser was asked."""


class UnknownModelError(Exception):
    """The load balancer knows no such route."""


class LinkLostError(Exception):
    """In mid-session, and no recogniser to go on with. The text is free of anything spoken."""


class BacklogDroppedError(LinkLostError):
    """The backlogs of all sessions were more than the gateway may hold, and this session's was the largest."""
