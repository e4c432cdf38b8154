"""Turns of Universal-3: each partial replaces the last, an end by punctuation or silence."""

from collections.abc import Iterable

from streamingstack.asr.v1 import recognizer_pb2 as pb

from streaming_gateway import wire
from streaming_gateway.turns.config import TurnConfig
from streaming_gateway.turns.machine import Effect, Send, TurnMachine
from streaming_gateway.turns.text import has_words, is_finished
from streaming_gateway.turns.words import SAMPLES_PER_MS, HeardWord, confidence, milliseconds, wire_word

# The early partial comes this much later than the client's interruption_delay.
_DELAY_MS = 256
_BETWEEN_PARTIALS = 3_000 * SAMPLES_PER_MS


class Universal3Turns(TurnMachine):
    """Always formatted; SpeechStarted is held back until the turn's first words, so that noise shows nothing."""

    def __init__(self, config: TurnConfig) -> None:
        super().__init__(config)
        self._heard: list[HeardWord] = []
        self._voice: pb.SpeechStarted | None = None
        self._voice_sent = False
        self._shown = ""
        self._last_partial: int | None = None
        self._paced: TurnConfig | None = None

    def _voice_began(self, started: pb.SpeechStarted) -> None:
        if self._voice is None:
            self._voice = started
            self._paced = self._timeline.at(started.at_sample)

    def _voice_ended(self, stopped: pb.SpeechStopped) -> None:
        """Nothing depends on it."""

    def _words(self, words: pb.Words, config: TurnConfig) -> list[Effect]:
        self._take(words.tentative, config)
        if words.through_sample < self._partial_due(config):
            return []
        sent = self._partial(config)
        if sent:
            self._last_partial = words.through_sample
        return sent

    def _partial_due(self, config: TurnConfig) -> float:
        """From where on words are worth a partial. A change of the pace counts from the next turn on."""
        pace = self._paced or config
        if self._last_partial is None:
            return (self._began() or 0) + (pace.interruption_delay + _DELAY_MS) * SAMPLES_PER_MS
        return self._last_partial + _BETWEEN_PARTIALS if pace.continuous_partials else float("inf")

    def _take(self, words: Iterable[pb.Word], config: TurnConfig) -> None:
        self._heard = self._as_shown(words, config)

    def _text(self) -> str:
        texts = [word.text for word in self._heard]
        return " ".join(texts) if has_words(texts) else ""

    def _sounds_finished(self, config: TurnConfig) -> bool:
        return is_finished(self._text())

    def _pause(self, checkpoint: pb.Checkpoint, config: TurnConfig) -> list[Effect]:
        return self._partial(config)

    def _partial(self, config: TurnConfig) -> list[Effect]:
        text = self._text()
        if not text or text == self._shown or not config.include_partial_turns:
            return []
        self._shown = text
        return [*self._started(), Send(self._turn(text, final=False), self._began())]

    def _end_of_turn(self, config: TurnConfig) -> list[Effect]:
        text = self._text()
        if not text:
            return self._taken_back()
        ended = self._turn(text, final=True, language=self._spoken_language(config))
        effects: list[Effect] = [*self._started(), Send(ended, self._heard[-1].end_sample)]
        self._voice_sent = False
        return effects

    def _taken_back(self) -> list[Effect]:
        """The turn that was announced for nothing stays open: SpeechStarted comes once a turn, and no turn is empty."""
        if not self._shown:
            return []
        self._heard = []
        return [Send(self._turn("", final=False), self._began())]

    def _started(self) -> list[Effect]:
        """SpeechStarted, once a turn."""
        if self._voice_sent:
            return []
        self._voice_sent = True
        sure = confidence(self._voice.confidence if self._voice else self._heard[0].confidence)
        return [Send(wire.speech_started(self._began_ms(), sure), self._began())]

    def _began(self) -> int | None:
        return self._voice.at_sample if self._voice else None

    def _began_ms(self) -> int:
        return milliseconds(self._voice.at_sample) if self._voice else self._heard[0].start_ms

    def _turn(self, text: str, *, final: bool, language: tuple[str, float] | None = None) -> wire.WireMessage:
        return wire.turn(
            turn_order=self._turn_order,
            words=[wire_word(word, word.text, final=final) for word in self._heard],
            transcript=text,
            end_of_turn=final,
            formatted=final,
            end_of_turn_confidence=1.0 if final else 0.0,
            utterance=text if final else "",
            language=language,
        )

    def _forget(self, at_sample: int) -> None:
        self._floor_ms = self._heard[-1].end_ms if self._heard else self._floor_ms
        self._heard = []
        self._voice = None
        self._shown = ""
        self._last_partial = None
        self._paced = None
