"""What both families share: the order of turns, the end of segments, the configuration's timeline."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

from streamingstack.asr.v1 import recognizer_pb2 as pb

from streaming_gateway.turns.checkpoints import checkpoints_ms
from streaming_gateway.turns.config import Timeline, TurnConfig
from streaming_gateway.turns.words import SAMPLES_PER_MS, HeardWord, confidence, heard_words, without_profanity
from streaming_gateway.wire import WireMessage

# Nothing is told any more about audio that lies this far behind what was heard: a segment is not longer.
_TOLD_WITHIN = 60_000 * SAMPLES_PER_MS


@dataclass(frozen=True)
class Send:
    """Show the client `message`. `since_sample` is the audio whose arrival its wait is measured from, if any."""

    message: WireMessage
    since_sample: int | None


@dataclass(frozen=True)
class Decide:
    """Answer a checkpoint."""

    checkpoint: pb.Checkpoint
    decision: int


Effect = Send | Decide


class TurnMachine(ABC):
    """One session's turns: the recogniser's messages in, effects out, in the order in which they must happen.

    A turn is what the client sees of a segment. A segment without words makes no turn.
    """

    def __init__(self, config: TurnConfig) -> None:
        self._timeline = Timeline(config)
        self._turn_order = 0
        self._score = 0.0
        self._floor_ms = 0
        self._language: tuple[str, float] | None = None
        self._last_language = ""

    @property
    def changes_waiting(self) -> int:
        """Changes of the configuration whose audio is not heard yet, or only just."""
        return self._timeline.waiting

    def update(self, at_sample: int, config: TurnConfig) -> None:
        """`config` is in force from `at_sample`, the end of the audio received so far."""
        self._timeline.change(at_sample, config)

    def event(self, response: pb.RecognizeResponse) -> list[Effect]:
        """What the client sees and the recogniser is told after `response`."""
        match response.WhichOneof("message"):
            case "speech_started":
                self._voice_began(response.speech_started)
            case "speech_stopped":
                self._voice_ended(response.speech_stopped)
            case "words":
                self._score = confidence(response.words.eot_score)
                return self._words(response.words, self._timeline.at(response.words.through_sample))
            case "checkpoint":
                return self._checkpoint(response.checkpoint)
            case "finalized":
                return self._finalized(response.finalized)
            case "progress":
                self._timeline.at(response.progress.processed_through_sample - _TOLD_WITHIN)
        return []

    def _checkpoint(self, checkpoint: pb.Checkpoint) -> list[Effect]:
        config = self._timeline.at(checkpoint.at_sample)
        self._judge(checkpoint)
        if checkpoint.silence_ms:
            self._voice_ended(pb.SpeechStopped(at_sample=checkpoint.at_sample - checkpoint.silence_ms * SAMPLES_PER_MS))
        self._take(checkpoint.words, config)
        if self._ends(checkpoint, config):
            return [*self._close(checkpoint.at_sample, config), Decide(checkpoint, pb.DECISION_END_SEGMENT)]
        return [*self._pause(checkpoint, config), Decide(checkpoint, pb.DECISION_CONTINUE)]

    def _finalized(self, finalized: pb.Finalized) -> list[Effect]:
        config = self._timeline.at(finalized.at_sample)
        self._judge(finalized)
        self._take(finalized.words, config)
        return self._close(finalized.at_sample, config)

    def _judge(self, asked: pb.Checkpoint | pb.Finalized) -> None:
        self._score = confidence(asked.eot_score)
        self._language = (asked.language, confidence(asked.language_confidence)) if asked.language else None
        self._last_language = asked.language or self._last_language

    def _ends(self, checkpoint: pb.Checkpoint, config: TurnConfig) -> bool:
        if checkpoint.reason == pb.CHECKPOINT_REASON_CAP or checkpoint.silence_ms >= checkpoints_ms(config)[-1]:
            return True
        return checkpoint.silence_ms >= config.min_turn_silence and self._sounds_finished(config)

    def _close(self, at_sample: int, config: TurnConfig) -> list[Effect]:
        """End the segment at `at_sample`, and the turn if there is one."""
        effects = self._end_of_turn(config)
        if any(isinstance(effect, Send) and effect.message.get("end_of_turn") for effect in effects):
            self._turn_order += 1
        self._forget(at_sample)
        return effects

    def _spoken_language(self, config: TurnConfig) -> tuple[str, float] | None:
        return self._language if config.report_language else None

    def _as_shown(self, words: Iterable[pb.Word], config: TurnConfig) -> list[HeardWord]:
        """`words` on the client's clock. A word is masked as it is first shown: a final one never changes again."""
        return self._filtered(heard_words(words, self._floor_ms), config)

    def _filtered(self, words: list[HeardWord], config: TurnConfig) -> list[HeardWord]:
        return without_profanity(words, self._last_language or config.language) if config.filter_profanity else words

    @abstractmethod
    def _voice_began(self, started: pb.SpeechStarted) -> None:
        """Voice activity begins."""

    @abstractmethod
    def _voice_ended(self, stopped: pb.SpeechStopped) -> None:
        """Voice activity ended; may be told twice."""

    @abstractmethod
    def _words(self, words: pb.Words, config: TurnConfig) -> list[Effect]:
        """Words as they are heard."""

    @abstractmethod
    def _take(self, words: Iterable[pb.Word], config: TurnConfig) -> None:
        """Words of a checkpoint or a finalize."""

    @abstractmethod
    def _sounds_finished(self, config: TurnConfig) -> bool:
        """Whether a silence of `min_turn_silence` is enough."""

    @abstractmethod
    def _pause(self, checkpoint: pb.Checkpoint, config: TurnConfig) -> list[Effect]:
        """A checkpoint that leaves the segment open."""

    @abstractmethod
    def _end_of_turn(self, config: TurnConfig) -> list[Effect]:
        """The message or messages that end the turn; without words it stays open, and what was shown is taken back."""

    @abstractmethod
    def _forget(self, at_sample: int) -> None:
        """Begin the next segment at `at_sample`."""
