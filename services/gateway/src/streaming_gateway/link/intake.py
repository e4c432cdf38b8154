"""What the session sees of a message from the recogniser: on a resumed stream, nothing twice. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from asr_contract.clock import ms_to_samples
from streamingstack.asr.v1 import recognizer_pb2 as pb

from streaming_gateway.link.ledger import Asked, Ledger

Closing = TypeVar("Closing", pb.Checkpoint, pb.Finalized)


@dataclass
class Heard:
    """The outcome of one message: events for the session, an answer for the recogniser, what was wrong with it."""

    show: list[pb.RecognizeResponse] = field(default_factory=list)
    answer: pb.Answer | None = None
    troubles: list[str] = field(default_factory=list)


def receive(ledger: Ledger, response: pb.RecognizeResponse) -> Heard:
    """Take a message of the live stream into the books."""
    heard = Heard()
    match response.WhichOneof("message"):
        case "progress":
            _progress(ledger, response, heard)
        case "speech_started":
            _speech_started(ledger, response.speech_started, heard)
        case "speech_stopped":
            _speech_stopped(ledger, response, heard)
        case "words":
            _words(ledger, response.words, heard)
        case "checkpoint":
            _checkpoint(ledger, response.checkpoint, heard)
        case "finalized":
            _finalized(ledger, response.finalized, heard)
        case kind:
            heard.troubles.append(f"unexpected {kind or 'empty message'}")
    return heard


def _progress(ledger: Ledger, response: pb.RecognizeResponse, heard: Heard) -> None:
    replaying = response.progress.processed_through_sample < ledger.processed
    ledger.heard_through(response.progress.processed_through_sample)
    if not replaying:
        heard.show.append(response)


def _speech_started(ledger: Ledger, started: pb.SpeechStarted, heard: Heard) -> None:
    segment, at = ledger.segment, started.at_sample
    if ledger.resumed:
        if at < segment.floor or (segment.open and at <= ledger.voice_at):
            return
        _stop_if_unheard(ledger, heard, ledger.voice_at)
    segment.voice(at)
    ledger.voice_at = at
    ledger.see(at)
    heard.show.append(pb.RecognizeResponse(speech_started=started))


def _speech_stopped(ledger: Ledger, response: pb.RecognizeResponse, heard: Heard) -> None:
    at = response.speech_stopped.at_sample
    if ledger.resumed and (not ledger.segment.speaking or at <= ledger.voice_at):
        if at > ledger.segment.floor:
            ledger.find_open()  # of a voice that the session was not told of
        return
    ledger.segment.silence()
    ledger.voice_at = at
    ledger.see(at)
    heard.show.append(response)


def _words(ledger: Ledger, words: pb.Words, heard: Heard) -> None:
    segment = ledger.segment
    if ledger.resumed and words.segment < segment.number:
        return
    ledger.find_open()
    final = _fresh(ledger, words.final, heard)
    if ledger.resumed and words.through_sample <= ledger.shown_before_loss and not final:
        return
    _start_if_untold(ledger, [*final, *words.tentative], heard)
    segment.settle(final)
    tentative = list(words.tentative)
    if ledger.resumed and not ledger.replacing:
        tentative = segment.unheard(tentative)
    ledger.see(words.through_sample)
    heard.show.append(
        pb.RecognizeResponse(
            words=pb.Words(
                segment=segment.number,
                through_sample=words.through_sample,
                final=final,
                tentative=tentative,
                eot_score=words.eot_score,
            )
        )
    )
    if words.segment != segment.number:
        heard.troubles.append("words of another segment")


def _checkpoint(ledger: Ledger, checkpoint: pb.Checkpoint, heard: Heard) -> None:
    asked, segment = ledger.asked, ledger.segment
    if asked is not None and asked.met is None and asked.same_as(checkpoint):
        asked.met = checkpoint.id
        _late_words(ledger, checkpoint, heard)
        heard.answer = ledger.settle_answer()
        return
    if ledger.resumed and _was_answered(ledger, checkpoint):
        ended = checkpoint.segment < segment.number and checkpoint.at_sample >= segment.floor
        decision = pb.DECISION_END_SEGMENT if ended else pb.DECISION_CONTINUE
        heard.answer = pb.Answer(checkpoint_id=checkpoint.id, decision=decision)
        _late_words(ledger, checkpoint, heard)
        return
    if asked is not None:
        heard.troubles.append("a checkpoint while another is open")
    silence = checkpoint.reason == pb.CHECKPOINT_REASON_SILENCE
    if silence:
        _stop_if_unheard(ledger, heard, checkpoint.at_sample - ms_to_samples(checkpoint.silence_ms))
    ledger.find_open()
    shown = _closing(ledger, checkpoint, heard)
    if silence:
        segment.silence()
    ledger.asked = Asked(shown, met=checkpoint.id)
    ledger.see(checkpoint.at_sample)
    ledger.heard_through(checkpoint.at_sample)
    heard.show.append(pb.RecognizeResponse(checkpoint=shown))


def _was_answered(ledger: Ledger, checkpoint: pb.Checkpoint) -> bool:
    """The session has decided this one, or has seen what came after it."""
    at = checkpoint.at_sample
    silence = checkpoint.reason == pb.CHECKPOINT_REASON_SILENCE
    if silence and ledger.segment.speaking and at <= ledger.voice_at:
        return True  # a silence before the voice that the session has seen begin
    return checkpoint.segment < ledger.segment.number or at <= ledger.answered_at or at < ledger.shown_before_loss


def _finalized(ledger: Ledger, finalized: pb.Finalized, heard: Heard) -> None:
    if not ledger.orders.answered(finalized.id):
        heard.troubles.append("a Finalized that nothing asked for, or twice")
        return
    shown = _closing(ledger, finalized, heard)
    ledger.segment.close(finalized.at_sample, shown.words if ledger.replacing else ())
    ledger.see(finalized.at_sample)
    ledger.heard_through(finalized.at_sample)
    heard.show.append(pb.RecognizeResponse(finalized=shown))


def _closing(ledger: Ledger, closing: Closing, heard: Heard) -> Closing:
    """A Checkpoint or Finalized as the session sees it; an append-only model's words are final from here."""
    segment = ledger.segment
    if closing.segment != segment.number:
        heard.troubles.append("a closing of another segment")
    words = list(closing.words) if ledger.replacing else _fresh(ledger, closing.words, heard)
    _start_if_untold(ledger, words, heard)
    if not ledger.replacing:
        segment.settle(words)
    shown = type(closing)()
    shown.CopyFrom(closing)
    shown.segment = segment.number
    del shown.words[:]
    shown.words.extend(words)
    return shown


