"""Whatever a recogniser makes of the words, and wherever it is lost, the client is shown the session it would have
been shown without a loss.

Ledger, intake and turn machine are the gateway's own; only the transport is missing, so that a loss can be put before
or after any single message. The recognisers split the words into final and tentative ones as they like, and two of
them time the same word up to 200 ms apart. Equal words (and runs equal to another word) lie more than 400 ms apart:
nearer ones that have moved by so much, each by itself, cannot be told apart, as `splice` states. On which side of a
segment's end a word lies is the recogniser's to say; it is not moved across.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from asr_contract.conversation import Conversation
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lossy_link import MS, Loss, Peer, Played, Session
from streaming_gateway.link.api import Hearing, LinkRequest
from streaming_gateway.link.ledger import Plan
from streaming_gateway.link.segment import SegmentState
from streaming_gateway.turns import Decide, TurnConfig, checkpoints_ms, turn_machine
from streamingstack.asr.v1 import recognizer_pb2 as pb
from streamingstack_bench.loose_recogniser import Looseness, LooseStream
from streamingstack_bench.scripted import Script, ScriptedEngine, ScriptWord
from streamingstack_bench.told import Told

APART = 400  # milliseconds between equal words
SHIFT = 100  # either way from where a word is: two recognisers are up to 200 ms apart
# Where words are said again, against the contract, two recognisers are less apart than the shortest word is long: one
# that begins where the last final word ends is new, equal or not. So no checkpoint cuts through the begin of a word.
SHIFT_OF_REPEATS = 29
# No run of these is equal to another of them. Some end a sentence, which matters to a replacing model.
WORDS = ["no", "very", "the", "I", "cat.", "don't", "\u00e9t\u00e9", "42", "gut?"]


@dataclass
class Client(Told):
    """What the client sees, decided by the gateway's turn machine."""

    config: TurnConfig = field(default_factory=lambda: TurnConfig("universal", 400, 1280))
    messages: list[dict[str, Any]] = field(default_factory=list)
    decisions: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.machine = turn_machine(self.config)

    def take(self, event: pb.RecognizeResponse) -> pb.Checkpoint | None:
        for effect in self.machine.event(event):
            if isinstance(effect, Decide):
                self.decisions[effect.checkpoint.at_sample] = effect.decision
            else:
                self.messages.append(effect.message)
        return super().take(event)

    def decide(self, checkpoint: pb.Checkpoint) -> int:
        return self.decisions[checkpoint.at_sample]


class LoosePeer(LooseStream):
    """The recogniser at the other end of one stream; both sides are held to the contract where it keeps to it."""

    def __init__(self, script: Script, plan: Plan, looseness: Looseness, replacing: bool) -> None:
        super().__init__(script, plan.open, looseness, replacing=replacing)
        self.rules = None if looseness.repeats else Conversation()
        if self.rules:
            self.rules.up(pb.RecognizeRequest(open=plan.open))

    def take(self, request: pb.RecognizeRequest) -> None:
        if self.rules:
            self.rules.up(request)
        super().take(request)

    def next(self) -> pb.RecognizeResponse:
        response = self.out.popleft()
        if self.rules:
            self.rules.down(response)
        return response


class LoosePlayed(Played):
    """A session over streams that are each as loose as drawn; the last one's looseness is that of all that follow."""

    def __init__(self, script: Script, session: Session, losses: list[Loss], loose: Sequence[Looseness]) -> None:
        super().__init__(script, session, losses)
        self.loose = loose

    def peer(self, plan: Plan) -> Any:
        looseness = self.loose[min(self.streams, len(self.loose)) - 1]
        return LoosePeer(self.script, plan, looseness, self.session.replacing)


class ShiftedPeer(Peer):
    """The real recogniser, whose engine times words otherwise."""

    def __init__(self, script: Script, plan: Plan, looseness: Looseness, replacing: bool) -> None:
        super().__init__(script, plan, replacing, engine=ScriptedEngine(script, shifts_ms=looseness.shifts_ms))


class ShiftedPlayed(LoosePlayed):
    """As LoosePlayed, over real recognisers."""

    def peer(self, plan: Plan) -> Any:
        looseness = self.loose[min(self.streams, len(self.loose)) - 1]
        return ShiftedPeer(self.script, plan, looseness, self.session.replacing)


# -- what is drawn ---------------------------------------------------------------------------------------------------


