"""What the link does about a recogniser that resumes badly, and the small parts of its books."""

from typing import Any

import pytest
from streaming_gateway.link.api import Hearing, LinkRequest
from streaming_gateway.link.audio import ByteBudget, HeldAudio
from streaming_gateway.link.intake import Heard, receive
from streaming_gateway.link.ledger import Ledger
from streaming_gateway.link.orders import MOST_ORDERS, Orders
from streaming_gateway.link.pacing import Pacer
from streamingstack.asr.v1 import recognizer_pb2 as pb

SECOND = 16_000
HEARING = Hearing(0.4, (160, 640))
CONTINUE, END = pb.DECISION_CONTINUE, pb.DECISION_END_SEGMENT


def word(text: str, start: int, end: int, index: int = 0) -> pb.Word:
    return pb.Word(text=text, start_sample=start, end_sample=end, index=index, confidence=0.9)


def started(at: int) -> pb.RecognizeResponse:
    return pb.RecognizeResponse(speech_started=pb.SpeechStarted(at_sample=at, confidence=0.9))


def words(through: int, *final: pb.Word, tentative: tuple[pb.Word, ...] = (), segment: int = 0) -> pb.RecognizeResponse:
    said = pb.Words(segment=segment, through_sample=through, final=final, tentative=tentative)
    return pb.RecognizeResponse(words=said)


def checkpoint(at: int, silence_ms: int, *said: pb.Word, number: int = 1, segment: int = 0) -> pb.RecognizeResponse:
    asked = pb.Checkpoint(
        id=number,
        segment=segment,
        at_sample=at,
        silence_ms=silence_ms,
        reason=pb.CHECKPOINT_REASON_SILENCE,
        words=said,
    )
    return pb.RecognizeResponse(checkpoint=asked)


def progress(at: int) -> pb.RecognizeResponse:
    return pb.RecognizeResponse(progress=pb.Progress(processed_through_sample=at))


def begin(ledger: Ledger, *, replacing: bool = False) -> pb.Open:
    plan = ledger.plan(0)
    ledger.begin(plan, pb.Ready(capacity=1, preferred_chunk_ms=100, left_context_ms=1000, replacing=replacing))
    return plan.open


def in_speech(*, replacing: bool = False) -> Ledger:
    """A session with ten seconds of audio whose first stream has heard two words, the first of them final."""
    ledger = Ledger(LinkRequest("s", "en-default", HEARING), ByteBudget(1 << 30))
    ledger.audio.append(bytes(2 * 10 * SECOND))
    begin(ledger, replacing=replacing)
    receive(ledger, started(SECOND))
    final = () if replacing else (word("alpha", SECOND, 20_000),)
    receive(ledger, words(32_000, *final, tentative=(word("beta", 20_000, 26_000),)))
    receive(ledger, progress(32_000))
    return ledger


def kinds(heard: Heard) -> list[Any]:
    return [event.WhichOneof("message") for event in heard.show]


def test_a_resume_tells_where_the_session_stands() -> None:
    ledger = in_speech()
    opening = begin(ledger)
    assert (opening.reason, opening.epoch, opening.attempt) == (pb.REASON_RESUME, 1, 0)
    assert opening.first_sample <= 20_000 - SECOND, "the last final word's end less the left context"
    assert opening.emit_after_sample == 32_000 - 512
    assert (opening.next_word_index, [w.text for w in opening.final_words]) == (1, ["alpha"])
    assert (opening.segment_open, opening.segment_start, opening.segment) == (True, 8_000, 0)


def test_a_plan_beside_a_stream_that_goes_on_holds_while_nothing_is_heard_that_it_would_have_to_say() -> None:
    ledger = in_speech()
    plan = ledger.plan(0, live=True)
    assert ledger.still_holds(plan)
    receive(ledger, progress(33_000))
    assert ledger.still_holds(plan), "the replay is a little longer"
    receive(ledger, words(35_200, word("beta", 20_000, 26_000, 1)))
    assert not ledger.still_holds(plan)
    assert ledger.still_holds(ledger.plan(0, live=True))


