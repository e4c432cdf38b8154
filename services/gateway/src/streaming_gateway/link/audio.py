"""The audio a session still needs: its backlog and what a replay would send again. Counted over all sessions."""

from asr_contract.clock import BYTES_PER_SAMPLE, SAMPLE_RATE

_FORGET_AT_ONCE = SAMPLE_RATE // 2


class ByteBudget:
    """Bytes of audio that all sessions of one gateway hold together, against the bound they share."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    @property
    def spent(self) -> bool:
        """Whether a new session has to be refused."""
        return self.used >= self.limit


class HeldAudio:
    """Mono s16le audio from position `begin` to `end`, in samples since the session's first byte."""

    def __init__(self, budget: ByteBudget) -> None:
        self.begin = 0
        self.end = 0
        self._bytes = bytearray()
        self._budget = budget

    def append(self, pcm: bytes) -> None:
        """Add audio at the end. Raises ValueError when it holds half a sample."""
        if len(pcm) % BYTES_PER_SAMPLE:
            raise ValueError(f"pcm: {len(pcm)} bytes are not whole 16-bit samples")
        self._bytes += pcm
        self.end += len(pcm) // BYTES_PER_SAMPLE
        self._budget.used += len(pcm)

    def slice(self, start: int, end: int) -> bytes:
        """The audio `[start, end)`; raises ValueError where it is not held."""
        if not self.begin <= start <= end <= self.end:
            raise ValueError(f"audio {start}..{end} is not held; {self.begin}..{self.end} is")
        offset = self.begin * BYTES_PER_SAMPLE
        return bytes(self._bytes[start * BYTES_PER_SAMPLE - offset : end * BYTES_PER_SAMPLE - offset])

    def forget(self, before: int) -> None:
        """Drop audio before position `before`, half a second or more at a time."""
        surplus = min(before, self.end) - self.begin
        if surplus >= _FORGET_AT_ONCE:
            self._drop(surplus)

    def release(self) -> None:
        """Drop everything."""
        self._drop(self.end - self.begin)

    def _drop(self, samples: int) -> None:
        del self._bytes[: samples * BYTES_PER_SAMPLE]
        self.begin += samples
        self._budget.used -= samples * BYTES_PER_SAMPLE
