"""Voice, segments and silences: what is open, and what may follow (rules 3 and 4).

After a RESUME some of it is unknown: what happened in the context is not reported. Unknown is None, and anything that
could be true is accepted until an event settles it.
"""

from streamingstack.asr.v1 import recognizer_pb2 as pb

from asr_contract.clock import ms_to_samples, samples_to_ms
from asr_contract.conversation.errors import require
from asr_contract.conversation.hearing import CheckpointPlan

SEGMENT_LEAD = ms_to_samples(500)
# A silence, and the cap, are met at the first frame that reaches them.
LONGEST_FRAME = ms_to_samples(100)


class Segments:
    """The open segment of one stream."""

    def __init__(self, opening: pb.Open) -> None:
        resumed = opening.reason == pb.REASON_RESUME
        hidden = resumed and opening.first_sample <= opening.emit_after_sample
        self.number = opening.segment
        self.floor = opening.segment_floor
        self.is_open: bool | None = True if opening.segment_open else (None if hidden else False)
        self.start: int | None = opening.segment_start if opening.segment_open else None
        self.speaking: bool | None = None if resumed else False
        self._emitted_through = opening.emit_after_sample if resumed else 0
        self._cap = opening.segment_cap_samples
        self._asks = opening.traffic_class != pb.TRAFFIC_CLASS_BULK
        self._silence_from: int | None = None
        self._asked: set[int] = set()
        self._restart_at: int | None = None
        self._voice_at = 0

    def voice_started(self, at: int) -> None:
        """SpeechStarted."""
        self._voice(at)
        restart, self._restart_at = self._restart_at, None
        if restart is not None:
            require(at == restart, 4, f"speech went on over the end at {restart}; SpeechStarted is at {at}")
        else:
            require(self.speaking is not True, 4, "SpeechStarted twice without a SpeechStopped")
        if self.is_open is False:
            self.start = max(at - SEGMENT_LEAD, self.floor)
        self.is_open, self.speaking, self._silence_from = True, True, None
        self._asked.clear()

    def voice_stopped(self, at: int) -> None:
        """SpeechStopped."""
        self._voice(at)
        restart, self._restart_at = self._restart_at, None
        # Speech that ends exactly with its segment did not go on.
        require(restart is None or at == restart, 4, f"no SpeechStarted at {restart}, where speech went on")
        require(self.speaking is not False, 4, "SpeechStopped without a SpeechStarted")
        self.speaking, self._silence_from = False, at
        self._asked.clear()

    def expect(self, number: int, what: str) -> None:
        """A message about segment `number`."""
        require(number == self.number, 4, f"{what}.segment is {number}, segment {self.number} is next to end")

    def expect_open(self, what: str) -> None:
        """A message that only an open segment can have."""
        require(self._restart_at is None, 4, f"{what} before the SpeechStarted at {self._restart_at}")
        require(self.is_open is not False, 4, f"{what} with no segment open")

    def asked(self, checkpoint: pb.Checkpoint, plan: CheckpointPlan) -> None:
        """A Checkpoint."""
        self.expect(checkpoint.segment, "Checkpoint")
        self.expect_open("Checkpoint")
        if checkpoint.reason == pb.CHECKPOINT_REASON_SILENCE:
            self._asked_by_silence(checkpoint, plan)
            return
        require(checkpoint.reason == pb.CHECKPOINT_REASON_CAP, 3, "Checkpoint.reason must be SILENCE or CAP")
        require(not (self.speaking and checkpoint.silence_ms), 3, "a CAP in speech has silence_ms 0")
        if self.start is not None:
            cap_at = self.start + self._cap
            require(checkpoint.at_sample >= cap_at, 4, f"CAP at {checkpoint.at_sample}, before the cap at {cap_at}")

    def _asked_by_silence(self, checkpoint: pb.Checkpoint, plan: CheckpointPlan) -> None:
        silence = checkpoint.silence_ms
        require(self.speaking is not True, 3, "a SILENCE checkpoint in speech")
        plans = plan.in_force(checkpoint.at_sample)
        allowed = {ms for checkpoints in plans for ms in checkpoints}
        require(silence in allowed, 3, f"Checkpoint.silence_ms is {silence}, not among the configured")
        # Asked before and now the last, it was lowered to what was a question: rule 7 has it fire at once.
        again = silence in self._asked and not any(silence == max(checkpoints) for checkpoints in plans)
        require(not again, 3, f"a checkpoint for {silence} ms twice in one silence")
        self._asked.add(silence)
        if self._silence_from is not None:
            running = samples_to_ms(checkpoint.at_sample - self._silence_from)
            require(running >= silence, 3, f"a checkpoint for {silence} ms after {running} ms of silence")

    def close(self, at: int) -> None:
        """The segment ends at `at`; the next begins there."""
        self.number += 1
        self.floor = max(at, self.floor)
        self.start, self.is_open = None, False
        if self.floor <= self._emitted_through:
            # No event may be sent here any more, so whether speech goes on stays unknown.
            self.speaking, self.is_open = None, None
        self._restart_at = self.floor if self.speaking else None

    def processed(self, through: int, plan: CheckpointPlan) -> None:
        """The recogniser is past every position before `through`: it may not have passed by what had to be asked."""
        reached = through - LONGEST_FRAME
        if self.is_open is not True or not self._asks:
            return
        if self.start is not None and self._emitted_through < self.start + self._cap:
            require(reached < self.start + self._cap, 4, f"no CAP checkpoint by {through}")
        if self._silence_from is None:
            return
        most = max(self._asked, default=0)
        for ms in plan.unchanged_since(self._silence_from) or ():
            due = self._silence_from + ms_to_samples(ms)
            passed = ms > most and self._emitted_through < due <= reached
            require(not passed, 3, f"no checkpoint by {through} for the {ms} ms of silence reached at {due}")

    def word_floor(self) -> int:
        """Words of the open segment do not start before this position."""
        return self.floor if self.start is None else self.start

    def _voice(self, at: int) -> None:
        require(at >= self._voice_at, 1, f"voice activity went back from {self._voice_at} to {at}")
        require(at >= self.floor, 4, f"voice activity at {at}, before the end of the last segment at {self.floor}")
        self._voice_at = at
