"""Voice activity of one stream, frame by frame; it may run ahead of what the stream has heard."""

from collections import deque

from streaming_asr.engine import VAD_FRAME, VoiceActivity
from streaming_asr.inbox import Recording

FRAMES_AT_ONCE = 32


class Frames:
    """`start` is the position of the next frame; `peak` the highest speech probability since somebody reset it."""

    def __init__(self, voice: VoiceActivity, recording: Recording, first_sample: int) -> None:
        self.start = -(-first_sample // VAD_FRAME) * VAD_FRAME
        self.peak = 0.0
        self._recording = recording
        self._voice = voice.open(self.start)
        self._probabilities: deque[float] = deque()

    @property
    def ahead(self) -> tuple[float, ...]:
        """Speech probabilities of the frames from `start` on, as far as they are known."""
        return tuple(self._probabilities)

    async def look_ahead(self) -> None:
        """Judge frames whose audio is there, some at a time."""
        first = self.start + len(self._probabilities) * VAD_FRAME
        frames = min(FRAMES_AT_ONCE, (self._recording.end - first) // VAD_FRAME)
        if frames > 0:
            pcm = self._recording.slice(first, first + frames * VAD_FRAME)
            self._probabilities.extend(await self._voice.probabilities(pcm))

    async def next(self) -> float:
        """The speech probability of the frame at `start`, whose audio is there; goes on to the one behind it."""
        if not self._probabilities:
            await self.look_ahead()
        probability = self._probabilities.popleft()
        self.start += VAD_FRAME
        self.peak = max(self.peak, probability)
        return probability
