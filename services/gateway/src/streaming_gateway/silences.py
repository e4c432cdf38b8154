"""Opt-in acknowledgements of silence, one for each second of audio without voice."""

from streamingstack.asr.v1 import recognizer_pb2 as pb

from streaming_gateway import wire

_SAMPLES_PER_MS = 16
_EVERY = 1_000 * _SAMPLES_PER_MS


class Silences:
    """Follows what a recogniser hears. Positions are samples since the first byte."""

    def __init__(self) -> None:
        self._since: int | None = 0

    def heard(self, response: pb.RecognizeResponse) -> list[wire.WireMessage]:
        """The silences that are whole after `response`."""
        match response.WhichOneof("message"):
            case "speech_started":
                self._since = None
            case "speech_stopped":
                self._since = response.speech_stopped.at_sample
            case "checkpoint" if self._since is None and response.checkpoint.silence_ms:
                # After a loss the end of the voice may be told by its checkpoint only.
                self._since = response.checkpoint.at_sample - response.checkpoint.silence_ms * _SAMPLES_PER_MS
            case "progress":
                return self._until(response.progress.processed_through_sample)
        return []

    def _until(self, sample: int) -> list[wire.WireMessage]:
        whole = []
        while self._since is not None and self._since + _EVERY <= sample:
            start, self._since = self._since, self._since + _EVERY
            whole.append(wire.silence(start // _SAMPLES_PER_MS, self._since // _SAMPLES_PER_MS))
        return whole
