"""Audio in order, within the credit (rules 1 and 2)."""

from streamingstack.asr.v1 import recognizer_pb2 as pb

from asr_contract.clock import BYTES_PER_SAMPLE, SAMPLE_RATE
from asr_contract.conversation.errors import FIELDS, require

MAX_AUDIO_BYTES = SAMPLE_RATE * BYTES_PER_SAMPLE
FULL_CREDIT = 2 * SAMPLE_RATE
HALF_CREDIT = FULL_CREDIT // 2


class AudioAccount:
    """How far the audio was sent, is known to be processed, and may be sent; all of them positions."""

    def __init__(self, first_sample: int) -> None:
        self.sent_through = first_sample
        self.processed_through = first_sample
        self.credit = first_sample
        self._progress = first_sample

    def send(self, audio: pb.Audio) -> None:
        """Raises ContractError for audio that does not follow, has no whole samples, or exceeds the credit."""
        require(
            audio.first_sample == self.sent_through,
            1,
            f"Audio.first_sample is {audio.first_sample}, the audio so far ends at {self.sent_through}",
        )
        size = len(audio.pcm)
        whole = 0 < size <= MAX_AUDIO_BYTES and size % BYTES_PER_SAMPLE == 0
        require(whole, FIELDS, f"Audio.pcm has {size} bytes; expected an even number from 2 to {MAX_AUDIO_BYTES}")
        end = audio.first_sample + size // BYTES_PER_SAMPLE
        require(end <= self.credit, 2, f"audio through {end} exceeds the credit through {self.credit}")
        self.sent_through = end

    def reach(self, position: int, what: str) -> None:
        """Something was heard through `position`. Raises ContractError where no audio was sent."""
        require(
            position <= self.sent_through, 1, f"{what} at {position} lies beyond the audio through {self.sent_through}"
        )
        self.processed_through = max(self.processed_through, position)

    def progress(self, processed: int) -> None:
        """A Progress through `processed`."""
        require(
            processed >= self._progress, 2, f"Progress went back from {self._progress} to {processed} processed samples"
        )
        self._progress = processed
        self.reach(processed, "Progress.processed_through_sample")

    def grant(self, send_through: int, processed: int) -> None:
        """Credit given with a message that was heard through `processed`."""
        require(send_through >= self.credit, 2, f"credit went back from {self.credit} to {send_through}")
        most = self.processed_through + FULL_CREDIT
        require(send_through <= most, 2, f"credit through {send_through} is more than 2 s beyond {most - FULL_CREDIT}")
        require(
            send_through >= processed + HALF_CREDIT,
            2,
            f"credit through {send_through} was not renewed at {processed}: half of it is used",
        )
        self.credit = send_through
