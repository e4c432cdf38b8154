"""Two legal peers, any delay between them, any death: the model accepts them at both ends, and loses no word.

The peers are as small as the contract allows, and know nothing of the model but what a gateway has to remember for a
RESUME. Audio is a clock; voice and words come from a script over its positions, so that what has to come out is known.
"""

from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise

from asr_contract.clock import ms_to_samples
from asr_contract.conversation import Conversation
from asr_contract.testing.steps import opened
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
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


class Peers(RuleBasedStateMachine):
    """A client, its gateway, and one recogniser after the other."""

    @initialize(
        script=scripts(),
        silences=SILENCES,
        cap=st.sampled_from([8000, 40_000, 960_000]),
        replacing=st.booleans(),
    )
    def open(self, script: Script, silences: list[int], cap: int, replacing: bool) -> None:
        self.script, self.replacing = script, replacing
        self.client_end, self.finalizes, self.event_at = 0, 0, 0
        self.orders: list[Order] = []  # all of the session, in order
        self.epochs = 0
        self.segments: list[tuple[int, int]] = []  # pieces of words that became final with a closed segment
        message = opened(checkpoints_ms=silences, segment_cap_samples=cap).message
        self.first_open = message.open
        self.connect(message.open)

    def connect(self, opening: pb.Open) -> None:
        self.near, self.far = Conversation(), Conversation()
        self.wire_up: deque[pb.RecognizeRequest] = deque()
        self.wire_down: deque[pb.RecognizeResponse] = deque()
        self.ready, self.sent, self.credit = False, opening.first_sample, 0
        self.unsent = [order for order in self.orders if self.still_due(order, opening)]
        self.near.up(pb.RecognizeRequest(open=opening))
        self.far.up(pb.RecognizeRequest(open=opening))
        self.recogniser = Recogniser(self.script, opening, self.replacing)
        self.flush()

    def still_due(self, order: Order, opening: pb.Open) -> bool:
        if isinstance(order, pb.Finalize):
            return order.id > self.answered
        return opening.reason == pb.REASON_NEW or order.at_sample > opening.emit_after_sample

    answered = 0

    def send(self, **message: object) -> None:
        request = pb.RecognizeRequest(**message)  # type: ignore[arg-type]
        self.near.up(request)
        self.wire_up.append(request)

    def flush(self) -> None:
        """What the recogniser said goes onto the wire."""
        for response in self.recogniser.outbox:
            self.far.down(response)
            self.wire_down.append(response)
        self.recogniser.outbox.clear()

    # -- the client ----------------------------------------------------------------------------------------------

    @rule(samples=st.integers(1, 48_000))
    def client_speaks(self, samples: int) -> None:
        self.client_end += samples

    @rule()
    def client_forces_an_end(self) -> None:
        self.finalizes += 1
        self.order(pb.Finalize(id=self.finalizes, at_sample=self.client_end))

    @rule(silences=SILENCES)
    def client_updates(self, silences: list[int]) -> None:
        self.order(pb.Update(at_sample=self.client_end, checkpoints=pb.Checkpoints(ms=silences)))

    def order(self, order: Order) -> None:
        self.orders.append(order)
        self.unsent.append(order)

    # -- the gateway ---------------------------------------------------------------------------------------------

    @precondition(lambda self: self.ready)
    @rule(samples=st.integers(1, 16_000))
    def gateway_sends_audio(self, samples: int) -> None:
        limits = [self.client_end, self.credit, self.sent + samples]
        end = min(limits + [order.at_sample for order in self.unsent[:1]])
        if end > self.sent:
            self.send(audio=pb.Audio(first_sample=self.sent, pcm=bytes(2 * (end - self.sent))))
            self.sent = end

    @precondition(lambda self: self.ready and self.unsent)
    @rule()
    def gateway_sends_an_order(self) -> None:
        order = self.unsent.pop(0)
        self.send(**{"update" if isinstance(order, pb.Update) else "finalize": order})

    @rule()
    def gateway_pings(self) -> None:
        self.send(ping=pb.Ping())

    @precondition(lambda self: self.wire_down)
    @rule(count=st.integers(1, 5))
    def gateway_receives(self, count: int) -> None:
        for _ in range(min(count, len(self.wire_down))):
            response = self.wire_down.popleft()
            self.near.down(response)
            kind = response.WhichOneof("message")
            assert kind is not None
            body = getattr(response, kind)
            self.ready = True
            self.credit = max(self.credit, getattr(body, "send_through_sample", 0))
            at = getattr(body, "at_sample", getattr(body, "through_sample", 0))
            self.event_at = max(self.event_at, at)
            if kind == "finalized":
                self.answered = body.id

    @precondition(lambda self: self.near.open_checkpoint is not None)
    @rule(end=st.booleans())
    def gateway_answers(self, end: bool) -> None:
        checkpoint = self.near.open_checkpoint
        assert checkpoint is not None
        end = end or self.must_end(checkpoint)
        decision = pb.DECISION_END_SEGMENT if end else pb.DECISION_CONTINUE
        self.send(answer=pb.Answer(checkpoint_id=checkpoint.id, decision=decision))

    def must_end(self, checkpoint: pb.Checkpoint) -> bool:
        in_force = self.silences_at(checkpoint.at_sample - 1)
        there = self.silences_at(checkpoint.at_sample)
        last = checkpoint.silence_ms >= min(in_force[-1], there[-1])
        return last or checkpoint.reason == pb.CHECKPOINT_REASON_CAP

    def silences_at(self, at: int) -> list[int]:
        silences = list(self.first_open.checkpoints_ms)
        for order in self.orders:
            if isinstance(order, pb.Update) and order.at_sample <= at:
                silences = list(order.checkpoints.ms)
        return silences

    # -- the recogniser ------------------------------------------------------------------------------------------

    @precondition(lambda self: self.wire_up)
    @rule(count=st.integers(1, 5))
    def recogniser_receives(self, count: int) -> None:
        for _ in range(min(count, len(self.wire_up))):
            request = self.wire_up.popleft()
            self.far.up(request)
            self.recogniser.take(request)
            self.flush()

    @rule(count=st.integers(1, 60))
    def recogniser_hears(self, count: int) -> None:
        for _ in range(count):
            if not self.recogniser.step():
                break
        self.flush()

    @rule()
    def recogniser_tells_its_progress(self) -> None:
        self.recogniser.progress()
        self.flush()

    @rule()
    def recogniser_drains(self) -> None:
        self.recogniser.say(draining=pb.Draining(deadline_ms=1000))
        self.flush()

    @rule(samples=st.integers(1, 16_000), turns=st.integers(1, 12), end=st.booleans())
    def time_passes(self, samples: int, turns: int, end: bool) -> None:
        """What would take many of the rules above, without any delay."""
        for _ in range(turns):
            self.client_speaks(samples)
            self.all_goes_round(end)

    def all_goes_round(self, end: bool) -> None:
        self.recogniser_receives(5)
        self.recogniser_hears(60)
        self.recogniser_tells_its_progress()
        self.gateway_receives(5)
        if self.near.open_checkpoint:
            self.gateway_answers(end)
        if self.unsent and self.unsent[0].at_sample == self.sent and self.ready:
            self.gateway_sends_an_order()
        if self.ready:
            self.gateway_sends_audio(16_000)

    # -- death and the end ---------------------------------------------------------------------------------------

    @precondition(lambda self: self.ready)
    @rule(end=st.booleans())
    def recogniser_dies(self, end: bool) -> None:
        checkpoint = self.near.open_checkpoint
        if checkpoint is not None:  # the decision stands although nobody hears it
            self.gateway_answers(end)
        self.near.ended("UNAVAILABLE")
        self.far.ended("UNAVAILABLE")
        self.epochs += 1
        self.keep(self.near)
        self.connect(self.resume())

    def keep(self, conversation: Conversation) -> None:
        """The words of the segments that this stream closed."""
        for segment in conversation.closed:
            self.segments += [(word.start_sample, word.end_sample) for word in segment.words]

    def resume(self) -> pb.Open:
        segments, o = self.near.segments, pb.Open()
        o.CopyFrom(self.first_open)
        o.reason, o.epoch, o.emit_after_sample = pb.REASON_RESUME, self.epochs, self.event_at
        o.segment, o.segment_floor, o.next_word_index = segments.number, segments.floor, self.near.next_word_index
        del o.checkpoints_ms[:]
        o.checkpoints_ms.extend(self.silences_at(self.event_at))
        # Speech that began in the context has no SpeechStarted: whether a segment is open shows in its words only.
        if segments.is_open or self.near.open_words:
            o.segment_open = True
            o.segment_start = segments.floor if segments.start is None else segments.start
            o.final_words.extend(self.near.open_words)
            o.first_sample = o.segment_start
        else:
            o.first_sample = max(segments.floor, self.event_at - ms_to_samples(3000))
        return o

    @invariant()
    def both_ends_agree_on_the_past(self) -> None:
        if hasattr(self, "near"):
            assert self.far.final_words[: len(self.near.final_words)] == self.near.final_words or self.replacing
            assert self.near.audio.sent_through >= self.far.audio.sent_through

    def teardown(self) -> None:
        """The client terminates: everything is heard, finalized and closed, and every word was final once."""
        if not hasattr(self, "near"):
            return
        self.client_forces_an_end()
        for _ in range(3000):
            if self.answered == self.finalizes:
                break
            self.all_goes_round(False)
        r = self.recogniser
        assert self.answered == self.finalizes, (
            f"stuck: sent {self.sent}, credit {self.credit}, heard {r.at}, {r.waiting}"
        )
        for conversation in (self.near, self.far):
            conversation.half_close()
            conversation.ended()
        self.keep(self.near)
        heard = [(start, min(end, self.client_end)) for start, end in self.script.words if start < self.client_end]
        assert all(before[1] <= after[0] for before, after in pairwise(self.segments)), "a word is doubled"
        # Voice is known at the end of its frame: a cut in mid-frame may hide less than a frame of a word, never a word.
        lost = [gap for word in heard for gap in _gaps(word, self.segments)]
        assert all(end - start < FRAME for start, end in lost), f"lost {lost}"


def _gaps(word: tuple[int, int], pieces: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """What of `word` no piece covers."""
    inside = [(max(start, word[0]), min(end, word[1])) for start, end in pieces if start < word[1] and end > word[0]]
    edges = [word[0], *(edge for piece in inside for edge in piece), word[1]]
    return list(zip(edges[::2], edges[1::2], strict=True))


TestPeers = Peers.TestCase
TestPeers.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
