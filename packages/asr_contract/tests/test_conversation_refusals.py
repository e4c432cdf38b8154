"""Every rule, broken once: the conversation before it is legal, the last step is refused with the rule's name."""

from dataclasses import dataclass

import pytest
from asr_contract.clock import ms_to_samples
from asr_contract.conversation import ContractError, Conversation
from asr_contract.testing.steps import (
    CHECKPOINTS_MS,
    Down,
    End,
    HalfClose,
    Step,
    Up,
    audio,
    cap,
    checkpoint,
    draining,
    end_segment,
    finalize,
    finalized,
    go_on,
    hear,
    opened,
    perform,
    ping,
    progress,
    ready,
    resumed,
    started,
    steps,
    stopped,
    update,
    word,
    words,
)
from streamingstack.asr.v1 import recognizer_pb2 as pb

BULK = {"traffic_class": pb.TRAFFIC_CLASS_BULK}
ONE, TWO = word("one", 500, 800, 0), word("two", 850, 1200, 1)

LIVE = steps(opened(), ready())
REPLACING = steps(opened(), ready(replacing=True))
SPEECH = steps(LIVE, audio(0, 2000), started(480))
SILENCE = steps(SPEECH, stopped(1312))
ASKED = steps(SILENCE, checkpoint(1, 1504, 160, said=[ONE, TWO]))
LAST_ASKED = steps(
    opened(checkpoints_ms=[160]), ready(), audio(0, 2000), started(480), stopped(1312), checkpoint(1, 1504, 160)
)
CAP_ASKED = steps(opened(segment_cap_samples=16_000), ready(), audio(0, 1500), started(480), cap(1, 1000))
REPLACING_SPEECH = steps(REPLACING, audio(0, 2000), started(480))
CLOSED = steps(LIVE, audio(0, 1500), started(1000), finalize(1, 1500), finalized(1, 1500))
RESUMED = steps(
    resumed(first=0, emit_after=1000, segment_start=0, next_word_index=1, final_words=[ONE]), ready(), audio(0, 2000)
)


def raw_audio(first: int, size: int) -> Up:
    return Up(pb.RecognizeRequest(audio=pb.Audio(first_sample=first, pcm=bytes(size))))


def raw_progress(processed: int, credit: int, share: float = 0.5) -> Down:
    fields = pb.Progress(processed_through_sample=processed, send_through_sample=credit, max_speech_probability=share)
    return Down(pb.RecognizeResponse(progress=fields))


def raw_ready(credit: int, *, capacity: int = 1, chunk_ms: int = 100) -> Down:
    fields = pb.Ready(capacity=capacity, preferred_chunk_ms=chunk_ms, send_through_sample=credit)
    return Down(pb.RecognizeResponse(ready=fields))


def raw_answer(number: int, decision: pb.Decision) -> Up:
    return Up(pb.RecognizeRequest(answer=pb.Answer(checkpoint_id=number, decision=decision)))


@dataclass(frozen=True)
class Breach:
    """A legal beginning, the step that breaks `rule`, and words of the error."""

    rule: int | str
    before: tuple[Step, ...]
    step: Step
    says: str


ORDER = {
    "audio before Open": Breach("order", (), audio(0, 100)[0], "must be Open"),
    "Ping before Open": Breach("order", (), ping(), "must be Open"),
    "Ready before Open": Breach("order", (), ready(), "before Open"),
    "Open twice": Breach("order", LIVE, opened(), "Open twice"),
    "Ready twice": Breach("order", LIVE, ready(), "Ready twice"),
    "Progress before Ready": Breach("order", steps(opened()), progress(0), "must be Ready"),
    "audio before Ready": Breach("order", steps(opened()), audio(0, 100)[0], "before Ready"),
    "Finalize before Ready": Breach("order", steps(opened()), finalize(1, 0), "before Ready"),
    "Update before Ready": Breach("order", steps(opened()), update(0), "before Ready"),
    "audio after the half-close": Breach("order", steps(LIVE, HalfClose()), audio(0, 100)[0], "after the half-close"),
    "half-close before Open": Breach("order", (), HalfClose(), "half-close"),
    "half-close twice": Breach("order", steps(LIVE, HalfClose()), HalfClose(), "half-close"),
    "OK without a half-close": Breach("order", LIVE, End(), "ended OK"),
    "words after the end": Breach("order", steps(SPEECH, End("UNAVAILABLE")), words(1600), "after the end"),
    "audio after the end": Breach("order", steps(LIVE, End("UNAVAILABLE")), audio(0, 100)[0], "after the end"),
    "an empty request": Breach("fields", LIVE, Up(pb.RecognizeRequest()), "without content"),
    "an empty response": Breach("fields", LIVE, Down(pb.RecognizeResponse()), "without content"),
}

