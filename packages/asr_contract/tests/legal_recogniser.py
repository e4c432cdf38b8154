"""A recogniser as small as the contract allows, over a script; it knows nothing of the model of the conversation.

Audio is a clock; voice and words come from a script over its positions, so that what has to come out is known.
"""

from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise

from asr_contract.clock import ms_to_samples
from hypothesis import strategies as st
from streamingstack.asr.v1 import recognizer_pb2 as pb

FRAME = 512
GRID = 6400
LEAD = ms_to_samples(500)
CREDIT = ms_to_samples(2000)
SILENCES = st.lists(st.sampled_from([64, 160, 300, 400, 640, 1280]), min_size=1, max_size=4, unique=True).map(sorted)
Order = pb.Finalize | pb.Update


@dataclass(frozen=True)
class Script:
    """Voice and words by position; silence after the last span."""

    voice: list[tuple[int, int]]
    words: list[tuple[int, int]]

    def speaks(self, position: int) -> bool:
        return any(start <= position < end for start, end in self.voice)


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    voice, words, at = [], [], 0
    for _ in range(draw(st.integers(0, 8))):
        start = at + FRAME * draw(st.integers(1, 50))
        at = start + FRAME * draw(st.integers(1, 90))
        voice.append((start, at))
        cuts = sorted({start, at, *draw(st.lists(st.integers(start, at), max_size=4))})
        words += [cut for cut in pairwise(cuts) if cut[1] - cut[0] > FRAME]
    return Script(voice, words)


