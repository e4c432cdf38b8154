"""What a session needs to go on elsewhere: its audio, orders, open segment, and what it has been shown. Pure.

`plan` says how to open the next stream, `begin` takes it into use, and every message down goes through `receive`, which
gives back what the session is to see. After a loss the new stream repeats things; `receive` is where none of that
reaches the session (rules 5, 9 and 10 of the contract).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from asr_contract.clock import SAMPLE_RATE, ms_to_samples
from streamingstack.asr.v1 import recognizer_pb2 as pb

from streaming_gateway.link.api import LinkRequest
from streaming_gateway.link.audio import ByteBudget, HeldAudio
from streaming_gateway.link.orders import Orders
from streaming_gateway.link.segment import SegmentState

FRAME = 512  # a voice-activity frame: an event may lie that far before one that was sent earlier
SAME_CHECKPOINT = SAMPLE_RATE // 10  # a recogniser that starts anew may meet a silence a few frames off
_KEPT_WITHOUT_SPEECH = SAMPLE_RATE


@dataclass
class Asked:
    """A checkpoint shown to the session. `met` is its id on the live stream, None until that stream meets it."""

    checkpoint: pb.Checkpoint
    met: int | None
    decision: pb.Decision | None = None

    def same_as(self, other: pb.Checkpoint) -> bool:
        """Whether `other` asks the same question, a few frames off at most."""
        mine = self.checkpoint
        if (mine.segment, mine.reason, mine.silence_ms) != (other.segment, other.reason, other.silence_ms):
            return False
        return abs(mine.at_sample - other.at_sample) <= SAME_CHECKPOINT


@dataclass(frozen=True)
class Plan:
    """How one stream is opened, and what its Open already says.

    folded: numbers of the orders it contains. shown_through: what the session had seen. asks: whether the stream has
    to meet a checkpoint again that the session had not decided.
    """

    open: pb.Open
    folded: frozenset[int]
    shown_through: int
    asks: bool


class Ledger:
    """One session's books, over all its streams."""

    def __init__(self, request: LinkRequest, budget: ByteBudget) -> None:
        self.request = request
        self.audio = HeldAudio(budget)
        self.orders = Orders(request.hearing)
        self.segment = SegmentState()
        self.replacing: bool | None = None
        self.asked: Asked | None = None
        self.answered_at = -1  # position of the last checkpoint that was decided
        self.processed = 0  # everything before it was heard, by whichever stream
        self.stream_processed = 0  # the same of the live stream: behind `processed` while it replays
        self.shown = 0  # position of the last event the session has seen
        self.shown_before_loss = -1
        self.voice_at = -1  # position of the last SpeechStarted or SpeechStopped shown
        self._left_context = 0
        self._begun = 0
        self._stream_begin = 0  # the live stream's first sample

    # -- the session's side -------------------------------------------------------------------------------------

    def finalize(self) -> int:
        """Close the open segment at the end of the audio given so far; returns the Finalize's id."""
        return self.orders.finalize(self.audio.end)

    def update(self, changes: Mapping[str, Any]) -> None:
        """Change fields of Hearing at the end of the audio given so far. Raises TypeError."""
        self.orders.update(self.audio.end, changes)

    def answer(self, checkpoint: pb.Checkpoint, decision: int) -> pb.Answer | None:
        """Decide a checkpoint; returns what to send at once, None while the live stream has not met it.

        Raises ValueError when the checkpoint is not open or the decision is not allowed.
        """
        asked = self.asked
        if asked is None or asked.decision is not None or asked.checkpoint.at_sample != checkpoint.at_sample:
            raise ValueError(f"checkpoint at sample {checkpoint.at_sample} is not open; each is answered exactly once")
        if decision not in (pb.DECISION_CONTINUE, pb.DECISION_END_SEGMENT):
            raise ValueError(f"decision {decision} is neither DECISION_CONTINUE nor DECISION_END_SEGMENT")
        if checkpoint.reason == pb.CHECKPOINT_REASON_CAP and decision != pb.DECISION_END_SEGMENT:
            raise ValueError("a segment at its cap can only end: answer DECISION_END_SEGMENT")
        self.answered_at = checkpoint.at_sample
        ends = decision == pb.DECISION_END_SEGMENT
        asked.decision = pb.DECISION_END_SEGMENT if ends else pb.DECISION_CONTINUE
        if ends:
            self.segment.close(checkpoint.at_sample, checkpoint.words if self.replacing else ())
        return self.settle_answer()

    def settle_answer(self) -> pb.Answer | None:
        """The answer that is due on the live stream: decided, and met by it."""
        asked = self.asked
        if asked is None or asked.met is None or asked.decision is None:
            return None
        self.asked = None
        return pb.Answer(checkpoint_id=asked.met, decision=asked.decision)

    # -- the streams' side --------------------------------------------------------------------------------------

    @property
    def resumed(self) -> bool:
        """Whether the live stream is not the session's first."""
        return self._begun > 1

    @property
    def diverged(self) -> bool:
        """The live stream went past a checkpoint that ended the segment without asking: its segments are others."""
        asked = self.asked
        if asked is None or asked.met is not None or asked.decision != pb.DECISION_END_SEGMENT:
            return False
        return self.stream_processed > asked.checkpoint.at_sample + SAME_CHECKPOINT

    def plan(self, attempt: int, *, live: bool = False) -> Plan:
        """How to open a stream now: the `attempt`th try of this epoch; `live`: beside one that goes on meanwhile."""
        if not live:
            self.leave()
        return self._plan_from(self._first_sample(), attempt)

    def still_holds(self, plan: Plan) -> bool:
        """Whether nothing was heard, asked or answered since the live `plan` that its stream would have to know."""
        first_sample = plan.open.first_sample
        return self.audio.begin <= first_sample and self._plan_from(first_sample, plan.open.attempt) == plan

    def leave(self) -> None:
        """The live stream is left: what it asked is now to be met by the next."""
        if self.asked is not None:
            self.asked.met = None

    def _plan_from(self, first_sample: int, attempt: int) -> Plan:
        undecided = self.asked is not None and self.asked.decision is None
        folded, hearing = self.orders.in_force(first_sample)
        segment, resume = self.segment, self._begun > 0
        opening = pb.Open(
            session_id=self.request.session_id,
            epoch=self._begun,
            reason=pb.REASON_RESUME if resume else pb.REASON_NEW,
            traffic_class=self.request.traffic_class,
            attempt=attempt,
            route=self.request.route,
            language_codes=hearing.language_codes,
            prompt=hearing.prompt,
            keyterms=hearing.keyterms,
            vad_threshold=hearing.vad_threshold,
            checkpoints_ms=hearing.checkpoints_ms,
            segment_cap_samples=self.request.segment_cap_samples,
        )
        if resume:
            opening.first_sample = first_sample
            opening.emit_after_sample = self._emit_after(undecided)
            opening.next_word_index = segment.next_index
            opening.final_words.extend(segment.finals)
            opening.segment_start, opening.segment_open = segment.start, segment.open
            opening.segment, opening.segment_floor = segment.number, segment.floor
            opening.closed_words.extend(word for word in segment.closed if word.start_sample >= first_sample)
        return Plan(opening, folded, self.shown if resume else -1, undecided)

    def begin(self, plan: Plan, ready: pb.Ready) -> None:
        """The stream opened by `plan` is Ready and carries the session from now on."""
        self._begun += 1
        self.replacing = ready.replacing
        self._left_context = ms_to_samples(ready.left_context_ms)
        self.shown_before_loss = plan.shown_through
        self.stream_processed = self._stream_begin = plan.open.first_sample
        if not plan.asks:
            self.asked = None  # decided while no stream was there: the Open says it

    def heard_through(self, processed: int) -> None:
        """The live stream has heard everything before `processed`; audio that no replay needs is dropped."""
        self.stream_processed = max(self.stream_processed, processed)
        self.processed = max(self.processed, self.stream_processed)
        passed = self.asked is not None and self.asked.met is None and self.asked.decision == pb.DECISION_CONTINUE
        if passed and self.asked and self.stream_processed > self.asked.checkpoint.at_sample + SAME_CHECKPOINT:
            self.asked = None  # the live stream went on without asking, as it was told to
        keep = min(self._replay_from(), self.stream_processed - max(self._left_context, _KEPT_WITHOUT_SPEECH))
        self.audio.forget(_frame(keep))
        self.orders.forget(self.audio.begin)

    def find_open(self) -> None:
        """The live stream speaks of an open segment. On a resumed one its voice may have begun in the context, of which
        nothing is said: where, is unknown, but not before the stream's first sample."""
        if self.resumed and not self.segment.open:
            self.segment.found_open(max(self._stream_begin, self.audio.begin))

    def see(self, at: int) -> None:
        """The session was shown an event at position `at`."""
        self.shown = max(self.shown, at)

    def release(self) -> None:
        """Give the audio's bytes back."""
        self.audio.release()

    def _first_sample(self) -> int:
        return max(self.audio.begin, _frame(self._replay_from()))

    def _replay_from(self) -> int:
        """Where a replay has to begin (rule 10).

        Replacing models too get context before their segment: voice activity that starts anew right at a forced end
        would take the end of a word for silence.
        """
        segment = self.segment
        if not segment.open:
            needed = min(self.processed, self.stream_processed)
        elif self.replacing or not segment.finals:
            needed = segment.start
        else:
            needed = segment.finals[-1].end_sample
        begin = needed - self._left_context
        finalize_at = self.orders.first_finalize_at()
        return max(0, begin if finalize_at is None else min(begin, finalize_at))

    def _emit_after(self, undecided: bool) -> int:
        """What lies at or before it must not be sent again.

        Less than what was shown: a voice event may lie a frame before words that came earlier, the voice that begins at
        the end of a segment lies at that end, and what is still owed has to come.
        """
        floor = self.segment.floor
        settled = [at for at in (self.voice_at, self.answered_at) if at > floor or (at == floor and self.segment.open)]
        limits = [max(self.shown - FRAME, *settled, floor - 1)]
        finalize_at = self.orders.first_finalize_at()
        if finalize_at is not None:
            limits.append(finalize_at - 1)
        if undecided and self.asked is not None:
            limits.append(max(self.answered_at, self.asked.checkpoint.at_sample - SAME_CHECKPOINT))
        return max(0, min(limits))


def _frame(position: int) -> int:
    return max(0, position) // FRAME * FRAME