OPEN = {
    "no session_id": Breach("fields", (), opened(session_id=""), "Open.session_id"),
    "no route": Breach("fields", (), opened(route=""), "Open.route"),
    "no reason": Breach("fields", (), opened(reason=pb.REASON_UNSPECIFIED), "Open.reason"),
    "no traffic class": Breach("fields", (), opened(traffic_class=0), "Open.traffic_class"),
    "no cap": Breach("fields", (), opened(segment_cap_samples=0), "segment_cap_samples"),
    "a threshold of 1.5": Breach("fields", (), opened(vad_threshold=1.5), "vad_threshold"),
    "a threshold that is no number": Breach("fields", (), opened(vad_threshold=float("nan")), "vad_threshold"),
    "a long prompt": Breach("fields", (), opened(prompt="x" * 1751), "1751 characters"),
    "many keyterms": Breach("fields", (), opened(keyterms=["x"] * 101), "101 keyterms"),
    "a long keyterm": Breach("fields", (), opened(keyterms=["x" * 51]), "51 characters"),
    "no checkpoints": Breach(3, (), opened(checkpoints_ms=[]), "must not be empty"),
    "checkpoints out of order": Breach(3, (), opened(checkpoints_ms=[400, 160]), "sorted"),
    "a checkpoint twice": Breach(3, (), opened(checkpoints_ms=[160, 160]), "distinct"),
    "a checkpoint of no silence": Breach(3, (), opened(checkpoints_ms=[0, 160]), "greater than 0"),
    "BULK with checkpoints": Breach(14, (), opened(**BULK), "empty for BULK"),
    "NEW with an epoch": Breach(10, (), opened(epoch=1), "Open.epoch"),
    "NEW in the middle of the audio": Breach(10, (), opened(first_sample=16_000), "Open.first_sample"),
    "NEW with final words": Breach(10, (), opened(final_words=[ONE]), "Open.final_words"),
    "NEW in a later segment": Breach(10, (), opened(segment=3), "Open.segment"),
    "NEW with closed words": Breach(10, (), opened(closed_words=[ONE]), "Open.closed_words"),
    "RESUME with a closed word of the open segment": Breach(
        10, (), resumed(first=0, emit_after=900, segment_start=0, closed_words=[TWO]), "Open.closed_words"
    ),
    "RESUME in epoch 0": Breach(10, (), resumed(first=0, emit_after=0, epoch=0), "Open.epoch"),
    "RESUME with words but no segment": Breach(
        10, (), resumed(first=0, emit_after=0, final_words=[ONE], next_word_index=1), "without an open segment"
    ),
    "RESUME of a segment that starts before the last end": Breach(
        10, (), resumed(first=0, emit_after=0, segment_start=500, floor=600), "before segment_floor"
    ),
    "RESUME that leaves out audio after the last final word": Breach(
        10,
        (),
        resumed(first=900, emit_after=2000, segment_start=0, final_words=[ONE], next_word_index=1),
        "leaves out 1600 samples",
    ),
    "RESUME that leaves out the start of the segment": Breach(
        10, (), resumed(first=900, emit_after=2000, segment_start=800), "leaves out 1600 samples"
    ),
    "RESUME with words that are not the last": Breach(
        10,
        steps(resumed(first=0, emit_after=900, segment_start=0, final_words=[ONE, TWO], next_word_index=3)),
        ready(),
        "Open.final_words",
    ),
    "RESUME with more words than there were": Breach(
        10,
        steps(resumed(first=0, emit_after=900, segment_start=0, final_words=[ONE, TWO], next_word_index=1)),
        ready(),
        "next_word_index",
    ),
    "RESUME of a replacing model after its segment's start": Breach(
        10,
        steps(resumed(first=700, emit_after=900, segment_start=0, final_words=[word("a", 0, 800)])),
        ready(700, replacing=True),
        "start of the open segment",
    ),
    "RESUME of a replacing model with final words": Breach(
        10,
        steps(resumed(first=0, emit_after=900, segment_start=0, final_words=[ONE], next_word_index=1)),
        ready(replacing=True),
        "replacing model",
    ),
}

