"""Is an Open acceptable? Pure."""

from collections.abc import Mapping
from typing import Literal

from streamingstack.asr.v1 import recognizer_pb2 as pb

from streaming_asr.engine import SAMPLE_RATE

MAX_PROMPT = 1750
MAX_KEYTERMS = 100
SHORTEST_CAP = SAMPLE_RATE
LONGEST_CAP = 600 * SAMPLE_RATE

Refusal = tuple[Literal["INVALID_ARGUMENT", "NOT_FOUND"], str]


def check_opening(first: pb.RecognizeRequest, headers: Mapping[str, str], routes: frozenset[str]) -> Refusal | None:
    """Why a first message is refused: gRPC's status, and the field. None: it is an Open that can be served."""
    if first.WhichOneof("message") != "open":
        return "INVALID_ARGUMENT", "the first message must be Open"
    opening = first.open
    if _wanted_route(opening, headers) not in routes:
        served = ", ".join(sorted(routes))
        return "NOT_FOUND", f"route: this recogniser serves {served}"
    for wrong, text in _rules(opening):
        if wrong:
            return "INVALID_ARGUMENT", text
    return None


def _wanted_route(opening: pb.Open, headers: Mapping[str, str]) -> str:
    """The model's own route: aliases are known to the load balancer alone, which tells where the header leads."""
    same = opening.route == headers.get("x-model-version")
    return headers.get("x-route", opening.route) if same else opening.route


def _rules(opening: pb.Open) -> list[tuple[bool, str]]:
    checkpoints = list(opening.checkpoints_ms)
    interactive = opening.traffic_class == pb.TRAFFIC_CLASS_INTERACTIVE
    resume = opening.reason == pb.REASON_RESUME
    cap = opening.segment_cap_samples
    start, first, emit_after = opening.segment_start, opening.first_sample, opening.emit_after_sample
    is_open = opening.segment_open
    past_cap = interactive and is_open and start + cap < first
    return [
        (not opening.session_id, "session_id must be set"),
        (opening.reason not in (pb.REASON_NEW, pb.REASON_RESUME), "reason must be NEW or RESUME"),
        (not interactive and opening.traffic_class != pb.TRAFFIC_CLASS_BULK, "traffic_class must be set"),
        (not 0.0 <= opening.vad_threshold <= 1.0, "vad_threshold must lie between 0 and 1"),
        (checkpoints != sorted(set(checkpoints)), "checkpoints_ms must be sorted and distinct"),
        (interactive and not checkpoints, "checkpoints_ms must not be empty for INTERACTIVE"),
        (not interactive and checkpoints != [], "checkpoints_ms must be empty for BULK"),
        (0 in checkpoints, "checkpoints_ms must be greater than 0"),
        (not SHORTEST_CAP <= cap <= LONGEST_CAP, f"segment_cap_samples must lie in {SHORTEST_CAP}..{LONGEST_CAP}"),
        (len(opening.prompt) > MAX_PROMPT, f"prompt must not exceed {MAX_PROMPT} characters"),
        (len(opening.keyterms) > MAX_KEYTERMS, f"keyterms must not exceed {MAX_KEYTERMS}"),
        (not resume and opening.first_sample != 0, "first_sample must be 0 for NEW"),
        (resume and emit_after + 1 < first, "emit_after_sample must not lie before first_sample"),
        (is_open and not resume, "segment_open must be false for NEW"),
        (is_open and start < opening.segment_floor, "segment_start must not lie before segment_floor"),
        (past_cap, "segment_start must lie within segment_cap_samples of first_sample"),
        (not resume and len(opening.final_words) > 0, "final_words must be empty for NEW"),
    ]
