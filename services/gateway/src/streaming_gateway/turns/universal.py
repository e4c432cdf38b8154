"""Turns of Universal-Streaming: words that never change, an end by confidence or silence."""

from collections.abc import Iterable

from streamingstack.asr.v1 import recognizer_pb2 as pb

from streaming_gateway import wire
from streaming_gateway.turns.checkpoints import UTTERANCE_MS
from streaming_gateway.turns.config import TurnConfig
from streaming_gateway.turns.machine import Effect, Send, TurnMachine
from streaming_gateway.turns.text import plain
from streaming_gateway.turns.words import SAMPLES_PER_MS, HeardWord, wire_word

_LEAST_SPEECH = 80 * SAMPLES_PER_MS


class UniversalTurns(TurnMachine):
    """Final words and at most the first tentative one; see TurnMachine.

    A word that is nothing but punctuation has no plain form and is not shown at all, so that the plain and the
    formatted message have the same words.
    """

    def __init__(self, config: TurnConfig) -> None:
        super().__init__(config)
        self._final: list[HeardWord] = []
        self._tentative: HeardWord | None = None
        self._shown: tuple[int, str] = (0, "")
        self._uttered = 0
        self._spoken = 0
        self._voice_since: int | None = None
        self._first_voice: int | None = None

    def _voice_began(self, started: pb.SpeechStarted) -> None:
        self._voice_since = started.at_sample
        if self._first_voice is None:
            self._first_voice = started.at_sample

    def _voice_ended(self, stopped: pb.SpeechStopped) -> None:
        if self._voice_since is not None:
            self._spoken += max(0, stopped.at_sample - self._voice_since)
        self._voice_since = None

    def _words(self, words: pb.Words, config: TurnConfig) -> list[Effect]:
        self._take(words.final, config)
        self._tentative = next(iter(self._shown_words(words.tentative, config)), None)
        return self._partial(config)

    def _take(self, words: Iterable[pb.Word], config: TurnConfig) -> None:
        self._final += self._shown_words(words, config)
        self._floor_ms = self._final[-1].end_ms if self._final else self._floor_ms
        self._tentative = None

    def _shown_words(self, words: Iterable[pb.Word], config: TurnConfig) -> list[HeardWord]:
        return [word for word in self._as_shown(words, config) if plain(word.text)]

    def _sounds_finished(self, config: TurnConfig) -> bool:
        threshold = config.end_of_turn_confidence_threshold
        confident = threshold < 1 and self._score >= threshold
        return confident and bool(self._final) and self._spoken >= _LEAST_SPEECH

    def _pause(self, checkpoint: pb.Checkpoint, config: TurnConfig) -> list[Effect]:
        return self._partial(config, utterance=checkpoint.silence_ms >= UTTERANCE_MS)

    def _partial(self, config: TurnConfig, *, utterance: bool = False) -> list[Effect]:
        """A message if there is something new to see, or a pause to tell of."""
        if not config.include_partial_turns:
            return []
        uttered = self._take_utterance() if utterance else ""
        visible = (len(self._final), plain(self._tentative.text) if self._tentative else "")
        if visible == self._shown and not uttered:
            return []
        self._shown = visible
        language = self._spoken_language(config) if uttered else None
        return [Send(self._plain_turn(utterance=uttered, language=language), self._first_voice)]

    def _end_of_turn(self, config: TurnConfig) -> list[Effect]:
        if not self._final:
            return []
        since = self._final[-1].end_sample
        language = self._spoken_language(config)
        ended: list[Effect] = [
            Send(self._plain_turn(end_of_turn=True, utterance=self._take_utterance(), language=language), since)
        ]
        if config.format_turns:
            ended.append(Send(self._formatted_turn(config, language), since))
        return ended

    def _forget(self, at_sample: int) -> None:
        self._final = []
        self._tentative = None
        self._shown = (0, "")
        self._uttered = self._spoken = 0
        self._first_voice = None
        if self._voice_since is not None:
            # Speech goes on into the next segment, which has its own SpeechStarted.
            self._voice_since = at_sample

    def _take_utterance(self) -> str:
        """The words since the last pause of this turn that was told; they count as told now."""
        words = self._final[self._uttered :]
        self._uttered = len(self._final)
        return " ".join(plain(word.text) for word in words)

    def _plain_turn(
        self, *, end_of_turn: bool = False, utterance: str = "", language: tuple[str, float] | None
    ) -> wire.WireMessage:
        words = [wire_word(word, plain(word.text), final=True) for word in self._final]
        transcript = " ".join(word["text"] for word in words)
        if self._tentative is not None:
            words.append(wire_word(self._tentative, plain(self._tentative.text), final=False))
        return wire.turn(
            turn_order=self._turn_order,
            words=words,
            transcript=transcript,
            end_of_turn=end_of_turn,
            end_of_turn_confidence=self._score,
            utterance=utterance,
            language=language,
        )

    def _formatted_turn(self, config: TurnConfig, language: tuple[str, float] | None) -> wire.WireMessage:
        # What was final before the filter was asked for stays in plain messages, where words never change.
        words = self._filtered(self._final, config)
        return wire.turn(
            turn_order=self._turn_order,
            words=[wire_word(word, word.text, final=True) for word in words],
            transcript=" ".join(word.text for word in words),
            end_of_turn=True,
            formatted=True,
            end_of_turn_confidence=self._score,
            language=language,
        )
