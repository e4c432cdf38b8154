"""What to send next on one stream: audio within its credit, orders at their positions (rules 1 and 2). Pure."""

from collections.abc import Collection

from asr_contract.clock import ms_to_samples
from streamingstack.asr.v1 import recognizer_pb2 as pb

from streaming_gateway.link.audio import HeldAudio
from streaming_gateway.link.orders import Orders

_SHORTEST_CHUNK_MS = 20
_LONGEST_CHUNK_MS = 1000


class Pacer:
    """Walks over the session's audio and orders, from the first sample of one stream."""

    def __init__(
        self, audio: HeldAudio, orders: Orders, *, first_sample: int, folded: Collection[int], ready: pb.Ready
    ) -> None:
        """`folded` are the numbers of the orders that the stream's Open already contains."""
        self.sent = first_sample
        self.credit = ready.send_through_sample
        chunk_ms = min(max(ready.preferred_chunk_ms, _SHORTEST_CHUNK_MS), _LONGEST_CHUNK_MS)
        self._chunk = ms_to_samples(chunk_ms)
        self._audio, self._orders = audio, orders
        self._folded = folded
        self._order = 0

    def renew(self, credit: int) -> None:
        """Take a new credit; an older one that arrives late takes nothing back."""
        self.credit = max(self.credit, credit)

    def next(self) -> pb.RecognizeRequest | None:
        """The next message; None: nothing to send until audio, an order or credit arrives."""
        order = self._orders.after(self._order, self._folded)
        if order is not None and order.at <= self.sent:
            self._order = order.number
            return order.request
        end = min(self._audio.end, self.credit, self.sent + self._chunk)
        if order is not None:
            end = min(end, order.at)
        if end <= self.sent:
            return None
        pcm = self._audio.slice(self.sent, end)
        request = pb.RecognizeRequest(audio=pb.Audio(first_sample=self.sent, pcm=pcm))
        self.sent = end
        return request
