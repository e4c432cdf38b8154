"""Which checkpoints are in force where (rules 3 and 7)."""

from streamingstack.asr.v1 import recognizer_pb2 as pb

Checkpoints = tuple[int, ...]


class CheckpointPlan:
    """The configured silences over the audio's positions."""

    def __init__(self, opening: pb.Open) -> None:
        self._plan: list[tuple[int, Checkpoints]] = [(0, tuple(opening.checkpoints_ms))]

    def update(self, update: pb.Update) -> None:
        """Takes effect at its position, which is not before an earlier one's."""
        if update.HasField("checkpoints"):
            self._plan.append((update.at_sample, tuple(update.checkpoints.ms)))

    def in_force(self, at: int) -> list[Checkpoints]:
        """What a checkpoint at `at` may be judged by.

        More than one where an Update lies at that very sample: it may reach a recogniser that stands there already
        before or after its checkpoint.
        """
        before = [checkpoints for position, checkpoints in self._plan if position < at]
        return before[-1:] + [checkpoints for position, checkpoints in self._plan if position == at]

    def unchanged_since(self, at: int) -> Checkpoints | None:
        """The silences in force at `at` and ever after; None where they change."""
        return None if self._plan[-1][0] >= at > 0 else self._plan[-1][1]