def test_a_plan_beside_a_stream_that_goes_on_takes_no_question_from_it() -> None:
    ledger = in_speech()
    asked = checkpoint(36_000, 160, word("beta", 20_000, 26_000, 1))
    before = ledger.plan(0, live=True)
    receive(ledger, asked)
    assert not ledger.still_holds(before), "it would not ask"
    plan = ledger.plan(0, live=True)
    assert plan.asks
    answer = ledger.answer(asked.checkpoint, pb.DECISION_CONTINUE)
    assert answer is not None, "the live stream gets its answer"
    assert not ledger.still_holds(plan), "it would ask again"


def test_a_stream_that_is_left_gets_no_answer_any_more() -> None:
    ledger = in_speech()
    asked = checkpoint(36_000, 160, word("beta", 20_000, 26_000, 1))
    receive(ledger, asked)
    plan = ledger.plan(0, live=True)
    assert ledger.still_holds(plan)
    ledger.leave()
    assert ledger.answer(asked.checkpoint, pb.DECISION_CONTINUE) is None
    ledger.begin(plan, pb.Ready(capacity=1, preferred_chunk_ms=100, left_context_ms=1000))
    heard = receive(ledger, asked)
    assert (kinds(heard), heard.answer) == ([], pb.Answer(checkpoint_id=1, decision=pb.DECISION_CONTINUE))


def test_audio_that_was_dropped_meanwhile_makes_a_plan_void() -> None:
    ledger = in_speech()
    plan = ledger.plan(0, live=True)
    ledger.audio.forget(plan.open.first_sample + SECOND)
    assert not ledger.still_holds(plan)


@pytest.mark.parametrize("replacing", [False, True])
def test_a_resume_carries_the_words_of_closed_segments_that_the_replay_holds(replacing: bool) -> None:
    ledger = in_speech(replacing=replacing)
    alpha, beta = word("alpha", SECOND, 20_000), word("beta", 30_000, 36_000, 0 if replacing else 1)
    (shown,) = receive(ledger, checkpoint(40_000, 640, *((alpha, beta) if replacing else (beta,)))).show
    ledger.answer(shown.checkpoint, END)
    opening = begin(ledger, replacing=replacing)
    assert SECOND < opening.first_sample <= 30_000
    assert [(w.text, w.start_sample) for w in opening.closed_words] == [("beta", 30_000)]
    assert not opening.final_words


def test_a_replacing_model_is_replayed_from_the_start_of_its_segment() -> None:
    opening = begin(in_speech(replacing=True), replacing=True)
    assert opening.first_sample <= 8_000
    assert not opening.final_words


def test_final_words_that_come_again_shifted_and_written_otherwise_are_not_shown_again() -> None:
    ledger = in_speech()
    begin(ledger)
    heard = receive(ledger, words(35_200, word("Alpha,", 15_000, 21_000, 1), word("beta", 21_100, 26_000, 2)))
    (shown,) = heard.show
    assert [(w.text, w.index) for w in shown.words.final] == [("beta", 1)]
    assert heard.troubles == ["final words repeated", "final words numbered with a gap"]


def test_tentative_words_never_repeat_final_ones() -> None:
    ledger = in_speech()
    begin(ledger)
    tentative = (word("alpha", 16_100, 20_100), word("beta", 20_100, 26_000))
    (shown,) = receive(ledger, words(35_200, tentative=tentative)).show
    assert [w.text for w in shown.words.tentative] == ["beta"]


def test_a_gap_in_the_numbers_is_closed_and_reported() -> None:
    ledger = in_speech()
    heard = receive(ledger, words(35_200, word("beta", 20_000, 26_000, 7)))
    assert [w.index for w in heard.show[0].words.final] == [1]
    assert heard.troubles == ["final words numbered with a gap"]