AUDIO_AND_CREDIT = {
    "a gap in the audio": Breach(1, SPEECH, audio(2100, 2200)[0], "first_sample"),
    "audio sent again": Breach(1, SPEECH, audio(1900, 2000)[0], "first_sample"),
    "audio through no sample": Breach("fields", LIVE, raw_audio(0, 0), "0 bytes"),
    "half a sample": Breach("fields", LIVE, raw_audio(0, 641), "641 bytes"),
    "more than a second": Breach("fields", LIVE, raw_audio(0, 32_002), "32002 bytes"),
    "audio beyond the credit": Breach(2, SPEECH, raw_audio(32_000, 2), "exceeds the credit"),
    "credit that goes back": Breach(2, SPEECH, raw_progress(16_000, 31_000), "went back"),
    "credit of more than 2 s": Breach(2, SPEECH, raw_progress(16_000, 48_001), "more than 2 s"),
    "credit of more than 2 s at first": Breach(2, steps(opened()), raw_ready(32_001), "more than 2 s"),
    "credit of less than 1 s at first": Breach(2, steps(opened()), raw_ready(15_999), "half of it"),
    "half of the credit used and not renewed": Breach(2, SPEECH, raw_progress(16_001, 32_000), "half of it"),
    "Progress that goes back": Breach(2, steps(SPEECH, progress(1000)), progress(900), "went back"),
    "Progress beyond the audio": Breach(1, SPEECH, raw_progress(32_001, 64_000), "beyond the audio"),
    "a checkpoint without new credit": Breach(
        2, SILENCE, checkpoint(1, 1504, 160, send_through_sample=32_000), "half of it"
    ),
    "no capacity": Breach("fields", steps(opened()), raw_ready(32_000, capacity=0), "capacity"),
    "chunks of 2 s": Breach("fields", steps(opened()), raw_ready(32_000, chunk_ms=2000), "preferred_chunk"),
    "a share of 2": Breach("fields", SPEECH, raw_progress(0, 32_000, share=2.0), "max_speech_probability"),
}

ORDERS = {
    "an Update for audio already sent": Breach(1, SPEECH, update(1999), "Update.at_sample"),
    "a Finalize for audio already sent": Breach(1, SPEECH, finalize(1, 1999), "Finalize.at_sample"),
    "a Finalize before an earlier one": Breach(1, steps(LIVE, finalize(1, 900)), finalize(2, 800), "earlier order"),
    "a Finalize before an Update": Breach(1, steps(LIVE, update(900)), finalize(1, 800), "earlier order"),
    "a Finalize that starts at 2": Breach(1, LIVE, finalize(2, 100), "expected 1"),
    "a Finalize that starts at 0": Breach(1, LIVE, finalize(0, 100), "expected 1"),
    "a Finalize that starts at 0 after RESUME": Breach(1, RESUMED, finalize(0, 2000), "expected 1"),
    "a Finalize's id again": Breach(1, steps(LIVE, finalize(1, 900)), finalize(1, 900), "expected 2"),
    "a Finalize's id left out after RESUME": Breach(
        1, steps(RESUMED, finalize(5, 2000)), finalize(7, 2000), "expected 6"
    ),
    "an Update with checkpoints out of order": Breach(3, LIVE, update(0, checkpoints_ms=[400, 160]), "sorted"),
    "an Update to no checkpoints": Breach(3, LIVE, update(0, checkpoints_ms=[]), "empty"),
    "an Update to a threshold of 2": Breach("fields", LIVE, update(0, vad_threshold=2.0), "vad_threshold"),
    "an Update with a long prompt": Breach("fields", LIVE, update(0, prompt="x" * 1751), "1751 characters"),
    "an Update with a long keyterm": Breach(
        "fields", LIVE, update(0, keyterms=pb.Keyterms(terms=["x" * 51])), "51 characters"
    ),
    "Finalized that nobody asked for": Breach(4, SPEECH, finalized(1, 1000), "without a Finalize"),
    "Finalized twice": Breach(4, CLOSED, finalized(1, 1500, segment=1), "without a Finalize"),
    "Finalized out of turn": Breach(
        4, steps(LIVE, finalize(1, 0), finalize(2, 0)), finalized(2, 0), "Finalize 1 is next"
    ),
    "Finalized elsewhere": Breach(4, steps(SPEECH, finalize(1, 2000)), finalized(1, 1900), "expected 32000"),
    "words beyond a Finalize": Breach(
        1, steps(LIVE, audio(0, 900), started(480), finalize(1, 900), audio(900, 2000)), words(1200), "Finalized 1"
    ),
    "OK with a Finalize unanswered": Breach(
        4, steps(SPEECH, finalize(1, 2000), HalfClose()), End(), "Finalize [1] unanswered"
    ),
}

