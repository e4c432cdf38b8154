"""However often and wherever streams are lost, the session is told what it would have been told without a loss.

The recogniser is the real stream core with a scripted engine; only the transport is missing, so that a loss can be put
before or after any single message. The audio is coded: a sample sent again at a position that is not its own is heard.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from asr_contract.conversation import Conversation
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from streaming_gateway.link.api import Hearing, LinkRequest
from streaming_gateway.link.audio import ByteBudget, HeldAudio
from streaming_gateway.link.intake import receive
from streaming_gateway.link.ledger import FRAME, Ledger, Plan
from streaming_gateway.link.pacing import Pacer
from streamingstack.asr.v1 import recognizer_pb2 as pb
from streamingstack_bench.coded_audio import coded_pcm
from streamingstack_bench.scripted import Script
from streamingstack_bench.scripted_stream import ScriptedStream
from streamingstack_bench.told import Told

MS = 16
PIECE = 100 * MS
CHECKPOINTS = (160, 400, 640, 880, 1120, 1280)
REQUEST = LinkRequest("5d3f9a1e-0000-4000-8000-000000000001", "en-default", Hearing(0.4, CHECKPOINTS))


@dataclass(frozen=True)
class Loss:
    """A stream dies at the `count`th message down of the session.

    moment: "before" it arrives; "after" the session has decided, with the answer unsent; "undecided": after it was
    shown, and the session decides only when the next stream is Ready; "opening": as undecided, decided before Ready.
    """

    count: int
    moment: str


@dataclass
class Session:
    """What one session does at which sample, and what it was told."""

    seconds: float
    ends_at_ms: int = 1280
    finalize_at: tuple[int, ...] = ()
    update_at: dict[int, dict[str, Any]] = field(default_factory=dict)
    replacing: bool = False
    troubles: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.told = Told(self.ends_at_ms, self.replacing)


class Peer(ScriptedStream):
    """The recogniser at the other end of one stream, both sides held against the contract."""

    def __init__(self, script: Script, plan: Plan, replacing: bool) -> None:
        super().__init__(script, plan.open, replacing=replacing)
        self.rules = Conversation()
        self.rules.up(pb.RecognizeRequest(open=plan.open))

    def take(self, request: pb.RecognizeRequest) -> None:
        self.rules.up(request)
        super().take(request)

    def next(self) -> pb.RecognizeResponse:
        response = self.out.popleft()
        self.rules.down(response)
        return response


class Played:
    """One session over as many streams as the losses ask for."""

    def __init__(self, script: Script, session: Session, losses: list[Loss]) -> None:
        self.script, self.session, self.losses = script, session, deque(sorted(losses, key=lambda loss: loss.count))
        self.ledger = Ledger(REQUEST, ByteBudget(1 << 30))
        self.count = 0
        self.streams = 0
        self.undecided: pb.Checkpoint | None = None

    async def run(self) -> None:
        peer, pacer = await self.connect()
        idle = 0
        while idle < 3:
            while (request := pacer.next()) is not None:
                peer.take(request)
                await peer.rest()
            await peer.rest()
            if not peer.out:
                idle = 0 if self.give() else idle + 1
                continue
            idle = 0
            if not await self.hear(peer, pacer):
                await peer.die()
                peer, pacer = await self.connect()
        await peer.die()
        assert self.ledger.asked is None
        assert self.ledger.orders.first_finalize_at() is None

    def give(self) -> bool:
        """The session's next 100 ms and what it orders at their end."""
        at, session = self.ledger.audio.end, self.session
        if at >= session.seconds * 16_000:
            return False
        end = min([stop for stop in (*session.finalize_at, *session.update_at) if stop > at], default=at + PIECE)
        end = min(end, at + PIECE)
        self.ledger.audio.append(coded_pcm(at, end))
        if end in session.update_at:
            self.ledger.update(session.update_at[end])
        if end in session.finalize_at:
            self.ledger.finalize()
        return True

    async def connect(self) -> tuple[Peer, Pacer]:
        plan = self.ledger.plan(0)
        if self.undecided is not None and self.losses_moment == "opening":
            self.answer(self.undecided)
        self.streams += 1
        peer = Peer(self.script, plan, self.session.replacing)
        await peer.rest()
        ready = peer.next().ready
        self.ledger.begin(plan, ready)
        pacer = Pacer(
            self.ledger.audio,
            self.ledger.orders,
            first_sample=plan.open.first_sample,
            folded=plan.folded,
            ready=ready,
        )
        if self.undecided is not None:
            answer = self.answer(self.undecided)
            assert answer is None, "the new stream has not met it yet"
        return peer, pacer

    def answer(self, checkpoint: pb.Checkpoint) -> pb.Answer | None:
        self.undecided = None
        return self.ledger.answer(checkpoint, self.session.told.decide(checkpoint))

    async def hear(self, peer: Peer, pacer: Pacer) -> bool:
        """Take one message; False where the stream dies over it."""
        self.count += 1
        loss = self.losses.popleft() if self.losses and self.losses[0].count <= self.count else None
        if loss is not None and loss.moment == "before":
            return False
        response = peer.next()
        if response.WhichOneof("message") in ("progress", "checkpoint"):
            pacer.renew(getattr(response, response.WhichOneof("message") or "").send_through_sample)
        heard = receive(self.ledger, response)
        self.session.troubles += heard.troubles
        answers = [heard.answer] if heard.answer else []
        for event in heard.show:
            checkpoint = self.session.told.take(event)
            if checkpoint is None:
                continue
            if loss is not None and loss.moment in ("undecided", "opening"):
                self.undecided, self.losses_moment = checkpoint, loss.moment
            else:
                answer = self.answer(checkpoint)
                answers += [answer] if answer else []
        assert not self.ledger.diverged
        if loss is not None:
            return False
        for answer in answers:
            peer.take(pb.RecognizeRequest(answer=answer))
        return True