@pytest.mark.parametrize("shift", [-512, 0, 512])
def test_an_undecided_checkpoint_met_a_frame_off_is_the_same_and_shown_once(shift: int) -> None:
    ledger = in_speech()
    (shown,) = receive(ledger, checkpoint(40_000, 640, word("beta", 20_000, 26_000, 1))).show
    begin(ledger)
    heard = receive(ledger, checkpoint(40_000 + shift, 640, number=1))
    assert heard.show == []
    assert heard.answer is None
    assert ledger.answer(shown.checkpoint, END) == pb.Answer(checkpoint_id=1, decision=END)


def test_a_checkpoint_decided_while_the_next_stream_replays_is_answered_when_met() -> None:
    ledger = in_speech()
    (shown,) = receive(ledger, checkpoint(40_000, 640)).show
    begin(ledger)
    assert ledger.answer(shown.checkpoint, END) is None
    heard = receive(ledger, checkpoint(40_000, 640, number=1))
    assert (heard.show, heard.answer) == ([], pb.Answer(checkpoint_id=1, decision=END))
    assert ledger.segment.number == 1


def test_a_stream_that_passes_the_end_of_a_segment_without_asking_has_diverged() -> None:
    ledger = in_speech()
    (shown,) = receive(ledger, checkpoint(40_000, 640)).show
    begin(ledger)
    ledger.answer(shown.checkpoint, END)
    receive(ledger, progress(41_000))
    assert not ledger.diverged
    receive(ledger, progress(43_000))
    assert ledger.diverged
    assert begin(ledger).segment == 1
    assert not ledger.diverged


def test_a_checkpoint_that_was_answered_is_answered_again_and_not_shown() -> None:
    ledger = in_speech()
    (shown,) = receive(ledger, checkpoint(34_000, 160)).show
    ledger.answer(shown.checkpoint, CONTINUE)
    begin(ledger)
    heard = receive(ledger, checkpoint(34_000, 160, number=1))
    assert (heard.show, heard.answer) == ([], pb.Answer(checkpoint_id=1, decision=CONTINUE))


def resumed_between_segments(*, replacing: bool = False) -> Ledger:
    """A session whose first segment has ended at 40,000, on a new stream that replays from before that."""
    ledger = in_speech(replacing=replacing)
    (shown,) = receive(ledger, checkpoint(40_000, 640)).show
    ledger.answer(shown.checkpoint, END)
    begin(ledger, replacing=replacing)
    return ledger


def stopped(at: int) -> pb.RecognizeResponse:
    return pb.RecognizeResponse(speech_stopped=pb.SpeechStopped(at_sample=at))


@pytest.mark.parametrize(
    ("heard", "shown"),
    [
        (words(50_000, word("gamma", 44_000, 48_000, 1), segment=1), ["speech_started", "words"]),
        (words(50_000, tentative=(word("gamma", 44_000, 48_000),), segment=1), ["speech_started", "words"]),
        (checkpoint(50_000, 160, word("gamma", 44_000, 47_000, 1), segment=1), ["speech_started", "checkpoint"]),
        (checkpoint(50_000, 160, segment=1), ["checkpoint"]),
        (stopped(47_000), []),
    ],
    ids=["final words", "tentative words", "checkpoint", "checkpoint without words", "end of the voice"],
)
@pytest.mark.parametrize("replacing", [False, True])
def test_what_comes_of_a_voice_that_began_in_the_context_opens_the_segment(
    heard: pb.RecognizeResponse, shown: list[str], replacing: bool
) -> None:
    ledger = resumed_between_segments(replacing=replacing)
    if replacing and heard.words.final:
        heard = words(50_000, tentative=tuple(heard.words.final), segment=1)
    told = receive(ledger, heard)
    assert (kinds(told), told.troubles) == (shown, [])
    again = begin(ledger, replacing=replacing)
    assert (again.segment_open, again.segment, again.segment_floor) == (True, 1, 40_000)
    assert again.segment_start == 40_000, "unknown, but not before the end of the last segment"
    assert again.first_sample <= again.segment_start