CHECKPOINTS = {
    "an answer to nothing": Breach(3, SILENCE, go_on(1), "none waits"),
    "an answer to another checkpoint": Breach(3, ASKED, go_on(2), "checkpoint 1 waits"),
    "a checkpoint answered twice": Breach(3, steps(ASKED, go_on(1)), go_on(1), "none waits"),
    "an answer without a decision": Breach("fields", ASKED, raw_answer(1, pb.DECISION_UNSPECIFIED), "decision"),
    "the last checkpoint answered CONTINUE": Breach(3, LAST_ASKED, go_on(1), "last checkpoint"),
    "CAP answered CONTINUE": Breach(4, CAP_ASKED, go_on(1), "CAP"),
    "words while a checkpoint waits": Breach(3, ASKED, words(1600), "waits for its answer"),
    "speech while a checkpoint waits": Breach(3, ASKED, started(1600), "waits for its answer"),
    "a checkpoint while a checkpoint waits": Breach(3, ASKED, checkpoint(2, 1728, 400), "waits for its answer"),
    "Finalized while a checkpoint waits": Breach(
        3, steps(ASKED, finalize(1, 2000)), finalized(1, 2000), "waits for its answer"
    ),
    "audio processed while a checkpoint waits": Breach(3, ASKED, progress(1600), "processed through"),
    "a checkpoint's number left out": Breach(3, SILENCE, checkpoint(2, 1504, 160), "expected 1"),
    "a checkpoint's number again": Breach(3, steps(ASKED, go_on(1)), checkpoint(1, 1728, 400), "expected 2"),
    "a silence that is not configured": Breach(3, SILENCE, checkpoint(1, 1504, 100), "not among the configured"),
    "a silence that is no longer configured": Breach(
        3,
        steps(LIVE, audio(0, 1400), started(480), stopped(960), update(1400, checkpoints_ms=[300]), audio(1400, 2000)),
        checkpoint(1, 1472, 400),
        "not among the configured",
    ),
    "a silence before it is reached": Breach(3, SILENCE, checkpoint(1, 1400, 160), "after 88 ms"),
    "a silence twice": Breach(3, steps(ASKED, go_on(1)), checkpoint(2, 1600, 160), "twice in one silence"),
    "a silence in speech": Breach(3, SPEECH, checkpoint(1, 1504, 160), "in speech"),
    "a checkpoint for no reason": Breach(3, SILENCE, checkpoint(1, 1504, 160, reason=0), "Checkpoint.reason"),
    "a checkpoint with no segment open": Breach(
        4, steps(LIVE, audio(0, 1000)), checkpoint(1, 900, 160), "no segment open"
    ),
    "a checkpoint passed by": Breach(3, SILENCE, progress(1600), "no checkpoint by"),
    "a checkpoint passed by with words": Breach(3, SILENCE, words(1600), "no checkpoint by"),
    "the cap before its time": Breach(4, SPEECH, cap(1, 1600), "before the cap"),
    "the cap with silence in speech": Breach(
        3,
        steps(opened(segment_cap_samples=16_000), ready(), audio(0, 1500), started(480)),
        cap(1, 1000, silence_ms=160),
        "silence_ms 0",
    ),
    "the cap passed by": Breach(
        4,
        steps(opened(segment_cap_samples=16_000), ready(), audio(0, 1500), started(480)),
        progress(1200),
        "no CAP",
    ),
    "a checkpoint in BULK": Breach(
        14,
        steps(opened(checkpoints_ms=[], **BULK), ready(), audio(0, 2000), started(480), stopped(1312)),
        checkpoint(1, 1504, 160),
        "BULK",
    ),
    "a score of 2": Breach("fields", SILENCE, checkpoint(1, 1504, 160, eot_score=2.0), "eot_score"),
    "a language of confidence 2": Breach(
        "fields", SILENCE, checkpoint(1, 1504, 160, language_confidence=2.0), "language_confidence"
    ),
}

