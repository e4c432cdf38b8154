"""Finalizes and Updates: in the order of the audio, each Finalize answered once (rules 1, 4 and 7)."""

from collections import deque

from streamingstack.asr.v1 import recognizer_pb2 as pb

from asr_contract.conversation.errors import require


class Orders:
    """What the gateway ordered at positions of the audio."""

    def __init__(self, opening: pb.Open) -> None:
        self.unanswered: deque[pb.Finalize] = deque()
        # Over a RESUME ids go on, from the oldest Finalize that was not answered.
        self._next_id = 1 if opening.reason == pb.REASON_NEW else None
        self._at = 0

    def position(self, at: int, sent_through: int, what: str) -> None:
        """An order for `at`. Raises ContractError."""
        require(
            at >= sent_through,
            1,
            f"{what}.at_sample is {at}, but audio through {sent_through} was sent: its effect would depend on arrival",
        )
        require(at >= self._at, 1, f"{what}.at_sample is {at}, an earlier order lies at {self._at}")
        self._at = at

    def finalize(self, finalize: pb.Finalize) -> None:
        """A Finalize. Raises ContractError."""
        expected = max(finalize.id, 1) if self._next_id is None else self._next_id
        require(finalize.id == expected, 1, f"Finalize.id is {finalize.id}, expected {expected}")
        self._next_id = expected + 1
        self.unanswered.append(finalize)

    def answered(self, finalized: pb.Finalized, floor: int) -> None:
        """A Finalized, `floor` being the end of the last segment. Raises ContractError."""
        require(bool(self.unanswered), 4, f"Finalized {finalized.id} without a Finalize")
        finalize = self.unanswered.popleft()
        require(finalized.id == finalize.id, 4, f"Finalized.id is {finalized.id}, Finalize {finalize.id} is next")
        expected = max(finalize.at_sample, floor)
        require(
            finalized.at_sample == expected, 4, f"Finalized.at_sample is {finalized.at_sample}, expected {expected}"
        )

    def passed(self, at: int, what: str) -> None:
        """An event at `at`. Raises ContractError where a Finalize before it is not answered yet."""
        if self.unanswered:
            due = self.unanswered[0]
            require(at <= due.at_sample, 1, f"{what} at {at} before the Finalized {due.id} at {due.at_sample}")
