"""However often and wherever streams are lost, the session is told what it would have been told without a loss.

The recogniser is the real stream core with a scripted engine; only the transport is missing, so that a loss can be put
before or after any single message. The audio is coded: a sample sent again at a position that is not its own is heard.
"""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lossy_link import MS, Loss, Session, play
from streaming_gateway.link.audio import HeldAudio
from streaming_gateway.link.ledger import FRAME
from streamingstack_bench.scripted import Script

SPOKEN = Script.of(
    "one two two two three | | four five | six seven seven eight nine | | ten | eleven eleven twelve | |", coded=True
)
LOSSES = st.lists(
    st.builds(Loss, st.integers(1, 150), st.sampled_from(["before", "after", "undecided", "opening"])), max_size=6
)


def _voice_is_known(ms: int) -> bool:
    """Not in the frame after a voice, where its end is not known yet: an end forced there begins a segment without
    words, which makes no turn, and which a recogniser that starts anew behind that voice does not begin."""
    return not any(word.end_ms <= ms < word.end_ms + 64 for word in SPOKEN.words)


def sessions(replacing: bool) -> st.SearchStrategy[Session]:
    update = st.sampled_from(
        [
            {"vad_threshold": 0.3},
            {"checkpoints_ms": (200, 800, 1280)},
            {"checkpoints_ms": (160, 480, 900)},
            {"keyterms": ("seven",)},
        ]
    )
    return st.builds(
        Session,
        seconds=st.just(18.0),
        ends_at_ms=st.sampled_from([640, 900]),
        finalize_at=st.lists(st.integers(1, 17_900).filter(_voice_is_known), max_size=3).map(
            lambda ms: tuple(sorted(m * MS for m in ms))
        ),
        update_at=st.dictionaries(st.integers(1, 15_000).map(lambda ms: ms * MS + 7), update, max_size=2),
        replacing=st.just(replacing),
    )


@pytest.mark.parametrize("replacing", [False, True])
def test_any_losses_leave_what_the_session_is_told_unchanged(replacing: bool) -> None:
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(session=sessions(replacing), losses=LOSSES)
    def check(session: Session, losses: list[Loss]) -> None:
        def again() -> Session:
            return Session(
                session.seconds, session.ends_at_ms, session.finalize_at, session.update_at, replacing=replacing
            )

        whole = play(SPOKEN, again(), [])
        cut = play(SPOKEN, again(), losses)
        assert cut.session.told.comparable() == whole.session.told.comparable()
        assert cut.session.troubles == whole.session.troubles == []

    check()


@pytest.mark.parametrize("moment", ["before", "after", "undecided", "opening"])
@pytest.mark.parametrize("replacing", [False, True])
def test_a_loss_at_every_single_message_changes_nothing(moment: str, replacing: bool) -> None:
    script = Script.of("one one two | three four | | five | |", coded=True)

    def session() -> Session:
        # The first forced end is in mid-word.
        return Session(7.5, ends_at_ms=640, finalize_at=(2_625 * MS, 4_111 * MS), replacing=replacing)

    whole = play(script, session(), [])
    assert whole.session.told.text() == "one one two three four five"
    for count in range(1, whole.count + 1):
        cut = play(script, session(), [Loss(count, moment)])
        assert cut.session.told.comparable() == whole.session.told.comparable(), f"loss at {count}"
        assert cut.streams == 2
        assert cut.session.troubles == []


def _silence(pcm: bytes) -> bytes:
    return bytes(len(pcm))


def _a_frame_late(pcm: bytes) -> bytes:
    return pcm[2 * FRAME :] + pcm[: 2 * FRAME]


def _halves_exchanged(pcm: bytes) -> bytes:
    middle = len(pcm) // 4 * 2
    return pcm[middle:] + pcm[:middle]


def _one_sample_wrong(pcm: bytes) -> bytes:
    return bytes([pcm[0] ^ 1]) + pcm[1:]


@pytest.mark.parametrize("wrong", [_silence, _a_frame_late, _halves_exchanged, _one_sample_wrong])
@pytest.mark.parametrize("replacing", [False, True])
def test_wrong_audio_in_a_replay_would_be_told(
    wrong: Callable[[bytes], bytes], replacing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script.of("one one two | three four | | five | |", coded=True)
    whole = play(script, Session(7.5, ends_at_ms=640, replacing=replacing), [])
    sliced, sent = HeldAudio.slice, 0

    def slice_wrong(audio: HeldAudio, start: int, end: int) -> bytes:
        nonlocal sent
        again, sent = start < sent, max(sent, end)
        return wrong(sliced(audio, start, end)) if again else sliced(audio, start, end)

    monkeypatch.setattr(HeldAudio, "slice", slice_wrong)
    cut = play(script, Session(7.5, ends_at_ms=640, replacing=replacing), [Loss(14, "after")])
    assert cut.streams == 2
    assert cut.session.told.comparable() != whole.session.told.comparable()