def test_a_segment_that_is_found_open_begins_with_its_stream_and_not_before_the_audio_that_is_left() -> None:
    ledger = resumed_between_segments()
    for through in (60_000, 100_000):
        receive(ledger, progress(through))
    first_sample = begin(ledger).first_sample
    assert first_sample > 40_000
    receive(ledger, words(104_000, tentative=(word("gamma", 101_000, 103_000),), segment=1))
    again = begin(ledger)
    assert (again.segment_start, again.segment_open) == (first_sample, True)
    assert ledger.audio.begin <= again.first_sample <= first_sample


def test_speech_is_told_to_start_with_the_first_words_and_once() -> None:
    ledger = resumed_between_segments()
    (asked,) = receive(ledger, checkpoint(50_000, 160, segment=1)).show
    answer = ledger.answer(asked.checkpoint, CONTINUE)
    assert answer is not None
    first = receive(ledger, words(52_000, tentative=(word("gamma", 44_000, 48_000),), segment=1))
    assert kinds(first) == ["speech_started", "words"]
    assert first.show[0].speech_started.at_sample == 44_000
    more = receive(ledger, words(53_600, tentative=(word("gamma", 44_000, 48_000),), segment=1))
    assert kinds(more) == ["words"]
    silent = receive(ledger, checkpoint(62_000, 640, number=2, segment=1))
    assert kinds(silent) == ["speech_stopped", "checkpoint"]
    assert silent.show[0].speech_stopped.at_sample == 62_000 - 640 * 16, "where the silence began"


def test_speech_started_is_not_shown_twice() -> None:
    ledger = in_speech()
    begin(ledger)
    assert kinds(receive(ledger, started(SECOND))) == []


def test_progress_of_a_replay_is_not_shown_before_it_leads_on() -> None:
    ledger = in_speech()
    begin(ledger)
    assert kinds(receive(ledger, progress(20_000))) == []
    assert ledger.processed == 32_000
    assert kinds(receive(ledger, progress(32_512))) == ["progress"]


def test_a_finalize_without_an_answer_is_asked_again_and_its_answer_shown_once() -> None:
    ledger = in_speech()
    assert ledger.finalize() == 1
    opening = begin(ledger)
    assert opening.emit_after_sample < 10 * SECOND
    order = ledger.orders.after(0, ())
    assert order is not None
    assert order.request.finalize == pb.Finalize(id=1, at_sample=10 * SECOND)
    done = pb.RecognizeResponse(finalized=pb.Finalized(id=1, at_sample=10 * SECOND))
    assert kinds(receive(ledger, done)) == ["finalized"]
    heard = receive(ledger, done)
    assert (heard.show, heard.troubles) == ([], ["a Finalized that nothing asked for, or twice"])


def test_updates_before_a_replay_are_in_its_open_and_later_ones_are_sent_again() -> None:
    orders = Orders(HEARING)
    orders.update(100, {"vad_threshold": 0.5})
    orders.update(200, {"keyterms": ("gamma",), "checkpoints_ms": (320,)})
    folded, hearing = orders.in_force(150)
    assert hearing == Hearing(0.5, (160, 640))
    order = orders.after(0, folded)
    assert order is not None
    assert (order.at, list(order.request.update.keyterms.terms)) == (200, ["gamma"])
    orders.forget(250)
    assert orders.in_force(0)[1] == Hearing(0.5, (320,), keyterms=("gamma",))
    assert orders.after(0, ()) is None


def test_a_finalize_at_the_place_of_one_without_an_answer_is_that_one() -> None:
    orders = Orders(HEARING)
    assert [orders.finalize(100), orders.finalize(100)] == [1, 1]
    orders.update(100, {"vad_threshold": 0.5})
    assert orders.finalize(100) == 1
    assert orders.finalize(200) == 2
    assert orders.answered(1)
    assert orders.answered(2)
    assert orders.finalize(200) == 3, "the one there was answered: another could end what came of it"


