"""One session over as many streams as it loses, without a transport: a loss can be put before or after any message.

Ledger, intake and pacer are the gateway's; the recogniser is the real stream core with a scripted engine.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from asr_contract.conversation import Conversation
from streaming_gateway.link.api import Hearing, LinkRequest
from streaming_gateway.link.audio import ByteBudget
from streaming_gateway.link.intake import receive
from streaming_gateway.link.ledger import Ledger, Plan
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
    request: LinkRequest = REQUEST

    def __post_init__(self) -> None:
        self.told = Told(self.ends_at_ms, self.replacing)


class Peer(ScriptedStream):
    """The recogniser at the other end of one stream, both sides held against the contract."""

    def __init__(self, script: Script, plan: Plan, replacing: bool, **more: Any) -> None:
        super().__init__(script, plan.open, replacing=replacing, **more)
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
        self.ledger = Ledger(session.request, ByteBudget(1 << 30))
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

    def peer(self, plan: Plan) -> Any:
        """The recogniser of the next stream."""
        return Peer(self.script, plan, self.session.replacing)

    async def connect(self) -> tuple[Any, Pacer]:
        plan = self.ledger.plan(0)
        if self.undecided is not None and self.losses_moment == "opening":
            self.answer(self.undecided)
        self.streams += 1
        peer = self.peer(plan)
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

    async def hear(self, peer: Any, pacer: Pacer) -> bool:
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