# Pauses in milliseconds. Behind those of CLEAR no word begins within SHIFT of a checkpoint, wherever that may be: the
# real recogniser, unlike the loose one, goes by a word's time.
ANY = (0, 0, 20, 60, 150, 300, 700, 1_500, 2_200)
CLEAR = (0, 0, 20, 60, 340, 830, 1_550, 2_200)


@st.composite
def scripts(draw: st.DrawFn, pauses: Sequence[int] = ANY) -> Script:
    """Sentences; equal words have starts and ends more than APART from each other."""
    words: list[ScriptWord] = []
    at = draw(st.integers(200, 900))
    for _ in range(draw(st.integers(1, 14))):
        text, length = draw(st.sampled_from(WORDS)), draw(st.integers(60, 600))
        start = at + draw(st.sampled_from(pauses))
        if any(
            max(twin.start_ms - start, twin.end_ms - start - length) > -APART - 1 for twin in words if twin.text == text
        ):
            continue
        words.append(ScriptWord(text, start, start + length))
        at = start + length
    scores = draw(st.lists(st.sampled_from([0.1, 0.9]), min_size=len(words), max_size=len(words)))
    return Script(words, eot_scores=dict(enumerate(scores)), coded=True)


def loosenesses(shift: int, *, repeats: bool = False) -> st.SearchStrategy[Looseness]:
    def some(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
        return st.lists(strategy, min_size=1, max_size=5).map(tuple)

    return st.builds(
        Looseness,
        shifts_ms=some(st.integers(-shift, shift)),
        finals=some(st.integers(0, 4)),
        tentatives=some(st.integers(0, 3)),
        silent=some(st.booleans()),
        repeats=st.just(repeats),
    )


LOSSES = st.lists(
    st.builds(Loss, st.integers(1, 90), st.sampled_from(["before", "after", "undecided", "opening"])),
    min_size=1,
    max_size=4,
)
CONFIGS = {
    False: st.builds(
        TurnConfig,
        family=st.just("universal"),
        min_turn_silence=st.sampled_from([160, 400]),
        max_turn_silence=st.sampled_from([640, 1280]),
        format_turns=st.booleans(),
    ),
    True: st.builds(
        TurnConfig,
        family=st.just("universal-3"),
        min_turn_silence=st.sampled_from([160, 400]),
        max_turn_silence=st.sampled_from([640, 1280]),
    ),
}


@dataclass(frozen=True)
class Case:
    """One session, its recognisers, and where they are lost."""

    script: Script
    config: TurnConfig
    loose: tuple[Looseness, ...]
    losses: tuple[Loss, ...]
    forced_at_ms: tuple[int, ...] = ()


def _voice_is_known(script: Script, ms: int) -> bool:
    """Not in the frame after a voice."""
    return not any(word.end_ms <= ms < word.end_ms + 64 for word in script.words)


def _is_clear(script: Script, ms: int) -> bool:
    """No word begins so near that a recogniser which times it otherwise has it on the other side."""
    return all(abs(word.start_ms - ms) > SHIFT for word in script.words)


@st.composite
def cases(draw: st.DrawFn, *, replacing: bool, repeats: bool = False, pauses: Sequence[int] = ANY) -> Case:
    script = draw(scripts(pauses).filter(lambda script: script.words))
    forced = draw(st.lists(st.integers(1, _length_ms(script) - 100), max_size=2, unique=True).map(sorted))
    first, shift = draw(loosenesses(0)), SHIFT_OF_REPEATS if repeats else SHIFT
    return Case(
        script,
        draw(CONFIGS[replacing]),
        (first, *draw(st.lists(loosenesses(shift, repeats=repeats), min_size=1, max_size=3))),
        tuple(draw(LOSSES)),
        tuple(ms for ms in forced if _voice_is_known(script, ms) and _is_clear(script, ms)),
    )


def _length_ms(script: Script) -> int:
    return script.words[-1].end_ms + 1_500


# -- what is compared ------------------------------------------------------------------------------------------------


def played(case: Case, kind: type[LoosePlayed], losses: Sequence[Loss]) -> tuple[Client, Session]:
    replacing = case.config.family == "universal-3"
    silences = checkpoints_ms(case.config)
    session = Session(
        seconds=_length_ms(case.script) / 1000,
        finalize_at=tuple(ms * MS for ms in case.forced_at_ms),
        replacing=replacing,
        request=LinkRequest("5d3f9a1e-0000-4000-8000-000000000001", "en-default", Hearing(0.4, silences)),
    )
    client = session.told = Client(replacing=replacing, config=case.config)
    asyncio.run(kind(case.script, session, list(losses), case.loose).run())
    return client, session


def turns(client: Client) -> list[dict[str, Any]]:
    """The ends of turns, without their words' times."""
    return [
        {**message, "words": [{**word, "start": 0, "end": 0} for word in message["words"]]}
        for message in client.messages
        if message.get("end_of_turn")
    ]


def times(client: Client) -> list[int]:
    """Starts and ends of all words, as they stand at the ends of turns."""
    ends = (message for message in client.messages if message.get("end_of_turn"))
    return [word[edge] for message in ends for word in message["words"] for edge in ("start", "end")]


def taken_back(client: Client) -> Iterator[str]:
    """Words that were shown as final and were not there, bit for bit, in a later message of their turn."""
    shown: dict[int, list[dict[str, Any]]] = {}
    for message in client.messages:
        if message["type"] != "Turn" or message["turn_is_formatted"]:
            continue
        final = [word for word in message["words"] if word["word_is_final"]]
        before = shown.get(message["turn_order"], [])
        if final[: len(before)] != before:
            yield f"{before} became {final}"
        shown[message["turn_order"]] = final


def check(case: Case, kind: type[LoosePlayed] = LoosePlayed) -> None:
    whole, _ = played(case, kind, [])
    cut, session = played(case, kind, case.losses)
    assert list(taken_back(cut)) == []
    assert turns(cut) == turns(whole)
    assert cut.comparable()[1] == whole.comparable()[1], "segments, voices, checkpoints: each where it was"
    assert all(abs(one - other) <= 2 * SHIFT for one, other in zip(times(cut), times(whole), strict=True))
    if not any(loose.repeats for loose in case.loose):
        assert session.troubles == []


def final(*texts: str, start: int = 0) -> list[pb.Word]:
    """Words of 100 samples each, one after the other; "-" in front: one without length."""
    words: list[pb.Word] = []
    for text in texts:
        end = start + (0 if text.startswith("-") else 100)
        words.append(pb.Word(index=len(words), text=text.removeprefix("-"), start_sample=start, end_sample=end))
        start = end
    return words


def test_a_final_word_without_length_is_known_again() -> None:
    segment = SegmentState(finals=final("so", "-it"))
    assert segment.unheard(final("-it", start=100)) == []
    assert segment.unheard(final("goes", start=100)) == final("goes", start=100)


STEADY = Looseness(finals=(0,), tentatives=(0,))
# A voice begins at the very sample where the silence before was asked about, and there the stream is lost.
VOICE_AT_A_CHECKPOINT = Case(
    Script(
        [ScriptWord("no", 200, 305), ScriptWord("very", 455, 515), ScriptWord("no", 665, 725)],
        eot_score=0.1,
        eot_scores=dict.fromkeys(range(3), 0.1),
        coded=True,
    ),
    TurnConfig("universal", min_turn_silence=160, max_turn_silence=640),
    (STEADY, STEADY),
    (Loss(5, "after"),),
)


def test_a_voice_that_begins_where_the_lost_stream_asked_is_told() -> None:
    check(VOICE_AT_A_CHECKPOINT)


PROPERTY = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@PROPERTY
@given(cases(replacing=False))
def test_an_append_only_model_may_split_and_time_words_as_it_likes(case: Case) -> None:
    check(case)


@PROPERTY
@given(cases(replacing=True))
def test_a_replacing_model_may_time_words_as_it_likes(case: Case) -> None:
    check(case)


@PROPERTY
@given(cases(replacing=False, repeats=True, pauses=CLEAR))
def test_final_words_that_a_resumed_stream_says_again_are_not_shown_again(case: Case) -> None:
    check(case)


@PROPERTY
@given(cases(replacing=False, pauses=CLEAR))
def test_the_real_recogniser_may_time_words_otherwise(case: Case) -> None:
    check(case, ShiftedPlayed)


@PROPERTY
@given(cases(replacing=True, pauses=CLEAR))
def test_the_real_recogniser_of_a_replacing_model_may_time_words_otherwise(case: Case) -> None:
    check(case, ShiftedPlayed)
