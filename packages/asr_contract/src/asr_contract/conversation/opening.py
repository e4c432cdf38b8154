"""What an Open, a Ready and an Update may hold."""

from collections.abc import Sequence

from streamingstack.asr.v1 import recognizer_pb2 as pb

from asr_contract.conversation.errors import FIELDS, ContractError, require, require_share

MAX_PROMPT = 1750
MAX_KEYTERMS = 100
MAX_KEYTERM = 50


def check_open(opening: pb.Open) -> None:
    """Raises ContractError where a field of `opening` is out of its range."""
    require(bool(opening.session_id), FIELDS, "Open.session_id must be set")
    require(bool(opening.route), FIELDS, "Open.route must be set")
    require(opening.reason in (pb.REASON_NEW, pb.REASON_RESUME), FIELDS, "Open.reason must be NEW or RESUME")
    classes = (pb.TRAFFIC_CLASS_INTERACTIVE, pb.TRAFFIC_CLASS_BULK)
    require(opening.traffic_class in classes, FIELDS, "Open.traffic_class must be INTERACTIVE or BULK")
    require(opening.segment_cap_samples > 0, FIELDS, "Open.segment_cap_samples must be greater than 0")
    require_share(opening.vad_threshold, "Open.vad_threshold")
    check_checkpoints(opening.checkpoints_ms, opening.traffic_class)
    check_prompt(opening.prompt, opening.keyterms)
    if opening.reason == pb.REASON_NEW:
        _check_new(opening)
    else:
        _check_resume(opening)


def check_checkpoints(checkpoints_ms: Sequence[int], traffic_class: int) -> None:
    """Raises ContractError unless the silences are sorted and distinct; none for BULK, some for INTERACTIVE."""
    if traffic_class == pb.TRAFFIC_CLASS_BULK:
        require(not checkpoints_ms, 14, "checkpoints_ms must be empty for BULK")
        return
    require(bool(checkpoints_ms), 3, "checkpoints_ms must not be empty for INTERACTIVE")
    require(list(checkpoints_ms) == sorted(set(checkpoints_ms)), 3, "checkpoints_ms must be sorted and distinct")
    require(checkpoints_ms[0] > 0, 3, "checkpoints_ms must be greater than 0")


def check_prompt(prompt: str, keyterms: Sequence[str]) -> None:
    """Raises ContractError beyond the limits; the text names sizes only."""
    require(len(prompt) <= MAX_PROMPT, FIELDS, f"prompt has {len(prompt)} characters, at most {MAX_PROMPT}")
    require(len(keyterms) <= MAX_KEYTERMS, FIELDS, f"{len(keyterms)} keyterms, at most {MAX_KEYTERMS}")
    longest = max((len(term) for term in keyterms), default=0)
    require(longest <= MAX_KEYTERM, FIELDS, f"a keyterm has {longest} characters, at most {MAX_KEYTERM}")


def _check_new(opening: pb.Open) -> None:
    resume_only = {
        "epoch": opening.epoch,
        "first_sample": opening.first_sample,
        "emit_after_sample": opening.emit_after_sample,
        "next_word_index": opening.next_word_index,
        "final_words": len(opening.final_words),
        "segment": opening.segment,
        "segment_floor": opening.segment_floor,
        "segment_open": opening.segment_open,
        "closed_words": len(opening.closed_words),
    }
    for field, value in resume_only.items():
        require(not value, 10, f"Open.{field} must be 0 for NEW: it belongs to RESUME")


def _check_resume(opening: pb.Open) -> None:
    require(opening.epoch > 0, 10, "Open.epoch must be greater than 0 for RESUME")
    words = opening.final_words
    late = any(word.start_sample > opening.segment_floor for word in opening.closed_words)
    require(not late, 10, "Open.closed_words holds a word that starts after segment_floor")
    if not opening.segment_open:
        require(not words, 10, "Open.final_words must be empty without an open segment")
        return
    require(opening.segment_floor <= opening.segment_start, 10, "Open.segment_start lies before segment_floor")
    # What follows the last final word has to be heard again, all of it.
    heard_through = words[-1].end_sample if words else opening.segment_start
    if opening.first_sample > heard_through:
        lost = opening.first_sample - heard_through
        raise ContractError(10, f"Open.first_sample leaves out {lost} samples of the open segment")


def check_ready(ready: pb.Ready, opening: pb.Open) -> None:
    """Raises ContractError where `ready` is out of range, or `opening` does not fit the model's kind."""
    require(ready.capacity > 0, FIELDS, "Ready.capacity must be greater than 0")
    require(0 < ready.preferred_chunk_ms <= 1000, FIELDS, "Ready.preferred_chunk_ms must lie in 1..1000")
    if ready.replacing:
        whole = not opening.segment_open or opening.first_sample <= opening.segment_start
        require(whole, 10, "a replacing model is replayed from the start of the open segment")
        counted = opening.next_word_index or len(opening.final_words)
        require(not counted, 10, "Open.next_word_index and final_words must be 0 for a replacing model")


def check_update(update: pb.Update, traffic_class: int) -> None:
    """Raises ContractError where a field that is set is out of its range."""
    if update.HasField("vad_threshold"):
        require_share(update.vad_threshold, "Update.vad_threshold")
    if update.HasField("checkpoints"):
        check_checkpoints(update.checkpoints.ms, traffic_class)
    check_prompt(update.prompt, update.keyterms.terms)
