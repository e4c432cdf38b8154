"""Speech, silences, ForceEndpoint, UpdateConfiguration and whatever the recogniser guesses, in any order: the client
sees a legal session, and turns end exactly where the rules of the protocol say so (its sections 7.3, 8 and 9)."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from streaming_gateway.turns import Decide, Send, TurnConfig, checkpoints_ms, turn_machine
from streaming_gateway.turns.text import has_words, is_finished, plain
from streamingstack.asr.v1 import recognizer_pb2 as pb
from streamingstack_bench.wire_rules import WireRules

MS = 16
BEGIN = {
    "type": "Begin",
    "id": "5f0c9b0e-6f0e-4d0b-9a53-2f6f1b8f2c11",
    "expires_at": 1,
    "configuration": {"model": "m", "mode": None, "api_version": "1"},
}
TEXTS = st.sampled_from(["Hello", "world,", "—", "3.5", "don't", "OK.", "Really?", "...", "U.S.A.", "Ünïted"])
SILENCES = st.sampled_from([0, 100, 160, 400, 1280])
SCORES = st.floats(0, 1, width=32)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "min_turn_silence": SILENCES,
        "max_turn_silence": SILENCES,
        "end_of_turn_confidence_threshold": st.sampled_from([0.0, 0.4, 1.0]),
        "format_turns": st.booleans(),
        "continuous_partials": st.booleans(),
        "interruption_delay": st.sampled_from([0, 1000]),
    },
)


def last(config: TurnConfig) -> int:
    return checkpoints_ms(config)[-1]


class AnySession(RuleBasedStateMachine):
    """A recogniser by the contract and a client that may ask for anything at any time, around one machine."""

    family: Any = "universal"

    @initialize(
        low=SILENCES,
        high=SILENCES,
        threshold=st.sampled_from([0.0, 0.4, 1.0]),
        formatted=st.booleans(),
        partials=st.booleans(),
        language=st.booleans(),
        continuous=st.booleans(),
        delay=st.sampled_from([0, 1000]),
    )
    def begin(
        self,
        low: int,
        high: int,
        threshold: float,
        formatted: bool,
        partials: bool,
        language: bool,
        continuous: bool,
        delay: int,
    ) -> None:
        self.config = TurnConfig(self.family, low, high, threshold, formatted, partials, language, continuous, delay)
        self.changes: list[tuple[int, TurnConfig]] = []
        self.machine = turn_machine(self.config)
        self.wire = WireRules(universal3=self.replacing, format_turns=formatted)
        self.wire.check(dict(BEGIN))
        self.position = self.speech = 0
        self.voice_at: int | None = None
        self.silence_at: int | None = None
        self.asked: set[int] = set()
        self.turn_began: int | None = None
        self.pace = self.config
        self.segment_words: list[pb.Word] = []
        self.committed = self.asks = self.turns = self.uttered = 0
        self.said: list[str] = []
        self.shown: list[str] = []
        self.paced: list[int] = []

    @property
    def replacing(self) -> bool:
        return bool(self.family == "universal-3")

    # -- what is in force where the recogniser listens ------------------------------------------------------------

    def in_force(self) -> TurnConfig:
        while self.changes and self.changes[0][0] <= self.position:
            before, self.config = self.config, self.changes.pop(0)[1]
            if last(before) != last(self.config):
                self.asked.discard(last(self.config))  # a question before, and the end now
        return self.config

    # -- what happens ---------------------------------------------------------------------------------------------

    @rule(text=TEXTS, length_ms=st.integers(0, 900), commit=st.integers(0, 3), score=SCORES)
    def say(self, text: str, length_ms: int, commit: int, score: float) -> None:
        self.voice()
        start = self.position
        self.position += length_ms * MS + 7
        self.segment_words.append(pb.Word(text=text, start_sample=start, end_sample=self.position, confidence=0.8))
        self.said.append(text)
        final = [] if self.replacing else self.commit(self.committed + commit)
        tentative = self.segment_words if self.replacing else self.segment_words[self.committed :]
        self.words(final, tentative, score)

    @precondition(lambda self: self.segment_words)
    @rule(guesses=st.lists(TEXTS, max_size=3), keep=st.integers(0, 2), score=SCORES)
    def guess(self, guesses: Sequence[str], keep: int, score: float) -> None:
        """Tentative words may be anything, and come and go."""
        open_words = self.segment_words if self.replacing else self.segment_words[self.committed :]
        at = open_words[0].start_sample if open_words else self.position
        made = [pb.Word(text=text, start_sample=at, end_sample=self.position, confidence=0.3) for text in guesses]
        self.words([], [*open_words[:keep], *made] if self.replacing else [*made, *open_words[:keep]], score)

    @precondition(lambda self: self.voice_at is not None or self.silence_at is not None)
    @rule(length_ms=st.integers(0, 1500), score=SCORES)
    def hush(self, length_ms: int, score: float) -> None:
        """Silence begins, or lasts on, and is asked about as it grows."""
        if self.voice_at is not None:
            self.speech += self.position - self.voice_at
            self.voice_at, self.silence_at = None, self.position
            self.tell(speech_stopped=pb.SpeechStopped(at_sample=self.position))
        end = self.position + length_ms * MS
        while self.silence_at is not None:
            reached = [at for at in self.looks() if at <= end]
            if not reached:
                self.position = end
                return
            self.position = max(self.position, min(reached))
            self.ask_of_silence(score)

    @rule(score=SCORES)
    def force(self, score: float) -> None:
        """A ForceEndpoint, with or without an open turn."""
        finalized = pb.Finalized(id=1, at_sample=self.position, words=self.closing(), eot_score=score)
        self.end_segment(self.tell(finalized=finalized), score)

    @precondition(lambda self: self.voice_at is not None)
    @rule(score=SCORES)
    def cap(self, score: float) -> None:
        """Somebody has spoken for a minute."""
        self.ask(pb.CHECKPOINT_REASON_CAP, 0, score)

    @rule(change=CHANGES, ahead_ms=st.integers(0, 700))
    def update(self, change: dict[str, Any], ahead_ms: int) -> None:
        """In force from the end of the audio received, which the recogniser has not heard yet."""
        at = max([self.position + ahead_ms * MS, *(at for at, _ in self.changes)])
        newest = self.changes[-1][1] if self.changes else self.config
        self.changes.append((at, replace(newest, **change)))
        self.machine.update(at, self.changes[-1][1])

    @rule()
    def progress(self) -> None:
        heard = pb.Progress(processed_through_sample=self.position, send_through_sample=self.position + 32_000)
        assert self.tell(progress=heard) == []

    # -- the recogniser's side ------------------------------------------------------------------------------------

    def voice(self) -> None:
        if self.voice_at is not None:
            return
        self.voice_at, self.silence_at = self.position, None
        self.asked.clear()
        if self.turn_began is None:
            self.turn_began, self.pace = self.position, self.in_force()
        self.tell(speech_started=pb.SpeechStarted(at_sample=self.position, confidence=0.9))

    def commit(self, upto: int) -> list[pb.Word]:
        taken = self.segment_words[self.committed : upto]
        self.committed = min(upto, len(self.segment_words))
        return taken

    def closing(self) -> list[pb.Word]:
        return self.segment_words if self.replacing else self.commit(len(self.segment_words))

    def words(self, final: Iterable[pb.Word], tentative: Iterable[pb.Word], score: float) -> None:
        heard = pb.Words(final=final, tentative=tentative, through_sample=self.position, eot_score=score)
        partials = self.tell(words=heard)
        config = self.in_force()
        assert all(not message.get("end_of_turn") for message in partials)
        assert config.include_partial_turns or not partials
        if self.replacing and partials:
            self.check_pace()

    def check_pace(self) -> None:
        """Not before the delay, and then every three seconds or never, as it was when the turn began."""
        assert self.turn_began is not None
        if not self.paced:
            assert self.position >= self.turn_began + (self.pace.interruption_delay + 256) * MS
        else:
            assert self.pace.continuous_partials
            assert self.position >= self.paced[-1] + 3_000 * MS
        self.paced.append(self.position)

    def looks(self) -> list[int]:
        """Where the running silence is asked about next, by the silences in force or soon in force."""
        assert self.silence_at is not None
        phases = [(self.position, self.in_force()), *self.changes]
        ends = [*(at for at, _ in self.changes), float("inf")]
        found: list[int] = []
        before = self.config
        for (moment, config), until in zip(phases, ends, strict=True):
            silences = checkpoints_ms(config)
            passed = [ms for ms in silences if self.silence_at + ms * MS <= moment]
            asked = self.asked if last(config) == last(before) else self.asked - {last(config)}
            due = [moment] if passed and passed[-1] not in asked else []
            due += [at for ms in silences if (at := self.silence_at + ms * MS) > moment]
            found += [at for at in due if at < until]
            before = config
        return found

    def ask_of_silence(self, score: float) -> None:
        assert self.silence_at is not None
        silences = checkpoints_ms(self.in_force())
        silence_ms = (self.position - self.silence_at) // MS
        reached = [ms for ms in silences if ms <= silence_ms]
        self.asked.update(reached)
        self.ask(pb.CHECKPOINT_REASON_SILENCE, reached[-1], score)

    def ask(self, reason: pb.CheckpointReason, silence_ms: int, score: float) -> None:
        self.asks += 1
        config = self.in_force()
        checkpoint = pb.Checkpoint(
            id=self.asks,
            at_sample=self.position,
            reason=reason,
            silence_ms=silence_ms,
            words=self.closing(),
            eot_score=score,
            language="en",
            language_confidence=0.9,
        )
        wanted = self.should_end(config, checkpoint)
        messages = self.tell(checkpoint=checkpoint)
        assert self.decision == (self.asks, pb.DECISION_END_SEGMENT if wanted else pb.DECISION_CONTINUE)
        if wanted:
            self.end_segment(messages, score)
        else:
            self.check_pause(config, messages, silence_ms)

    def check_pause(self, config: TurnConfig, messages: Sequence[dict[str, Any]], silence_ms: int) -> None:
        """Nothing ends; the words since the last utterance are one."""
        assert all(not message.get("end_of_turn") for message in messages)
        assert config.include_partial_turns or not messages
        final = sum(bool(plain(word.text)) for word in self.segment_words)
        if not self.replacing and config.include_partial_turns and silence_ms >= 160 and final > self.uttered:
            assert messages[-1]["utterance"]
            self.uttered = final

    def should_end(self, config: TurnConfig, checkpoint: pb.Checkpoint) -> bool:
        """Section 9, written once more."""
        texts = [word.text for word in self.segment_words]
        if checkpoint.reason == pb.CHECKPOINT_REASON_CAP or checkpoint.silence_ms >= checkpoints_ms(config)[-1]:
            return True
        if checkpoint.silence_ms < config.min_turn_silence:
            return False
        if self.replacing:
            return has_words(texts) and is_finished(" ".join(texts))
        threshold = config.end_of_turn_confidence_threshold
        confident = threshold < 1 and round(checkpoint.eot_score, 4) >= threshold
        return confident and self.speech >= 80 * MS and any(plain(text) for text in texts)

    def end_segment(self, messages: Sequence[dict[str, Any]], score: float) -> None:
        texts = [word.text for word in self.segment_words]
        ended = [message for message in messages if message.get("end_of_turn")]
        spoken = has_words(texts) if self.replacing else any(plain(text) for text in texts)
        pair = spoken and not self.replacing and self.in_force().format_turns
        assert [message["turn_is_formatted"] for message in ended] == (
            [False, True] if pair else [self.replacing] if spoken else []
        )
        if spoken:
            assert {message["turn_order"] for message in ended} == {self.turns}
            assert self.replacing or ended[0]["end_of_turn_confidence"] == round(score, 4)
            self.shown += [plain(word["text"]) for word in ended[0]["words"]]
            self.turns += 1
        self.new_segment()

    def new_segment(self) -> None:
        self.segment_words, self.committed, self.speech, self.uttered, self.paced = [], 0, 0, 0, []
        self.silence_at, self.turn_began = None, None
        if self.voice_at is not None:  # speech goes on in the next one
            self.voice_at = None
            self.voice()

    # -- what the client sees -------------------------------------------------------------------------------------

    def tell(self, **message: Any) -> list[dict[str, Any]]:
        self.decision: tuple[int, int] | None = None
        sent = []
        for effect in self.machine.event(pb.RecognizeResponse(**message)):
            assert self.decision is None, "the client sees everything before the recogniser goes on"
            if isinstance(effect, Send):
                self.wire.format_turns = self.in_force().format_turns and not self.replacing
                self.wire.audio_ms = self.position // MS
                self.wire.check(dict(effect.message))
                sent.append(dict(effect.message))
            else:
                assert isinstance(effect, Decide)
                self.decision = (effect.checkpoint.id, effect.decision)
        return sent

    def teardown(self) -> None:
        if not hasattr(self, "machine"):
            return
        self.force(0.5)
        self.wire.check({"type": "Termination", "audio_duration_seconds": 1, "session_duration_seconds": 1})
        assert [text for text in self.shown if text] == [text for text in map(plain, self.said) if text]


class AnyUniversal3Session(AnySession):
    family = "universal-3"


Universal = AnySession.TestCase
Universal.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
Universal3 = AnyUniversal3Session.TestCase
Universal3.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