SEGMENTS = {
    "words with no segment open": Breach(4, steps(LIVE, audio(0, 1000)), words(800), "no segment open"),
    "words of a closed segment": Breach(4, CLOSED, words(1500), "Words.segment is 0"),
    "words of a segment to come": Breach(4, SPEECH, words(800, segment=1), "Words.segment is 1"),
    "a checkpoint of another segment": Breach(4, SILENCE, checkpoint(1, 1504, 160, segment=1), "Checkpoint.segment"),
    "Finalized of another segment": Breach(
        4, steps(SPEECH, finalize(1, 2000)), finalized(1, 2000, segment=1), "Finalized.segment"
    ),
    "Finalized with words but no speech": Breach(
        4, steps(LIVE, audio(0, 1000), finalize(1, 1000)), finalized(1, 1000, said=[ONE]), "no segment open"
    ),
    "speech that starts twice": Breach(4, SPEECH, started(900), "twice"),
    "speech that stops twice": Breach(4, SILENCE, stopped(1400), "without a SpeechStarted"),
    "speech that stops unstarted": Breach(4, steps(LIVE, audio(0, 1000)), stopped(900), "without a SpeechStarted"),
    "speech over an end that starts later": Breach(
        4, steps(CLOSED, audio(1500, 2000)), started(1600), "went on over the end"
    ),
    "speech over an end that only stops": Breach(4, steps(CLOSED, audio(1500, 2000)), stopped(1600), "went on"),
    "words over an end before its SpeechStarted": Breach(
        4, steps(CLOSED, audio(1500, 2000)), words(1600, segment=1), "before the SpeechStarted"
    ),
    "voice activity that goes back": Breach(1, SPEECH, stopped(400), "went back"),
    "voice activity in the closed segment": Breach(
        4,
        steps(LIVE, audio(0, 1500), started(480), stopped(960), finalize(1, 1500), finalized(1, 1500)),
        started(1400),
        "before the end of the last segment",
    ),
    "speech beyond the audio": Breach(1, SILENCE, started(2001), "beyond the audio"),
    "a confidence of 2": Breach(
        "fields",
        steps(LIVE, audio(0, 100)),
        Down(pb.RecognizeResponse(speech_started=pb.SpeechStarted(at_sample=0, confidence=2.0))),
        "confidence",
    ),
}

WORDS = {
    "words that go back": Breach(1, steps(SPEECH, words(1200)), words(800), "after an event at"),
    "words beyond the audio": Breach(1, SPEECH, words(2001), "beyond the audio"),
    "an index left out": Breach(5, SPEECH, words(1200, final=[word("a", 500, 600, 1)]), "expected 0"),
    "an index again": Breach(
        5, steps(SPEECH, words(1200, final=[ONE])), words(1600, final=[word("b", 850, 900)]), "expected 1"
    ),
    "an index left out at a checkpoint": Breach(
        5, SILENCE, checkpoint(1, 1504, 160, said=[word("a", 500, 600, 1)]), "expected 0"
    ),
    "an index again in Finalized": Breach(
        5,
        steps(SPEECH, words(1200, final=[ONE]), finalize(1, 2000)),
        finalized(1, 2000, said=[word("b", 850, 900)]),
        "expected 1",
    ),
    "a tentative word with an index": Breach(5, SPEECH, words(1200, tentative=[TWO]), "expected 0"),
    "a final word that overlaps the last": Breach(
        5, steps(SPEECH, words(1200, final=[ONE])), words(1600, final=[word("b", 700, 900, 1)]), "before 12800"
    ),
    "a tentative word that overlaps the final": Breach(
        5, SPEECH, words(1200, final=[ONE], tentative=[word("b", 700, 900)]), "before 12800"
    ),
    "a word that ends before it starts": Breach(
        5, SPEECH, words(1200, final=[word("a", 600, 500)]), "before its start"
    ),
    "a word before its segment": Breach(
        5,
        steps(LIVE, audio(0, 2000), started(1000)),
        words(1600, final=[word("a", 400, 600)]),
        "starts at 6400, before 8000",
    ),
    "a word of the closed segment": Breach(
        5,
        steps(CLOSED, started(1500), audio(1500, 2000)),
        words(2000, segment=1, final=[word("a", 1400, 1600)]),
        "before 24000",
    ),
    "a word beyond what was heard": Breach(5, SPEECH, words(1200, final=[word("a", 1000, 1300)]), "after 19200"),
    "a word beyond its checkpoint": Breach(
        5, SILENCE, checkpoint(1, 1504, 160, said=[word("a", 1000, 1600)]), "after 24064"
    ),
    "a word without text": Breach("fields", SPEECH, words(1200, final=[word("", 500, 600)]), "empty or padded"),
    "a word of confidence 2": Breach(
        "fields", SPEECH, words(1200, tentative=[pb.Word(text="a", start_sample=9000, confidence=2.0)]), "confidence"
    ),
    "words of score 2": Breach(
        "fields", SPEECH, Down(pb.RecognizeResponse(words=pb.Words(through_sample=9000, eot_score=2.0))), "eot_score"
    ),
    "a word with a space": Breach("fields", SPEECH, words(1200, final=[word(" a", 500, 600)]), "empty or padded"),
    "a replacing model with final words": Breach(5, REPLACING_SPEECH, words(1200, final=[ONE]), "replacing"),
    "a replacing model that counts": Breach(
        5,
        steps(REPLACING_SPEECH, stopped(1312)),
        checkpoint(1, 1504, 160, said=[ONE, TWO]),
        "word 1 has index 1, expected 0",
    ),
}

