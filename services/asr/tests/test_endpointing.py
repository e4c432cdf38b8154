"""Speech, silence and segments, frame by frame."""

from hypothesis import given
from hypothesis import strategies as st
from streaming_asr.endpointing import SEGMENT_LEAD, Endpointer, Segment, Started, Stopped
from streaming_asr.engine import VAD_FRAME

CAP = 960_000
MS = 16


def endpointer(**overrides: object) -> Endpointer:
    options: dict[str, object] = {"threshold": 0.4, "checkpoints_ms": (160, 400, 1280), "cap": CAP}
    return Endpointer(**{**options, **overrides})  # type: ignore[arg-type]


def play(subject: Endpointer, pattern: str, start: int = 0) -> tuple[list[object], list[tuple[int, int]]]:
    """Play frames, `v` voiced and `.` silent; returns what happened and the checkpoints (position, silence)."""
    happenings: list[object] = []
    asked: list[tuple[int, int]] = []
    at = start
    for frame in pattern:
        happening = subject.hear(at, at + VAD_FRAME, 0.9 if frame == "v" else 0.1)
        at += VAD_FRAME
        if happening is not None:
            happenings.append(happening)
        if (due := subject.due(at)) is not None:
            subject.asked(due)
            asked.append((at, due))
    return happenings, asked


def test_silence_alone_opens_no_segment_and_asks_nothing() -> None:
    subject = endpointer()
    assert play(subject, "." * 200) == ([], [])
    assert subject.segment is None


def test_a_segment_starts_half_a_second_before_its_voice() -> None:
    subject = endpointer()
    happenings, _ = play(subject, "." * 40 + "v")
    assert happenings == [Started(40 * VAD_FRAME, 0.9)]
    assert subject.segment == Segment(0, 40 * VAD_FRAME - SEGMENT_LEAD, 0)


def test_a_segment_never_starts_before_the_end_of_the_last() -> None:
    subject = endpointer()
    play(subject, "v....")
    subject.close(5 * VAD_FRAME)
    play(subject, "v", start=5 * VAD_FRAME)
    assert subject.segment == Segment(1, 5 * VAD_FRAME, 5 * VAD_FRAME)


def test_each_checkpoint_fires_once_at_the_first_frame_that_reaches_it() -> None:
    subject = endpointer()
    happenings, asked = play(subject, "v" + "." * 60)
    assert happenings[1] == Stopped(VAD_FRAME)
    assert asked == [(6 * VAD_FRAME, 160), (14 * VAD_FRAME, 400), (41 * VAD_FRAME, 1280)]


def test_any_voiced_frame_resets_the_silence() -> None:
    _, asked = play(endpointer(), "v" + "." * 8 + "v" + "." * 8)
    assert [ms for _, ms in asked] == [160, 160]


def test_a_lowered_threshold_that_the_silence_has_passed_fires_at_once() -> None:
    subject = endpointer()
    play(subject, "v" + "." * 30)
    subject.checkpoints_ms = (160, 300)
    assert subject.due(31 * VAD_FRAME) == 300


def test_a_silence_that_was_a_question_and_is_now_the_last_fires_again() -> None:
    subject = endpointer()
    play(subject, "v" + "." * 16)
    subject.checkpoints_ms = (160, 400)
    assert subject.due(17 * VAD_FRAME) == 400
    subject.asked(400)
    subject.checkpoints_ms = (160, 400)
    assert subject.due(17 * VAD_FRAME) is None


def test_a_raised_threshold_fires_again_when_reached() -> None:
    subject = endpointer()
    play(subject, "v" + "." * 15)
    subject.checkpoints_ms = (160, 600)
    _, asked = play(subject, "." * 20, start=16 * VAD_FRAME)
    assert [ms for _, ms in asked] == [600]


def test_speech_that_goes_on_after_an_end_begins_the_next_segment_there() -> None:
    subject = endpointer()
    play(subject, "vvvv")
    assert subject.close(1800) == Started(1800, 0.9)
    assert subject.segment == Segment(1, 1800, 1800)


def test_after_an_end_in_silence_nothing_more_is_asked_until_somebody_speaks() -> None:
    subject = endpointer()
    play(subject, "v" + "." * 14)
    assert subject.close(15 * VAD_FRAME) is None
    _, asked = play(subject, "." * 100, start=15 * VAD_FRAME)
    assert asked == []


def test_a_resumed_segment_can_end_even_if_no_voice_is_heard_again() -> None:
    subject = endpointer(open_start=1000, first_sample=8 * VAD_FRAME, number=3)
    _, asked = play(subject, "." * 60, start=8 * VAD_FRAME)
    assert [ms for _, ms in asked] == [160, 400, 1280]


def test_the_cap_counts_from_the_start_of_the_segment() -> None:
    subject = endpointer()
    play(subject, "." * 40 + "v")
    assert subject.segment is not None
    assert subject.cap_at == subject.segment.start + CAP


@given(st.lists(st.booleans(), max_size=300))
def test_started_and_stopped_alternate_and_positions_never_go_back(frames: list[bool]) -> None:
    happenings, asked = play(endpointer(), "".join("v" if voiced else "." for voiced in frames))
    kinds = [type(happening) for happening in happenings]
    assert kinds == [Started, Stopped] * (len(kinds) // 2) + [Started] * (len(kinds) % 2)
    positions = [happening.at for happening in happenings]  # type: ignore[attr-defined]
    assert positions == sorted(positions)
    assert [at for at, _ in asked] == sorted({at for at, _ in asked})
