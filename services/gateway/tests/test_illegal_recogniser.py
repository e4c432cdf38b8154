"""Whatever a recogniser says, legal or not, the client sees a legal session: one that goes on, or ends by an Error.

Intake and turn machine are the gateway's own, as in production, where nothing holds the recogniser to the contract.
"""

from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from lossy_link import MS, REQUEST
from streaming_gateway.link.audio import ByteBudget
from streaming_gateway.link.intake import receive
from streaming_gateway.link.ledger import Ledger
from streaming_gateway.link.soundness import unsound
from streaming_gateway.turns import Decide, TurnConfig, turn_machine
from streamingstack.asr.v1 import recognizer_pb2 as pb
from streamingstack_bench.wire_rules import WireRules

SECOND = 1000 * MS
BEGIN = {
    "type": "Begin",
    "id": "5f0c9b0e-6f0e-4d0b-9a53-2f6f1b8f2c11",
    "expires_at": 1,
    "configuration": {"model": "m", "mode": None, "api_version": "1"},
}
HEARD = 12 * SECOND  # what every session has of audio from the start
LANGUAGES = st.sampled_from(["", "en", "de", "no language"])
SMALL = st.integers(0, 3)


def messages(sound: bool) -> st.SearchStrategy[dict[str, Any]]:
    """Any message in any order: of any segment, about any place, said twice. Not `sound`: of senseless values, too."""
    places, scores = st.integers(0, HEARD), st.floats(0, 1, width=32) | st.sampled_from([-1.0, 2.0, float("inf")])
    texts = st.sampled_from(["Hello", "world,", "3.5", "OK.", "Really?", "...", "two words", "\0", "—"])
    spans = st.tuples(places, places).map(sorted)
    if not sound:
        places |= st.sampled_from([HEARD + 1, 2**32, 2**64 - 1])
        scores |= st.just(float("nan"))
        texts |= st.sampled_from(["", " ", "\n"])
        spans = st.tuples(places, places).map(list)
    word = st.builds(
        lambda index, text, span, confidence: pb.Word(
            index=index, text=text, start_sample=span[0], end_sample=span[1], confidence=confidence
        ),
        SMALL, texts, spans, scores,
    )  # fmt: skip
    words = st.lists(word, max_size=3)
    closing = {"segment": SMALL, "at_sample": places, "words": words, "eot_score": scores, "language": LANGUAGES,
               "language_confidence": scores}  # fmt: skip
    silences = st.sampled_from([0, 160, 400, 1280] if sound else [0, 1280, 2**32 - 1])
    asked = {**closing, "at_sample": st.integers(2 * SECOND, HEARD) if sound else places}
    return st.one_of(
        st.fixed_dictionaries({"speech_started": st.builds(pb.SpeechStarted, at_sample=places, confidence=scores)}),
        st.fixed_dictionaries({"speech_stopped": st.builds(pb.SpeechStopped, at_sample=places)}),
        st.fixed_dictionaries(
            {"words": st.builds(pb.Words, segment=SMALL, through_sample=places, final=words, tentative=words,
                                eot_score=scores)}
        ),
        st.fixed_dictionaries(
            {"checkpoint": st.builds(pb.Checkpoint, id=SMALL, reason=SMALL, silence_ms=silences, **asked)}
        ),
        st.fixed_dictionaries({"finalized": st.builds(pb.Finalized, id=SMALL, **closing)}),
        st.fixed_dictionaries({"progress": st.builds(pb.Progress, processed_through_sample=places)}),
        st.sampled_from([{"ready": pb.Ready()}, {}]),
    )  # fmt: skip


ORDERS = st.sampled_from(["finalize", "audio"])


@dataclass
class Session:
    """A session of one stream, which is over at the first message that is unsound."""

    config: TurnConfig
    over: bool = False

    def __post_init__(self) -> None:
        self.ledger = Ledger(REQUEST, ByteBudget(1 << 30))
        replacing = self.config.family == "universal-3"
        self.ledger.audio.append(bytes(2 * HEARD))
        self.ledger.begin(self.ledger.plan(0), pb.Ready(replacing=replacing))
        self.machine = turn_machine(self.config)
        self.rules = WireRules(universal3=replacing, format_turns=self.config.format_turns and not replacing)
        self.rules.check(dict(BEGIN))

    def order(self, what: str) -> None:
        if what == "audio":
            self.ledger.audio.append(bytes(2 * SECOND))
        else:
            self.ledger.finalize()

    def hear(self, response: pb.RecognizeResponse) -> None:
        if unsound(response, self.ledger.audio.end) is not None:
            self.over = True
            return
        for event in receive(self.ledger, response).show:
            self.show(event)

    def show(self, event: pb.RecognizeResponse) -> None:
        self.rules.audio_ms = self.ledger.audio.end // MS
        for effect in self.machine.event(event):
            if isinstance(effect, Decide):
                self.ledger.answer(effect.checkpoint, effect.decision)
            else:
                self.rules.check(dict(effect.message))


CONFIGS = st.builds(
    TurnConfig,
    family=st.sampled_from(["universal", "universal-3"]),
    min_turn_silence=st.sampled_from([100, 400]),
    max_turn_silence=st.sampled_from([400, 1280]),
    end_of_turn_confidence_threshold=st.sampled_from([0.0, 0.4]),
    format_turns=st.booleans(),
    include_partial_turns=st.booleans(),
    report_language=st.booleans(),
    continuous_partials=st.booleans(),
    interruption_delay=st.sampled_from([0, 500]),
    filter_profanity=st.booleans(),
)


@settings(max_examples=500, deadline=None)
@given(config=CONFIGS, happens=st.lists(ORDERS | messages(sound=True), max_size=30))
def test_a_recogniser_in_any_order_is_heard_on_and_the_client_sees_a_legal_session(
    config: TurnConfig, happens: list[str | dict[str, Any]]
) -> None:
    assert not played(config, happens).over


@settings(max_examples=300, deadline=None)
@given(config=CONFIGS, happens=st.lists(ORDERS | messages(sound=False), max_size=30))
def test_whatever_is_said_no_client_is_shown_what_it_cannot_read(
    config: TurnConfig, happens: list[str | dict[str, Any]]
) -> None:
    played(config, happens)


def played(config: TurnConfig, happens: list[str | dict[str, Any]]) -> Session:
    session = Session(config)
    for it in happens:
        if isinstance(it, str):
            session.order(it)
        elif not session.over:
            session.hear(pb.RecognizeResponse(**it))
    session.rules.check({"type": "Error", "error_code": 3005, "error": "Session Cancelled: An error occurred"})
    return session
