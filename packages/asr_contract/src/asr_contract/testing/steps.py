"""The steps of a conversation, in milliseconds, short enough to read a whole conversation at a glance.

A step goes up, down, half-closes or ends the stream. Steps that belong together are lists; `steps` makes one flat
tuple of both. `perform` feeds them to a Conversation.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from streamingstack.asr.v1 import recognizer_pb2 as pb

from asr_contract.clock import BYTES_PER_SAMPLE, ms_to_samples
from asr_contract.conversation import Conversation

CHECKPOINTS_MS = (160, 400, 640, 880, 1120, 1280)
CREDIT_MS = 2000
SESSION = "11111111-2222-4333-8444-555555555555"


@dataclass(frozen=True, slots=True)
class Up:
    """The gateway says this."""

    message: pb.RecognizeRequest


@dataclass(frozen=True, slots=True)
class Down:
    """The recogniser says this."""

    message: pb.RecognizeResponse


@dataclass(frozen=True, slots=True)
class HalfClose:
    """The gateway says nothing more."""


@dataclass(frozen=True, slots=True)
class End:
    """The stream ends with this gRPC status."""

    status: str = "OK"


Step = Up | Down | HalfClose | End


def steps(*items: Step | Iterable[Step]) -> tuple[Step, ...]:
    """One after the other, flat."""
    return tuple(step for item in items for step in ([item] if isinstance(item, Step) else item))


def perform(conversation: Conversation, performed: Iterable[Step]) -> Conversation:
    """Feed every step; returns the conversation. Raises ContractError at the first that is not allowed."""
    for step in performed:
        if isinstance(step, Up):
            conversation.up(step.message)
        elif isinstance(step, Down):
            conversation.down(step.message)
        elif isinstance(step, HalfClose):
            conversation.half_close()
        else:
            conversation.ended(step.status)
    return conversation


# -- up ----------------------------------------------------------------------------------------------------------


def opened(**overrides: Any) -> Up:
    """Open of a new Universal session; `overrides` are fields of Open, in its own units."""
    fields: dict[str, Any] = {
        "session_id": SESSION,
        "reason": pb.REASON_NEW,
        "traffic_class": pb.TRAFFIC_CLASS_INTERACTIVE,
        "route": "en-default",
        "vad_threshold": 0.4,
        "checkpoints_ms": CHECKPOINTS_MS,
        "segment_cap_samples": ms_to_samples(60_000),
    }
    return Up(pb.RecognizeRequest(open=pb.Open(**(fields | overrides))))


def resumed(*, first: int, emit_after: int, segment_start: int | None = None, floor: int = 0, **overrides: Any) -> Up:
    """Open of a session whose stream was lost; no segment is open without a `segment_start`."""
    fields: dict[str, Any] = {
        "reason": pb.REASON_RESUME,
        "epoch": 1,
        "first_sample": ms_to_samples(first),
        "emit_after_sample": ms_to_samples(emit_after),
        "segment_open": segment_start is not None,
        "segment_start": ms_to_samples(segment_start or 0),
        "segment_floor": ms_to_samples(floor),
    }
    return opened(**(fields | overrides))


def audio(start: int, end: int, *, at_most: int = 1000) -> list[Step]:
    """Audio from `start` to `end` in pieces of `at_most` milliseconds; silence, for only its clock counts here."""
    pieces = [(at, min(at + at_most, end)) for at in range(start, end, at_most)]
    return [
        Up(pb.RecognizeRequest(audio=pb.Audio(first_sample=ms_to_samples(at), pcm=_pcm(until - at))))
        for at, until in pieces
    ]


def _pcm(ms: int) -> bytes:
    return bytes(ms_to_samples(ms) * BYTES_PER_SAMPLE)


def finalize(number: int, at: int) -> Up:
    """Finalize `number` at position `at`."""
    return Up(pb.RecognizeRequest(finalize=pb.Finalize(id=number, at_sample=ms_to_samples(at))))


def go_on(checkpoint_id: int) -> Up:
    """The segment stays open."""
    answer = pb.Answer(checkpoint_id=checkpoint_id, decision=pb.DECISION_CONTINUE)
    return Up(pb.RecognizeRequest(answer=answer))


def end_segment(checkpoint_id: int) -> Up:
    """The segment ends at the checkpoint."""
    answer = pb.Answer(checkpoint_id=checkpoint_id, decision=pb.DECISION_END_SEGMENT)
    return Up(pb.RecognizeRequest(answer=answer))


def update(at: int, *, checkpoints_ms: Sequence[int] | None = None, **fields: Any) -> Up:
    """Changes the configuration from `at` on."""
    if checkpoints_ms is not None:
        fields["checkpoints"] = pb.Checkpoints(ms=checkpoints_ms)
    return Up(pb.RecognizeRequest(update=pb.Update(at_sample=ms_to_samples(at), **fields)))


def ping() -> Up:
    """Keeps the slot."""
    return Up(pb.RecognizeRequest(ping=pb.Ping()))


# -- down --------------------------------------------------------------------------------------------------------


def ready(first: int = 0, *, replacing: bool = False) -> Down:
    """Ready of a stream that begins at `first`, with full credit."""
    return Down(
        pb.RecognizeResponse(
            ready=pb.Ready(
                capacity=28,
                preferred_chunk_ms=96,
                left_context_ms=3000,
                send_through_sample=ms_to_samples(first + CREDIT_MS),
                replacing=replacing,
            )
        )
    )


def started(at: int) -> Down:
    """Voice begins at `at`."""
    return Down(
        pb.RecognizeResponse(speech_started=pb.SpeechStarted(at_sample=ms_to_samples(at), confidence=0.9)),
    )


def stopped(at: int) -> Down:
    """Silence begins at `at`."""
    return Down(pb.RecognizeResponse(speech_stopped=pb.SpeechStopped(at_sample=ms_to_samples(at))))


def word(text: str, start: int, end: int, index: int = 0) -> pb.Word:
    """A word; `index` is that of a final word."""
    return pb.Word(
        index=index, text=text, start_sample=ms_to_samples(start), end_sample=ms_to_samples(end), confidence=0.9
    )


def words(through: int, *, segment: int = 0, final: Sequence[pb.Word] = (), tentative: Sequence[pb.Word] = ()) -> Down:
    """Words heard in the audio through `through`."""
    heard = pb.Words(
        segment=segment, through_sample=ms_to_samples(through), final=final, tentative=tentative, eot_score=0.1
    )
    return Down(pb.RecognizeResponse(words=heard))


def checkpoint(
    number: int, at: int, silence_ms: int, *, segment: int = 0, said: Sequence[pb.Word] = (), **overrides: Any
) -> Down:
    """A checkpoint of silence, with full credit; `overrides` are fields of Checkpoint, in its own units."""
    fields: dict[str, Any] = {
        "id": number,
        "segment": segment,
        "at_sample": ms_to_samples(at),
        "reason": pb.CHECKPOINT_REASON_SILENCE,
        "silence_ms": silence_ms,
        "words": said,
        "eot_score": 0.5,
        "language": "en",
        "language_confidence": 0.9,
        "send_through_sample": ms_to_samples(at + CREDIT_MS),
    }
    return Down(pb.RecognizeResponse(checkpoint=pb.Checkpoint(**(fields | overrides))))


def cap(number: int, at: int, *, segment: int = 0, said: Sequence[pb.Word] = (), silence_ms: int = 0) -> Down:
    """The segment reached its cap at `at`."""
    return checkpoint(number, at, silence_ms, segment=segment, said=said, reason=pb.CHECKPOINT_REASON_CAP)


def finalized(number: int, at: int, *, segment: int = 0, said: Sequence[pb.Word] = ()) -> Down:
    """The answer to Finalize `number`."""
    closed = pb.Finalized(
        id=number,
        segment=segment,
        at_sample=ms_to_samples(at),
        words=said,
        eot_score=0.5,
        language="en",
        language_confidence=0.9,
    )
    return Down(pb.RecognizeResponse(finalized=closed))


def progress(processed: int, *, credit: int | None = None) -> Down:
    """Everything before `processed` was heard; credit through `credit`, or full."""
    heard = pb.Progress(
        processed_through_sample=ms_to_samples(processed),
        send_through_sample=ms_to_samples(processed + CREDIT_MS if credit is None else credit),
        max_speech_probability=0.5,
    )
    return Down(pb.RecognizeResponse(progress=heard))


def draining(deadline_ms: int = 5000) -> Down:
    """The pod goes away."""
    return Down(pb.RecognizeResponse(draining=pb.Draining(deadline_ms=deadline_ms)))


def hear(start: int, end: int) -> list[Step]:
    """Audio from `start` to `end`, each second of it processed before the next is sent."""
    return [
        step
        for at in range(start, end, 1000)
        for step in (*audio(at, min(at + 1000, end)), progress(min(at + 1000, end)))
    ]