RESUME = {
    "words of the context": Breach(10, RESUMED, words(1000, final=[]), "emit_after_sample"),
    "speech of the context": Breach(10, RESUMED, started(600), "emit_after_sample"),
    "a checkpoint of the context": Breach(10, RESUMED, checkpoint(1, 1000, 160), "emit_after_sample"),
    "a word that was final before": Breach(
        5, RESUMED, words(1200, final=[word("one", 500, 800, 1)]), "starts at 8000, before 12800"
    ),
    "an index that was given before": Breach(5, RESUMED, words(1200, final=[word("two", 850, 1100, 0)]), "expected 1"),
}

BREACHES = {
    name: breach
    for table in (ORDER, OPEN, AUDIO_AND_CREDIT, ORDERS, CHECKPOINTS, SEGMENTS, WORDS, RESUME)
    for name, breach in table.items()
}


@pytest.mark.parametrize("breach", BREACHES.values(), ids=BREACHES.keys())
def test_a_broken_rule_is_refused_by_its_name(breach: Breach) -> None:
    conversation = perform(Conversation(), breach.before)
    with pytest.raises(ContractError) as refused:
        perform(conversation, [breach.step])
    assert (refused.value.rule, breach.says in refused.value.text) == (breach.rule, True), str(refused.value)


def test_every_breach_has_a_name_of_its_own() -> None:
    assert len(BREACHES) == sum(
        len(table) for table in (ORDER, OPEN, AUDIO_AND_CREDIT, ORDERS, CHECKPOINTS, SEGMENTS, WORDS, RESUME)
    )


