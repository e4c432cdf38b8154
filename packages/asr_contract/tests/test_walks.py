"""The walks of the contract, message by message, against the model of the conversation."""

from itertools import pairwise

import pytest
from asr_contract.clock import samples_to_ms
from asr_contract.conversation import Conversation, Phase
from asr_contract.testing.steps import End, Step, perform
from asr_contract.testing.walks import BURST_AT_4X, NORMAL_TURN, WALKS, Walk
from streamingstack.asr.v1 import recognizer_pb2 as pb


def conversations(walk: Walk) -> list[Conversation]:
    return [perform(Conversation(), stream) for stream in walk.streams]


def text(words: tuple[pb.Word, ...]) -> str:
    return " ".join(word.text for word in words)


@pytest.mark.parametrize("walk", WALKS.values(), ids=WALKS.keys())
def test_a_walk_is_legal_and_ends_with_its_segments(walk: Walk) -> None:
    heard = conversations(walk)
    closed = [segment for conversation in heard for segment in conversation.closed]
    assert tuple(text(segment.words) for segment in closed if segment.words) == walk.segments
    assert all(conversation.phase is Phase.ENDED for conversation in heard)


@pytest.mark.parametrize("walk", WALKS.values(), ids=WALKS.keys())
def test_a_walk_leaves_nothing_open(walk: Walk) -> None:
    last = conversations(walk)[-1]
    assert last.open_checkpoint is None
    assert not last.orders.unanswered


@pytest.mark.parametrize("walk", WALKS.values(), ids=WALKS.keys())
def test_no_word_of_a_walk_is_doubled_and_none_goes_back(walk: Walk) -> None:
    closed = [segment for conversation in conversations(walk) for segment in conversation.closed]
    ends = [0, *(segment.end for segment in closed)]
    assert ends == sorted(ends)
    words = [word for segment in closed for word in segment.words]
    assert all(before.end_sample <= after.start_sample for before, after in pairwise(words))


def test_a_burst_gives_the_words_and_times_of_real_time() -> None:
    paced, burst = conversations(NORMAL_TURN)[0], conversations(BURST_AT_4X)[0]
    assert burst.final_words == paced.final_words
    assert burst.closed == paced.closed


def test_the_cap_comes_sixty_seconds_after_the_start_of_the_segment() -> None:
    (cut, _) = conversations(WALKS["the 60 s cap"])[0].closed
    assert samples_to_ms(cut.end) == 60_500


def test_music_makes_segments_but_no_turn() -> None:
    (music,) = conversations(WALKS["music that never stops"])
    assert [samples_to_ms(segment.end) for segment in music.closed] == [60_000, 120_000, 120_000]
    assert not music.final_words


def through(walk: Walk, count: int) -> Conversation:
    """The conversation after the first `count` steps of the first stream."""
    return perform(Conversation(), walk.streams[0][:count])


def test_the_present_can_be_read_at_every_step() -> None:
    stream = NORMAL_TURN.streams[0]
    seen = [through(NORMAL_TURN, count) for count in range(len(stream))]
    assert {conversation.phase for conversation in seen} == {
        Phase.BEFORE_OPEN,
        Phase.BEFORE_READY,
        Phase.HEARING,
        Phase.HALF_CLOSED,
    }
    assert [c.open_checkpoint.id for c in seen if c.open_checkpoint] == [1, 1, 2]
    assert max(len(c.final_words) for c in seen) == 2
    assert [c.segments.number for c in seen] == sorted(c.segments.number for c in seen)
    assert all(c.audio.sent_through <= c.audio.credit for c in seen)


@pytest.mark.parametrize("status", ["UNAVAILABLE", "INTERNAL", "CANCELLED"])
def test_a_stream_may_be_lost_after_any_step(status: str) -> None:
    def lost(stream: tuple[Step, ...], count: int) -> Conversation:
        return perform(Conversation(), (*stream[:count], End(status)))

    stream = NORMAL_TURN.streams[0]
    assert all(lost(stream, count).phase is Phase.ENDED for count in range(len(stream)))
