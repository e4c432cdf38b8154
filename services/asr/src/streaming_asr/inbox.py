"""What the gateway sent and the stream has not heard yet: audio in order, and orders at their positions."""

import asyncio
from collections import deque

import numpy as np
from streamingstack.asr.v1 import recognizer_pb2 as pb

from streaming_asr.engine import SAMPLE_RATE, Pcm

BYTES_PER_SAMPLE = 2
MAX_AUDIO_BYTES = SAMPLE_RATE * BYTES_PER_SAMPLE
MAX_PENDING_ORDERS = 1000


class ContractError(Exception):
    """The gateway broke the contract; the text says how, without anything spoken."""


class HalfClosed(Exception):
    """The gateway left while a checkpoint was open."""


class Recording:
    """The session's audio from `begin` to `end`; old audio is dropped by `forget`."""

    def __init__(self, first_sample: int) -> None:
        self.begin = first_sample
        self.end = first_sample
        self._bytes = bytearray()

    def append(self, pcm: bytes) -> None:
        """Add s16le audio at the end."""
        self._bytes += pcm
        self.end += len(pcm) // BYTES_PER_SAMPLE

    def slice(self, start: int, end: int) -> Pcm:
        """A copy of `[start, end)`, cut to what is there."""
        start, end = max(start, self.begin), min(end, self.end)
        low, high = (start - self.begin) * BYTES_PER_SAMPLE, (end - self.begin) * BYTES_PER_SAMPLE
        return np.frombuffer(bytes(self._bytes[low:high]), dtype="<i2")

    def forget(self, before: int) -> None:
        """Drop audio before position `before`, a second or more at a time."""
        surplus = min(before, self.end) - self.begin
        if surplus >= SAMPLE_RATE:
            del self._bytes[: surplus * BYTES_PER_SAMPLE]
            self.begin += surplus


class Inbox:
    """Takes every message at once, whatever the stream is busy with (rule 2)."""

    def __init__(self, first_sample: int) -> None:
        self.recording = Recording(first_sample)
        self.credit = first_sample
        self.closed = False
        self._orders: deque[pb.Update | pb.Finalize] = deque()
        self._answers: dict[int, asyncio.Future[int]] = {}
        self._wake = asyncio.Event()

    def take(self, request: pb.RecognizeRequest) -> None:
        """File one message; raises ContractError."""
        kind = request.WhichOneof("message")
        if kind == "audio":
            self._audio(request.audio)
        elif kind in ("finalize", "update"):
            self._order(request.finalize if kind == "finalize" else request.update)
        elif kind == "answer":
            self._answer(request.answer)
        elif kind != "ping":
            raise ContractError(f"unexpected message {kind or 'without content'} on an open stream")
        self._wake.set()

    def half_close(self) -> None:
        """Nothing more will come: a checkpoint still open gets DECISION_UNSPECIFIED."""
        self.closed = True
        for future in self._answers.values():
            if not future.done():
                future.set_result(pb.DECISION_UNSPECIFIED)
        self._wake.set()

    def order_at(self) -> int | None:
        """Position of the next order."""
        return self._orders[0].at_sample if self._orders else None

    def finalize_at(self) -> int | None:
        """Position of the next order where that is a Finalize."""
        return self._orders[0].at_sample if self._orders and isinstance(self._orders[0], pb.Finalize) else None

    def undisturbed(self) -> int:
        """Position up to which there is audio and no Update changes anything."""
        if self._orders and isinstance(self._orders[0], pb.Update):
            return min(self.recording.end, self._orders[0].at_sample - 1)
        return self.recording.end

    def next_update(self) -> pb.Update | None:
        """Take the next order out if it is an Update."""
        head = self._orders[0] if self._orders else None
        if not isinstance(head, pb.Update):
            return None
        self._orders.popleft()
        return head

    def next_finalize(self) -> pb.Finalize | None:
        """Take the next order out if it is a Finalize."""
        head = self._orders[0] if self._orders else None
        if not isinstance(head, pb.Finalize):
            return None
        self._orders.popleft()
        return head

    def expect_answer(self, checkpoint_id: int) -> asyncio.Future[int]:
        """The decision on a checkpoint that is about to be sent; DECISION_UNSPECIFIED when none can come any more."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if self.closed:
            future.set_result(pb.DECISION_UNSPECIFIED)
        self._answers[checkpoint_id] = future
        return future

    async def news(self) -> None:
        """Wait until something was filed since the last call."""
        await self._wake.wait()
        self._wake.clear()

    def _audio(self, audio: pb.Audio) -> None:
        if audio.first_sample != self.recording.end:
            raise ContractError(f"audio begins at {audio.first_sample}, expected {self.recording.end}")
        if not audio.pcm or len(audio.pcm) % BYTES_PER_SAMPLE or len(audio.pcm) > MAX_AUDIO_BYTES:
            raise ContractError(f"audio of {len(audio.pcm)} bytes; expected 2 to {MAX_AUDIO_BYTES}, whole samples")
        if audio.first_sample + len(audio.pcm) // BYTES_PER_SAMPLE > self.credit:
            raise ContractError(f"audio beyond the credit of {self.credit}")
        self.recording.append(audio.pcm)

    def _order(self, order: pb.Update | pb.Finalize) -> None:
        if len(self._orders) >= MAX_PENDING_ORDERS:
            raise ContractError(f"more than {MAX_PENDING_ORDERS} orders wait for their audio")
        if self._orders and order.at_sample < self._orders[-1].at_sample:
            raise ContractError(f"an order at {order.at_sample} after one at {self._orders[-1].at_sample}")
        self._orders.append(order)

    def _answer(self, answer: pb.Answer) -> None:
        future = self._answers.pop(answer.checkpoint_id, None)
        if future is None:
            raise ContractError(f"an answer to checkpoint {answer.checkpoint_id}, which is not open")
        if answer.decision not in (pb.DECISION_CONTINUE, pb.DECISION_END_SEGMENT):
            raise ContractError(f"checkpoint {answer.checkpoint_id} answered without a decision")
        if not future.done():
            future.set_result(answer.decision)