LEGAL = {
    "a Ping before Ready": steps(opened(), ping()),
    "a Ping at any time": steps(ASKED, ping()),
    "Draining at any time": steps(ASKED, draining(), go_on(1), draining()),
    "Progress while a checkpoint waits": steps(ASKED, progress(1472, credit=3504), progress(1504)),
    "audio, orders and Updates while a checkpoint waits": steps(
        ASKED, finalize(1, 2000), update(2500), audio(2000, 3000), end_segment(1), finalized(1, 2000, segment=1)
    ),
    "a Finalize at the start": steps(LIVE, finalize(1, 0), finalized(1, 0)),
    "two Finalizes at one sample in speech": steps(
        SPEECH, finalize(1, 2000), finalize(2, 2000), finalized(1, 2000), finalized(2, 2000, segment=1), started(2000)
    ),
    "a Finalize at the end of a segment, again": steps(CLOSED, finalize(2, 1500), finalized(2, 1500, segment=1)),
    "speech that stops exactly where it was cut": steps(CLOSED, stopped(1500)),
    "voice activity reported after words through its frame": steps(SPEECH, words(1200), stopped(1184)),
    "an Update at the very sample of a checkpoint, not yet heard of there": steps(
        LIVE,
        audio(0, 1504),
        started(480),
        stopped(1312),
        update(1504, checkpoints_ms=[800]),
        checkpoint(1, 1504, 160),
        go_on(1),
    ),
    "an Update at the very sample of a checkpoint, in force": steps(
        LIVE,
        audio(0, 1504),
        started(480),
        stopped(1312),
        update(1504, checkpoints_ms=[190]),
        checkpoint(1, 1504, 190),
        end_segment(1),
    ),
    "a longer silence asked first, after an Update": steps(
        LIVE,
        audio(0, 1700),
        started(480),
        stopped(960),
        checkpoint(1, 1120, 160),
        go_on(1),
        update(1700, checkpoints_ms=[300, 2000]),
        checkpoint(2, 1376, 400),
        go_on(2),
        checkpoint(3, 1600, 640),
        go_on(3),
        audio(1700, 2000),
        checkpoint(4, 1700, 300),
        go_on(4),
    ),
    "a silence asked again after speech": steps(
        ASKED, go_on(1), started(1600), stopped(1760), checkpoint(2, 1984, 160), go_on(2)
    ),
    "a half-close while a checkpoint waits": steps(ASKED, finalize(1, 2000), HalfClose(), End()),
    "a checkpoint after the half-close": steps(SILENCE, HalfClose(), checkpoint(1, 1504, 160), End()),
    "a Finalize whose audio never came": steps(LIVE, finalize(1, 5000), HalfClose(), End()),
    "BULK through and through": steps(
        opened(checkpoints_ms=[], segment_cap_samples=16_000, **BULK),
        ready(),
        audio(0, 2000),
        started(480),
        stopped(960),
        progress(2000),
        finalize(1, 2000),
        finalized(1, 2000, said=[ONE]),
    ),
    "a RESUME whose speech began in the context": steps(
        resumed(first=0, emit_after=1000), ready(), audio(0, 2000), words(1200, final=[word("a", 900, 1100)])
    ),
    "a RESUME that stops speech begun in the context": steps(
        resumed(first=0, emit_after=1000), ready(), audio(0, 2000), stopped(1312), checkpoint(1, 1504, 160), go_on(1)
    ),
    "a RESUME that answers a Finalize where the client has been already": steps(
        RESUMED[:-2], audio(0, 1000), finalize(3, 1000), finalized(3, 1000), started(1000)
    ),
    "a RESUME long after the last event": steps(
        resumed(first=60_000, emit_after=2000, floor=2000, segment=1), ready(60_000), hear(60_000, 61_000)
    ),
}


@pytest.mark.parametrize("conversation", LEGAL.values(), ids=LEGAL.keys())
def test_a_legal_corner_is_accepted(conversation: tuple[Step, ...]) -> None:
    perform(Conversation(), conversation)


def test_nothing_spoken_is_in_an_error() -> None:
    spoken = "heliotrope"
    said = [word(spoken, 500, 600, 7), word(spoken, 550, 590)]
    for step in (words(1200, final=said), words(1200, tentative=said), opened(prompt=spoken * 500)):
        with pytest.raises(ContractError) as refused:
            perform(Conversation(), steps(SPEECH if isinstance(step, Down) else (), step))
        assert spoken not in str(refused.value)


def test_an_update_changes_which_checkpoint_is_the_last() -> None:
    before = steps(LIVE, update(0, checkpoints_ms=[160, 2000]), audio(0, 2000), started(480), stopped(560))
    perform(Conversation(), steps(before, checkpoint(1, 736, 160), go_on(1)))
    assert CHECKPOINTS_MS[-1] < 2000
    only = steps(LIVE, update(0, checkpoints_ms=[160]), audio(0, 2000), started(480), stopped(560))
    with pytest.raises(ContractError, match="rule 3: the last checkpoint"):
        perform(Conversation(), steps(only, checkpoint(1, 736, 160), go_on(1)))


def test_a_segment_starts_half_a_second_before_its_speech() -> None:
    conversation = perform(Conversation(), steps(LIVE, audio(0, 2000), started(1000)))
    assert conversation.segments.start == ms_to_samples(500)


def test_a_segment_never_starts_before_the_end_of_the_last() -> None:
    conversation = perform(Conversation(), steps(CLOSED, started(1500)))
    assert (conversation.segments.number, conversation.segments.start) == (1, ms_to_samples(1500))


def test_a_resumed_stream_counts_on_from_the_words_of_its_open() -> None:
    conversation = perform(Conversation(), steps(RESUMED, words(1400, final=[TWO])))
    assert conversation.final_words == (ONE, TWO)
