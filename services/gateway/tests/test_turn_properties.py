"""Whatever a recogniser may legally say, the client sees a legal sequence and every word exactly once."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from streaming_gateway.turns import Decide, Send, TurnConfig, checkpoints_ms, turn_machine
from streaming_gateway.turns.text import plain
from streamingstack.asr.v1 import recognizer_pb2 as pb
from streamingstack_bench.wire_rules import WireRules

MS = 16
TEXTS = ["Hello", "world,", "—", "3.5", "don't", "OK.", "Really?", "...", "U.S.A.", "Ünïted", "well-known"]


@dataclass(frozen=True)
class Phrase:
    """Words of some milliseconds each, then a silence; `committed` words become final early, `forced` ends it."""

    words: list[tuple[str, int]]
    silence_ms: int
    score: float
    committed: list[int]
    forced_after: int | None


phrases = st.builds(
    Phrase,
    words=st.lists(st.tuples(st.sampled_from(TEXTS), st.integers(0, 900)), max_size=6),
    silence_ms=st.sampled_from([0, 96, 160, 350, 500, 900, 1400, 4000]),
    score=st.floats(0, 1, width=32),
    committed=st.lists(st.integers(0, 3), min_size=6, max_size=6),
    forced_after=st.none() | st.integers(0, 6),
)

configs = st.builds(
    TurnConfig,
    family=st.sampled_from(["universal", "universal-3"]),
    min_turn_silence=st.sampled_from([0, 100, 160, 400, 2000]),
    max_turn_silence=st.sampled_from([0, 100, 400, 1280, 3600]),
    end_of_turn_confidence_threshold=st.sampled_from([0.0, 0.4, 0.7, 1.0]),
    format_turns=st.booleans(),
    include_partial_turns=st.booleans(),
    report_language=st.booleans(),
    continuous_partials=st.booleans(),
    interruption_delay=st.sampled_from([0, 500]),
)


@dataclass
class ScriptedEar:
    """A recogniser by the contract: it says phrases to a machine and obeys its answers."""

    config: TurnConfig
    position: int = 0
    segment: int = 0
    index: int = 0
    speaking: bool = False
    segment_words: list[pb.Word] = field(default_factory=list)
    committed: int = 0
    silence_over: bool = False
    answers: list[tuple[int, int]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.machine = turn_machine(self.config)
        self.rules = WireRules(universal3=self.replacing, format_turns=self.config.format_turns)
        self.rules.check({"type": "Begin", "id": "5f0c9b0e-6f0e-4d0b-9a53-2f6f1b8f2c11", "expires_at": 1,
                          "configuration": {"model": "m", "mode": None, "api_version": "1"}})  # fmt: skip

    @property
    def replacing(self) -> bool:
        return self.config.family == "universal-3"

    def tell(self, **message: Any) -> list[Decide]:
        decisions = []
        for effect in self.machine.event(pb.RecognizeResponse(**message)):
            if isinstance(effect, Send):
                self.rules.audio_ms = self.position // MS
                self.rules.check(effect.message)
                self.messages.append(effect.message)
            else:
                decisions.append(effect)
        return decisions

    def say(self, phrase: Phrase) -> None:
        if not phrase.words:
            self.position += 300 * MS
        self.start_speaking()
        for number, (text, length) in enumerate(phrase.words):
            self.say_word(text, length, phrase.committed[number], phrase.score)
            if phrase.forced_after == number:
                self.finalize(number, phrase.score)
        self.fall_silent(phrase.silence_ms, phrase.score)

    def start_speaking(self) -> None:
        self.speaking = True
        self.silence_over = False
        self.tell(speech_started=pb.SpeechStarted(at_sample=self.position, confidence=0.9))

    def say_word(self, text: str, length_ms: int, commit: int, score: float) -> None:
        start = self.position
        self.position += length_ms * MS + 7
        word = pb.Word(text=text, start_sample=start, end_sample=self.position, confidence=0.8)
        self.segment_words.append(word)
        words = pb.Words(segment=self.segment, through_sample=self.position, eot_score=score)
        if self.replacing:
            words.tentative.extend(self.segment_words)
        else:
            upto = min(self.committed + commit, len(self.segment_words))
            words.final.extend(self.take_committed(upto))
            words.tentative.extend(self.segment_words[upto:])
        self.tell(words=words)

    def take_committed(self, upto: int) -> list[pb.Word]:
        taken = self.segment_words[self.committed : upto]
        for word in taken:
            word.index = self.index
            self.index += 1
        self.committed = upto
        return taken

    def remaining(self) -> list[pb.Word]:
        return self.segment_words if self.replacing else self.take_committed(len(self.segment_words))

    def finalize(self, number: int, score: float) -> None:
        self.tell(
            finalized=pb.Finalized(
                id=number + 1, segment=self.segment, at_sample=self.position, words=self.remaining(), eot_score=score
            )
        )
        self.new_segment()
        self.start_speaking()

    def new_segment(self) -> None:
        self.segment += 1
        self.segment_words, self.committed = [], 0
        self.silence_over = True

    def fall_silent(self, silence_ms: int, score: float) -> None:
        if silence_ms == 0:
            return
        stopped = self.position
        self.speaking = False
        self.tell(speech_stopped=pb.SpeechStopped(at_sample=stopped))
        for silence in checkpoints_ms(self.config):
            if silence > silence_ms or self.silence_over:
                break
            self.position = stopped + silence * MS
            self.ask(silence, score)
        self.position = stopped + silence_ms * MS

    def ask(self, silence: int, score: float) -> None:
        checkpoint = pb.Checkpoint(
            id=len(self.answers) + 1,
            segment=self.segment,
            at_sample=self.position,
            reason=pb.CHECKPOINT_REASON_SILENCE,
            silence_ms=silence,
            words=self.remaining(),
            eot_score=score,
            language="en",
            language_confidence=0.9,
        )
        (decision,) = self.tell(checkpoint=checkpoint)
        assert decision.checkpoint.id == checkpoint.id
        self.answers.append((silence, decision.decision))
        if decision.decision == pb.DECISION_END_SEGMENT:
            self.new_segment()


@settings(max_examples=300, deadline=None)
@given(config=configs, spoken=st.lists(phrases, max_size=6))
def test_a_legal_recogniser_makes_a_legal_session_and_no_word_is_lost_or_doubled(
    config: TurnConfig, spoken: list[Phrase]
) -> None:
    ear = ScriptedEar(config)
    for phrase in spoken:
        ear.say(phrase)
    ear.finalize(99, 0.5)
    ear.rules.check({"type": "Termination", "audio_duration_seconds": 1, "session_duration_seconds": 1})

    ended = [m for m in ear.messages if m["type"] == "Turn" and m["end_of_turn"]]
    plain_turns = [m for m in ended if ear.replacing or not m["turn_is_formatted"]]
    shown = [plain(word["text"]) for turn in plain_turns for word in turn["words"]]
    said = [plain(text) for phrase in spoken for text, _ in phrase.words]
    assert [text for text in shown if text] == [text for text in said if text]


@settings(max_examples=100, deadline=None)
@given(config=configs, spoken=st.lists(phrases, max_size=4))
def test_the_last_checkpoint_always_ends_the_segment(config: TurnConfig, spoken: list[Phrase]) -> None:
    ear = ScriptedEar(config)
    for phrase in spoken:
        ear.say(phrase)
    last = checkpoints_ms(config)[-1]
    assert all(decision == pb.DECISION_END_SEGMENT for silence, decision in ear.answers if silence == last)


@settings(max_examples=100, deadline=None)
@given(config=configs, spoken=st.lists(phrases, max_size=4))
def test_without_partials_only_ends_of_turn_are_sent(config: TurnConfig, spoken: list[Phrase]) -> None:
    ear = ScriptedEar(TurnConfig(**{**config.__dict__, "include_partial_turns": False}))
    for phrase in spoken:
        ear.say(phrase)
    assert all(message.get("end_of_turn", True) for message in ear.messages)


@given(config=configs)
def test_checkpoints_are_sorted_distinct_positive_and_end_at_the_longest_silence(config: TurnConfig) -> None:
    silences = checkpoints_ms(config)
    assert list(silences) == sorted(set(silences))
    assert silences[0] > 0
    assert silences[-1] == max(config.max_turn_silence, 1)