def play(script: Script, session: Session, losses: list[Loss]) -> Played:
    played = Played(script, session, losses)
    asyncio.run(played.run())
    return played


SPOKEN = Script.of(
    "one two two two three | | four five | six seven seven eight nine | | ten | eleven eleven twelve | |", coded=True
)
LOSSES = st.lists(
    st.builds(Loss, st.integers(1, 150), st.sampled_from(["before", "after", "undecided", "opening"])), max_size=6
)


def _voice_is_known(ms: int) -> bool:
    """Not in the frame after a voice, where its end is not known yet: an end forced there begins a segment without
    words, which makes no turn, and which a recogniser that starts anew behind that voice does not begin."""
    return not any(word.end_ms <= ms < word.end_ms + 64 for word in SPOKEN.words)


def sessions(replacing: bool) -> st.SearchStrategy[Session]:
    update = st.sampled_from(
        [
            {"vad_threshold": 0.3},
            {"checkpoints_ms": (200, 800, 1280)},
            {"checkpoints_ms": (160, 480, 900)},
            {"keyterms": ("seven",)},
        ]
    )
    return st.builds(
        Session,
        seconds=st.just(18.0),
        ends_at_ms=st.sampled_from([640, 900]),
        finalize_at=st.lists(st.integers(1, 17_900).filter(_voice_is_known), max_size=3).map(
            lambda ms: tuple(sorted(m * MS for m in ms))
        ),
        update_at=st.dictionaries(st.integers(1, 15_000).map(lambda ms: ms * MS + 7), update, max_size=2),
        replacing=st.just(replacing),
    )


@pytest.mark.parametrize("replacing", [False, True])
def test_any_losses_leave_what_the_session_is_told_unchanged(replacing: bool) -> None:
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(session=sessions(replacing), losses=LOSSES)
    def check(session: Session, losses: list[Loss]) -> None:
        def again() -> Session:
            return Session(
                session.seconds, session.ends_at_ms, session.finalize_at, session.update_at, replacing=replacing
            )

        whole = play(SPOKEN, again(), [])
        cut = play(SPOKEN, again(), losses)
        assert cut.session.told.comparable() == whole.session.told.comparable()
        assert cut.session.troubles == whole.session.troubles == []

    check()


@pytest.mark.parametrize("moment", ["before", "after", "undecided", "opening"])
@pytest.mark.parametrize("replacing", [False, True])
def test_a_loss_at_every_single_message_changes_nothing(moment: str, replacing: bool) -> None:
    script = Script.of("one one two | three four | | five | |", coded=True)

    def session() -> Session:
        # The first forced end is in mid-word.
        return Session(7.5, ends_at_ms=640, finalize_at=(2_625 * MS, 4_111 * MS), replacing=replacing)

    whole = play(script, session(), [])
    assert whole.session.told.text() == "one one two three four five"
    for count in range(1, whole.count + 1):
        cut = play(script, session(), [Loss(count, moment)])
        assert cut.session.told.comparable() == whole.session.told.comparable(), f"loss at {count}"
        assert cut.streams == 2
        assert cut.session.troubles == []


def _silence(pcm: bytes) -> bytes:
    return bytes(len(pcm))


def _a_frame_late(pcm: bytes) -> bytes:
    return pcm[2 * FRAME :] + pcm[: 2 * FRAME]


def _halves_exchanged(pcm: bytes) -> bytes:
    middle = len(pcm) // 4 * 2
    return pcm[middle:] + pcm[:middle]


def _one_sample_wrong(pcm: bytes) -> bytes:
    return bytes([pcm[0] ^ 1]) + pcm[1:]


@pytest.mark.parametrize("wrong", [_silence, _a_frame_late, _halves_exchanged, _one_sample_wrong])
@pytest.mark.parametrize("replacing", [False, True])
def test_wrong_audio_in_a_replay_would_be_told(
    wrong: Callable[[bytes], bytes], replacing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script.of("one one two | three four | | five | |", coded=True)
    whole = play(script, Session(7.5, ends_at_ms=640, replacing=replacing), [])
    sliced, sent = HeldAudio.slice, 0

    def slice_wrong(audio: HeldAudio, start: int, end: int) -> bytes:
        nonlocal sent
        again, sent = start < sent, max(sent, end)
        return wrong(sliced(audio, start, end)) if again else sliced(audio, start, end)

    monkeypatch.setattr(HeldAudio, "slice", slice_wrong)
    cut = play(script, Session(7.5, ends_at_ms=640, replacing=replacing), [Loss(14, "after")])
    assert cut.streams == 2
    assert cut.session.told.comparable() != whole.session.told.comparable()
