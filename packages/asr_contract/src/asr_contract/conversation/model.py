"""The conversation itself: dispatches each message to the rules it is under."""

import enum
from dataclasses import dataclass

from streamingstack.asr.v1 import recognizer_pb2 as pb

from asr_contract.conversation.audio import AudioAccount
from asr_contract.conversation.errors import FIELDS, ORDER, require, require_share
from asr_contract.conversation.hearing import CheckpointPlan
from asr_contract.conversation.opening import check_open, check_ready, check_update
from asr_contract.conversation.orders import Orders
from asr_contract.conversation.segments import Segments
from asr_contract.conversation.words import FinalWords, Span


class Phase(enum.Enum):
    """Where a stream is in its life."""

    BEFORE_OPEN = "before Open"
    BEFORE_READY = "before Ready"
    HEARING = "hearing"
    HALF_CLOSED = "half-closed"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class ClosedSegment:
    """A segment that ended at position `end` with these words, all final; for the first of a RESUME: with the words
    that were final before it."""

    number: int
    end: int
    words: tuple[pb.Word, ...]


class Conversation:
    """One stream. Its attributes may be read; they change with the messages only.

    `phase`, `audio` (sent_through, processed_through, credit), `segments` (number, is_open, start, floor, speaking),
    `orders` (unanswered Finalizes) and `open_checkpoint` are the present; `final_words` and `closed` the result.
    """

    def __init__(self) -> None:
        self.phase = Phase.BEFORE_OPEN
        self.open_checkpoint: pb.Checkpoint | None = None
        self.draining = False
        self.closed: list[ClosedSegment] = []
        self._begin(pb.Open())
        self._final = FinalWords(pb.Open(), replacing=False)
        self._checkpoints = 0
        self._event_at = 0
        self._closed_words = 0

    @property
    def final_words(self) -> tuple[pb.Word, ...]:
        """Every word that is final, oldest first; after a RESUME from those of Open on."""
        return tuple(self._final.words)

    @property
    def open_words(self) -> tuple[pb.Word, ...]:
        """The final words of the open segment, oldest first: what a RESUME carries."""
        return tuple(self._final.words[self._closed_words :])

    @property
    def next_word_index(self) -> int:
        """The index that the next final word gets; 0 for replacing models."""
        return self._final.next_index

    def up(self, message: pb.RecognizeRequest) -> None:
        """A message from gateway to recogniser. Raises ContractError."""
        kind = message.WhichOneof("message")
        if self.phase is Phase.BEFORE_OPEN:
            require(kind == "open", ORDER, f"the first message must be Open, not {kind}")
            self._open(message.open)
            return
        require(self.phase is not Phase.HALF_CLOSED, ORDER, f"{kind} after the half-close")
        require(self.phase is not Phase.ENDED, ORDER, f"{kind} after the end")
        if kind == "ping":
            return
        require(kind != "open", ORDER, "Open twice")
        require(self.phase is Phase.HEARING, ORDER, f"{kind} before Ready")
        if kind == "audio":
            self.audio.send(message.audio)
        elif kind == "finalize":
            self.orders.position(message.finalize.at_sample, self.audio.sent_through, "Finalize")
            self.orders.finalize(message.finalize)
        elif kind == "answer":
            self._answer(message.answer)
        else:
            require(kind == "update", FIELDS, "a message without content")
            self._update(message.update)

    def down(self, message: pb.RecognizeResponse) -> None:
        """A message from recogniser to gateway. Raises ContractError."""
        kind = message.WhichOneof("message")
        require(self.phase is not Phase.ENDED, ORDER, f"{kind} after the end")
        if self.phase is Phase.BEFORE_READY:
            require(kind == "ready", ORDER, f"the first message must be Ready, not {kind}")
            self._ready(message.ready)
            return
        require(self.phase is not Phase.BEFORE_OPEN, ORDER, f"{kind} before Open")
        require(kind != "ready", ORDER, "Ready twice")
        if kind == "progress":
            self._progress(message.progress)
        elif kind == "draining":
            self.draining = True
        else:
            waiting = self.open_checkpoint
            require(waiting is None, 3, f"{kind} while checkpoint {waiting.id if waiting else 0} waits for its answer")
            self._event(kind, message)

    def half_close(self) -> None:
        """The gateway sends nothing more; what was open then is given up. Raises ContractError when nothing is open."""
        live = self.phase in (Phase.BEFORE_READY, Phase.HEARING)
        require(live, ORDER, f"half-close in phase {self.phase.value}")
        self.phase = Phase.HALF_CLOSED

    def ended(self, status: str = "OK") -> None:
        """The stream ended with a gRPC status (its name). OK has conditions, a loss has none. Raises ContractError."""
        if status == "OK":
            require(self.phase is Phase.HALF_CLOSED, ORDER, f"ended OK in phase {self.phase.value}")
            waiting = [f.id for f in self.orders.unanswered if f.at_sample <= self.audio.sent_through]
            require(not waiting or self.open_checkpoint is not None, 4, f"ended OK with Finalize {waiting} unanswered")
        self.phase = Phase.ENDED

    # -- up ------------------------------------------------------------------------------------------------------

    def _open(self, opening: pb.Open) -> None:
        check_open(opening)
        self._begin(opening)
        self.phase = Phase.BEFORE_READY

    def _begin(self, opening: pb.Open) -> None:
        self.opening = opening
        self.audio = AudioAccount(opening.first_sample)
        self.segments = Segments(opening)
        self.orders = Orders(opening)
        self._plan = CheckpointPlan(opening)

    def _answer(self, answer: pb.Answer) -> None:
        checkpoint = self.open_checkpoint
        require(checkpoint is not None, 3, f"an Answer to checkpoint {answer.checkpoint_id}, but none waits")
        assert checkpoint is not None
        require(
            answer.checkpoint_id == checkpoint.id,
            3,
            f"Answer.checkpoint_id is {answer.checkpoint_id}, checkpoint {checkpoint.id} waits",
        )
        ends = answer.decision == pb.DECISION_END_SEGMENT
        require(ends or answer.decision == pb.DECISION_CONTINUE, FIELDS, "Answer.decision must be set")
        if checkpoint.reason == pb.CHECKPOINT_REASON_CAP:
            require(ends, 4, "CAP is answered END_SEGMENT")
        else:
            last = all(checkpoint.silence_ms >= max(ms) for ms in self._plan.in_force(checkpoint.at_sample))
            require(ends or not last, 3, "the last checkpoint is answered END_SEGMENT")
        self.open_checkpoint = None
        if ends:
            if self._final.replacing:
                self._final.append(checkpoint.words, self._span(checkpoint.at_sample))
            self._close(checkpoint.at_sample)

    def _update(self, update: pb.Update) -> None:
        self.orders.position(update.at_sample, self.audio.sent_through, "Update")
        check_update(update, self.opening.traffic_class)
        self._plan.update(update)

    # -- down ----------------------------------------------------------------------------------------------------

    def _ready(self, ready: pb.Ready) -> None:
        check_ready(ready, self.opening)
        self.audio.grant(ready.send_through_sample, self.opening.first_sample)
        self._final = FinalWords(self.opening, replacing=ready.replacing)
        self.phase = Phase.HEARING

    def _progress(self, progress: pb.Progress) -> None:
        require_share(progress.max_speech_probability, "Progress.max_speech_probability")
        processed = progress.processed_through_sample
        waiting = self.open_checkpoint
        if waiting is not None:
            stopped = processed <= waiting.at_sample
            require(stopped, 3, f"processed through {processed} while a checkpoint waits at {waiting.at_sample}")
        self.audio.progress(processed)
        self.audio.grant(progress.send_through_sample, processed)
        self.segments.processed(processed, self._plan)

    def _event(self, kind: str | None, message: pb.RecognizeResponse) -> None:
        if kind == "speech_started":
            require_share(message.speech_started.confidence, "SpeechStarted.confidence")
            self._place(message.speech_started.at_sample, "SpeechStarted")
            self.segments.voice_started(message.speech_started.at_sample)
        elif kind == "speech_stopped":
            self._place(message.speech_stopped.at_sample, "SpeechStopped")
            self.segments.voice_stopped(message.speech_stopped.at_sample)
        elif kind == "words":
            self._words(message.words)
        elif kind == "checkpoint":
            self._checkpoint(message.checkpoint)
        else:
            require(kind == "finalized", FIELDS, "a message without content")
            self._finalized(message.finalized)

    def _words(self, words: pb.Words) -> None:
        self._place(words.through_sample, "Words")
        self.segments.expect(words.segment, "Words")
        self.segments.expect_open("Words")
        require_share(words.eot_score, "Words.eot_score")
        require(not (self._final.replacing and words.final), 5, "a replacing model sends no Words.final")
        span = self._span(words.through_sample)
        self._final.append(words.final, span)
        self._final.check_tentative(words.tentative, span)
        self.segments.processed(words.through_sample, self._plan)

    def _checkpoint(self, checkpoint: pb.Checkpoint) -> None:
        require(self.opening.traffic_class != pb.TRAFFIC_CLASS_BULK, 14, "BULK has no checkpoints")
        expected = self._checkpoints + 1
        require(checkpoint.id == expected, 3, f"Checkpoint.id is {checkpoint.id}, expected {expected}")
        self._checkpoints = expected
        self._place(checkpoint.at_sample, "Checkpoint")
        self.segments.asked(checkpoint, self._plan)
        self._check_scores(checkpoint)
        span = self._span(checkpoint.at_sample)
        if self._final.replacing:  # final only with the answer
            self._final.check(checkpoint.words, span)
        else:
            self._final.append(checkpoint.words, span)
        self.audio.grant(checkpoint.send_through_sample, checkpoint.at_sample)
        # After the half-close nobody can answer.
        self.open_checkpoint = checkpoint

    def _finalized(self, finalized: pb.Finalized) -> None:
        self._place(finalized.at_sample, "Finalized")
        self.orders.answered(finalized, self.segments.floor)
        self.segments.expect(finalized.segment, "Finalized")
        self._check_scores(finalized)
        if finalized.words:
            self.segments.expect_open("Finalized with words")
        self._final.append(finalized.words, self._span(finalized.at_sample))
        self._close(finalized.at_sample)

    def _check_scores(self, end: pb.Checkpoint | pb.Finalized) -> None:
        require_share(end.eot_score, "eot_score")
        require_share(end.language_confidence, "language_confidence")

    def _place(self, at: int, what: str) -> None:
        """An event at position `at`: in order, in the audio, after what the client has seen already (rule 10)."""
        voice = what in ("SpeechStarted", "SpeechStopped")
        # A frame of voice is known at its end, when words through its middle may have been sent: voice activity has an
        # order of its own.
        require(voice or at >= self._event_at, 1, f"{what} at {at} after an event at {self._event_at}")
        self._event_at = max(self._event_at, at)
        self.orders.passed(at, what)
        self.audio.reach(at, what)
        hidden = self.opening.emit_after_sample if self.opening.reason == pb.REASON_RESUME else 0
        # A Finalize is answered wherever it lies, and speech goes on from there.
        # So does a voice that begins where the context ends: it is not of the audio before.
        exempt = hidden == 0 or what == "Finalized" or (what == "SpeechStarted" and at == hidden)
        require(exempt or at > hidden, 10, f"{what} at {at}, not after emit_after_sample {hidden}")

    def _span(self, end: int) -> Span:
        return Span(self.segments.word_floor(), end)

    def _close(self, at: int) -> None:
        words = tuple(self._final.words[self._closed_words :])
        self._closed_words = len(self._final.words)
        self.closed.append(ClosedSegment(self.segments.number, at, words))
        self.segments.close(at)