@dataclass
class Recogniser:
    """Hears the script at fixed positions and stops where it has to ask."""

    script: Script
    opening: pb.Open
    replacing: bool
    received: int = 0
    inbox: deque[Order] = field(default_factory=deque)
    outbox: list[pb.RecognizeResponse] = field(default_factory=list)
    waiting: pb.Checkpoint | None = None

    def __post_init__(self) -> None:
        o = self.opening
        self.received = self.at = o.first_sample
        self.frame = -(-o.first_sample // FRAME) * FRAME
        self.silences, self.number, self.floor = list(o.checkpoints_ms), o.segment, o.segment_floor
        self.start: int | None = o.segment_start if o.segment_open else None
        self.speaking, self.asked = False, set[int]()
        self.silence_from: int | None = o.first_sample if o.segment_open else None
        self.index = o.next_word_index
        self.final_end = max([o.segment_floor, *(w.end_sample for w in o.final_words)])
        self.ids, self.credit = 0, o.first_sample + CREDIT
        self.hidden = o.emit_after_sample if o.reason == pb.REASON_RESUME else -1
        ready = pb.Ready(capacity=1, preferred_chunk_ms=100, send_through_sample=self.credit, replacing=self.replacing)
        self.say(ready=ready)

    def say(self, **message: object) -> None:
        self.outbox.append(pb.RecognizeResponse(**message))  # type: ignore[arg-type]

    def take(self, request: pb.RecognizeRequest) -> None:
        kind = request.WhichOneof("message")
        if kind == "audio":
            self.received += len(request.audio.pcm) // 2
        elif kind == "finalize":
            self.inbox.append(request.finalize)
        elif kind == "update":
            self.inbox.append(request.update)
        elif kind == "answer":
            assert self.waiting is not None
            at, self.waiting = self.waiting.at_sample, None
            if request.answer.decision == pb.DECISION_END_SEGMENT:
                self.end(at)
            self.arrived(at)

    def progress(self) -> None:
        self.credit = max(self.credit, self.at + CREDIT)
        self.say(progress=pb.Progress(processed_through_sample=self.at, send_through_sample=self.credit))

    def step(self) -> bool:
        """Go to the next position where something can happen; False: there is no audio, or an answer is missing."""
        stops = [self.frame + FRAME, (self.at // GRID + 1) * GRID]
        stops += [max(self.at, order.at_sample) for order in list(self.inbox)[:1]]
        stops += [max(self.at, self.cap_at())] if self.start is not None else []
        if self.waiting or min(stops) > self.received:
            return False
        before, self.at = self.at, min(stops)
        self.updates()
        if self.at == self.frame + FRAME:
            self.hear_frame()
        if self.at % GRID == 0 and self.at != before and self.start is not None and self.at > self.hidden:
            self.tell_words()
        self.arrived(self.at)
        if self.at + CREDIT - self.credit >= CREDIT // 2:
            self.progress()
        return True

    def arrived(self, at: int) -> None:
        """Everything of this position that may have to wait for an answer, in order; called again after it."""
        while not self.waiting:
            if self.due(at):
                continue
            if self.start is not None and at >= self.cap_at():
                self.ask(at, pb.CHECKPOINT_REASON_CAP, self.silence(at))
            elif self.inbox and self.inbox[0].at_sample <= at:
                self.obey(self.inbox.popleft(), at)
            else:
                return

    def cap_at(self) -> int:
        """A cap in the context of a RESUME is asked for right after it."""
        assert self.start is not None
        return max(self.start + self.opening.segment_cap_samples, self.hidden + 1)

    def due(self, at: int) -> bool:
        reached = [ms for ms in self.silences if self.start is not None and self.silence(at) >= ms > 0]
        if not reached or reached[-1] in self.asked or self.speaking:
            return False
        self.asked.update(reached)
        if at > self.hidden:
            self.ask(at, pb.CHECKPOINT_REASON_SILENCE, reached[-1])
        return True

    def silence(self, at: int) -> int:
        return 0 if self.speaking or self.silence_from is None else (at - self.silence_from) // 16

    def updates(self) -> None:
        while self.inbox and isinstance(self.inbox[0], pb.Update) and self.inbox[0].at_sample <= self.at:
            self.obey(self.inbox.popleft(), self.at)

    def obey(self, order: Order, at: int) -> None:
        if isinstance(order, pb.Update):
            self.silences = list(order.checkpoints.ms)
            return
        closed = self.new_words(at)
        self.say(finalized=pb.Finalized(id=order.id, segment=self.number, at_sample=at, words=closed))
        self.end(at)

    def hear_frame(self) -> None:
        start, self.frame = self.frame, self.frame + FRAME
        speaks = self.script.speaks(start)
        if speaks == self.speaking:
            return
        at = max(start, self.floor)
        self.speaking, self.silence_from = speaks, None if speaks else at
        if not speaks:
            if at > self.hidden:
                self.say(speech_stopped=pb.SpeechStopped(at_sample=at))
            return
        self.asked.clear()
        self.voice(at)

    def voice(self, at: int) -> None:
        if self.start is None:
            self.start = max(at - LEAD, self.floor)
        if at >= self.hidden:
            self.say(speech_started=pb.SpeechStarted(at_sample=at))

    def new_words(self, through: int, *, final: bool = True) -> list[pb.Word]:
        """The script's words that are not final yet, cut to what was heard."""
        if self.start is None:
            return []
        floor = self.floor if self.replacing else self.final_end
        heard = [
            pb.Word(text="w", start_sample=max(start, floor), end_sample=min(end, through))
            for start, end in self.script.words
            if end > floor and start < through
        ]
        if final and not self.replacing:
            for word in heard:
                word.index, self.index = self.index, self.index + 1
            self.final_end = heard[-1].end_sample if heard else self.final_end
        return heard

    def tell_words(self) -> None:
        whole = [] if self.replacing else [end for _, end in self.script.words if end <= self.at]
        final = self.new_words(max(whole)) if whole else []
        tentative = self.new_words(self.at, final=False)
        self.say(words=pb.Words(segment=self.number, through_sample=self.at, final=final, tentative=tentative))

    def ask(self, at: int, reason: pb.CheckpointReason, silence: int) -> None:
        self.ids += 1
        self.credit = max(self.credit, at + CREDIT)
        self.waiting = pb.Checkpoint(
            id=self.ids,
            segment=self.number,
            at_sample=at,
            reason=reason,
            silence_ms=silence,
            words=self.new_words(at),
            send_through_sample=self.credit,
        )
        self.say(checkpoint=self.waiting)

    def end(self, at: int) -> None:
        self.number, self.floor, self.start = self.number + 1, at, None
        self.final_end = max(at, self.final_end)
        if self.speaking:
            self.voice(at)
