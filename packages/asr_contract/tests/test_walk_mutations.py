"""Every walk with one step too many, or one too few: refused wherever that is done, by the right rule."""

from collections.abc import Iterator

import pytest
from asr_contract.conversation import ContractError, Conversation
from asr_contract.testing.steps import End, HalfClose, Step, perform
from asr_contract.testing.walks import WALKS

# The rule that refuses a message said twice in a row.
TWICE: dict[str, int | str] = {
    "open": "order",
    "ready": "order",
    "half-close": "order",
    "audio": 1,
    "finalize": 1,
    "answer": 3,
    "checkpoint": 3,
    "speech_started": 4,
    "speech_stopped": 4,
    "finalized": 4,
}
# The rules that refuse what comes after a message that was left out; a checkpoint brings credit, too.
LEFT_OUT: dict[str, set[int | str]] = {
    "open": {"order"},
    "ready": {"order"},
    "half-close": {"order"},
    "audio": {1},
    "answer": {3},
    "checkpoint": {2, 3},
    "finalize": {4},
}


def kind(step: Step) -> str:
    if isinstance(step, HalfClose):
        return "half-close"
    return "end" if isinstance(step, End) else str(step.message.WhichOneof("message"))


def places(what: str) -> Iterator[tuple[tuple[Step, ...], int]]:
    """Each step of this kind in each stream of each walk."""
    for walk in WALKS.values():
        for stream in walk.streams:
            for place, step in enumerate(stream):
                if kind(step) == what:
                    yield stream, place


def refusal(steps: tuple[Step, ...]) -> int | str | None:
    try:
        perform(Conversation(), steps)
    except ContractError as broken:
        return broken.rule
    return None


@pytest.mark.parametrize("what", TWICE)
def test_a_step_too_many_is_refused(what: str) -> None:
    found = list(places(what))
    assert found
    for stream, place in found:
        assert refusal((*stream[: place + 1], *stream[place:])) == TWICE[what], f"{what} at step {place}"


@pytest.mark.parametrize("what", LEFT_OUT)
def test_a_step_too_few_is_refused(what: str) -> None:
    # The last audio, and the last answer, of a stream is not missed by anything that comes later.
    found = [
        (stream, place)
        for stream, place in places(what)
        if isinstance(stream[-1], End) and stream[-1].status == "OK" and is_missed(stream, place)
    ]
    assert found
    for stream, place in found:
        assert refusal((*stream[:place], *stream[place + 1 :])) in LEFT_OUT[what], f"{what} at step {place}"


def is_missed(stream: tuple[Step, ...], place: int) -> bool:
    later = [kind(step) for step in stream[place + 1 :]]
    needed = {"audio": ["audio"], "answer": ["checkpoint", "finalized", "speech_started"]}
    return any(step in needed.get(kind(stream[place]), later) for step in later)


def test_a_final_word_too_few_or_too_many_is_refused() -> None:
    told = [(stream, place) for stream, place in places("words") if stream[place].message.words.final]  # type: ignore[union-attr]
    assert told
    for stream, place in told:
        assert refusal((*stream[: place + 1], *stream[place:])) == 5