def _late_words(ledger: Ledger, checkpoint: pb.Checkpoint, heard: Heard) -> None:
    """A checkpoint met again brings nothing new; if it does, an append-only model's promise still counts."""
    if ledger.replacing or not checkpoint.words:
        return
    if checkpoint.segment != ledger.segment.number:
        heard.troubles.append("words in a checkpoint that has ended its segment")
        return
    final = _fresh(ledger, checkpoint.words, heard)
    if final:
        heard.troubles.append("new words in a checkpoint met again")
        ledger.segment.settle(final)
        words = pb.Words(segment=checkpoint.segment, through_sample=checkpoint.at_sample, final=final)
        heard.show.append(pb.RecognizeResponse(words=words))


def _fresh(ledger: Ledger, words: Sequence[pb.Word], heard: Heard) -> list[pb.Word]:
    """Final words of an append-only model that the session has not seen, with the indices that follow."""
    fresh = ledger.segment.unheard(words) if ledger.resumed else list(words)
    if len(fresh) < len(words):
        heard.troubles.append("final words repeated")
    numbered = ledger.segment.numbered(fresh)
    if any(ours is not theirs for ours, theirs in zip(numbered, fresh, strict=True)):
        heard.troubles.append("final words numbered with a gap")
    return numbered


def _start_if_untold(ledger: Ledger, words: Sequence[pb.Word], heard: Heard) -> None:
    """The session gets a SpeechStarted before a segment's first words, where they come of a voice it was not told of:
    one that began in the context of a RESUME."""
    segment = ledger.segment
    if not ledger.resumed or segment.told or not words:
        return
    ledger.find_open()
    at = max(segment.floor, words[0].start_sample)
    segment.voice(at)
    ledger.voice_at = at
    heard.show.append(pb.RecognizeResponse(speech_started=pb.SpeechStarted(at_sample=at, confidence=0.0)))


def _stop_if_unheard(ledger: Ledger, heard: Heard, at: int) -> None:
    """What comes now presumes that speech ended: at `at`, or at the last event the session saw if that is later."""
    if ledger.resumed and ledger.segment.speaking:
        ledger.segment.silence()
        ledger.voice_at = max(at, ledger.voice_at)
        heard.show.append(pb.RecognizeResponse(speech_stopped=pb.SpeechStopped(at_sample=ledger.voice_at)))