def test_updates_in_a_row_at_one_position_are_one_that_holds_for_streams_that_had_the_first() -> None:
    orders = Orders(HEARING)
    orders.update(100, {"vad_threshold": 0.5, "keyterms": ("alpha",)})
    first = orders.after(0, ())
    folded, _ = orders.in_force(100)
    assert first is not None
    orders.update(100, {"vad_threshold": 0.6})
    for sent, already in ((first.number, frozenset()), (0, folded)):
        merged = orders.after(sent, already)
        assert merged is not None
        assert round(merged.request.update.vad_threshold, 3) == 0.6
        assert list(merged.request.update.keyterms.terms) == ["alpha"]
        assert orders.after(merged.number, already) is None
    assert orders.in_force(100)[1] == Hearing(0.6, (160, 640), keyterms=("alpha",))


def test_an_update_before_a_finalize_stays_before_it() -> None:
    orders = Orders(HEARING)
    orders.update(100, {"vad_threshold": 0.5})
    orders.finalize(100)
    orders.update(100, {"vad_threshold": 0.6})
    sent, order = [], orders.after(0, ())
    while order is not None:
        sent.append(order.request.WhichOneof("message"))
        order = orders.after(order.number, ())
    assert sent == ["update", "finalize", "update"]


def test_updates_at_one_position_become_one_when_the_finalize_between_them_is_answered() -> None:
    orders = Orders(HEARING)
    for number in range(2 * MOST_ORDERS):
        orders.update(100, {"vad_threshold": number / 2 / MOST_ORDERS})
        assert orders.answered(orders.finalize(100))
    assert not orders.full
    assert orders.in_force(100)[1] == Hearing(1 - 1 / 2 / MOST_ORDERS, (160, 640))


def test_what_one_session_orders_is_bounded_in_number_and_in_bytes() -> None:
    many, large = Orders(HEARING), Orders(HEARING)
    for at in range(MOST_ORDERS):
        assert not many.full
        many.finalize(at)
    assert many.full
    for at in range(60):
        large.update(at, {"keyterms": tuple("\u00e9" * 50 for _ in range(100)), "prompt": "\u00e9" * 1750})
    assert not large.full
    for at in range(60, 100):
        large.update(at, {"keyterms": tuple("\u00e9" * 50 for _ in range(100)), "prompt": "\u00e9" * 1750})
    assert large.full
    large.forget(50)
    assert not large.full


def test_audio_stops_at_an_order_and_at_the_credit() -> None:
    audio, orders = HeldAudio(ByteBudget(1 << 20)), Orders(HEARING)
    audio.append(bytes(2 * 1000))
    orders.finalize(1000)
    audio.append(bytes(2 * 4000))
    ready = pb.Ready(preferred_chunk_ms=100, send_through_sample=3000)
    pacer = Pacer(audio, orders, first_sample=0, folded=(), ready=ready)
    sent = []
    while (request := pacer.next()) is not None:
        sent.append((request.WhichOneof("message"), pacer.sent))
    assert sent == [("audio", 1000), ("finalize", 1000), ("audio", 2600), ("audio", 3000)]
    pacer.renew(2000)
    assert pacer.next() is None
    pacer.renew(9000)
    assert pacer.next() is not None


def test_held_audio_is_counted_and_given_back() -> None:
    budget = ByteBudget(4 * SECOND)
    one, two = HeldAudio(budget), HeldAudio(budget)
    one.append(bytes(2 * SECOND))
    two.append(bytes(2 * SECOND))
    assert budget.spent
    one.forget(100)  # too little to be worth it
    assert budget.used == 4 * SECOND
    one.forget(SECOND)
    assert (one.begin, one.end, budget.used) == (SECOND, SECOND, 2 * SECOND)
    two.release()
    assert budget.used == 0
    with pytest.raises(ValueError, match="held"):
        two.slice(0, 10)
    with pytest.raises(ValueError, match="16-bit"):
        two.append(b"odd")
