"""Two legal peers, any delay between them, any death: the model accepts them at both ends, and loses no word.

The gateway is as small as the recogniser, and knows nothing of the model but what it has to remember for a RESUME.
"""

from collections import deque
from itertools import pairwise

from asr_contract.clock import ms_to_samples
from asr_contract.conversation import Conversation
from asr_contract.testing.steps import opened
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from streamingstack.asr.v1 import recognizer_pb2 as pb

from .legal_recogniser import FRAME, SILENCES, Order, Recogniser, Script, scripts


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
