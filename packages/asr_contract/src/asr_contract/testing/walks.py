"""The ten walks of the contract, message by message; docs/contract.md tells them in words.

A walk is what passes on the wire in one session, as its gateway sees it, over as many streams as it takes, and the
segments with words that come of it. Frames of voice activity are 32 ms long.
"""

from dataclasses import dataclass

from asr_contract.testing.steps import (
    End,
    HalfClose,
    Step,
    audio,
    cap,
    checkpoint,
    end_segment,
    finalize,
    finalized,
    go_on,
    hear,
    opened,
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

U3_CHECKPOINTS_MS = (320, 1280)


@dataclass(frozen=True, slots=True)
class Walk:
    """The streams of one session, and the text of its segments that have any, in order."""

    streams: tuple[tuple[Step, ...], ...]
    segments: tuple[str, ...]


GOOD, MORNING = word("Good", 500, 800, 0), word("morning.", 850, 1280, 1)

# "Good morning.", a checkpoint too early to tell, one that ends the turn; then the client terminates.
NORMAL_TURN = Walk(
    streams=(
        steps(
            opened(),
            ready(),
            audio(0, 1000),
            started(480),
            progress(992),
            audio(1000, 2000),
            words(1200, final=[GOOD], tentative=[word("mor", 850, 1100)]),
            stopped(1312),
            checkpoint(1, 1504, 160, said=[MORNING], eot_score=0.2),
            audio(2000, 2500),
            go_on(1),
            checkpoint(2, 1728, 400, eot_score=0.9),
            end_segment(2),
            progress(2496),
            finalize(1, 2500),
            finalized(1, 2500, segment=1),
            HalfClose(),
            End(),
        ),
    ),
    segments=("Good morning.",),
)

# The client forces an end while the speculative checkpoint waits: it is answered, once, before the Finalized comes.
SPECULATION_THEN_FORCED_END = Walk(
    streams=(
        steps(
            opened(),
            ready(),
            audio(0, 1600),
            started(480),
            progress(992),
            stopped(1312),
            checkpoint(1, 1504, 160, said=[GOOD, MORNING], eot_score=0.2),
            finalize(1, 1600),
            progress(1504),
            go_on(1),
            finalized(1, 1600),
            audio(1600, 2000),
            progress(1984),
            HalfClose(),
            End(),
        ),
    ),
    segments=("Good morning.",),
)

# The end falls into "morning": its first half belongs to the closed segment, speech goes on from there.
FORCED_END_IN_MID_WORD = Walk(
    streams=(
        steps(
            opened(),
            ready(),
            audio(0, 1000),
            started(480),
            finalize(1, 1000),
            finalized(1, 1000, said=[GOOD, word("mor-", 850, 1000, 1)]),
            started(1000),
            audio(1000, 2000),
            stopped(1312),
            checkpoint(1, 1504, 160, segment=1, said=[word("ning", 1000, 1280, 2)]),
            audio(2000, 2700),
            go_on(1),
            finalize(2, 2700),
            checkpoint(2, 1728, 400, segment=1),
            end_segment(2),
            finalized(2, 2700, segment=2),
            HalfClose(),
            End(),
        ),
    ),
    segments=("Good mor-", "ning"),
)

# Six seconds arrive at once and the client terminates: everything is heard, the checkpoints on the way are asked.
TERMINATE_WITH_BACKLOG = Walk(
    streams=(
        steps(
            opened(),
            ready(),
            audio(0, 2000),
            finalize(1, 6000),
            started(480),
            progress(992),
            audio(2000, 2992),
            stopped(1312),
            checkpoint(1, 1504, 160, said=[GOOD, MORNING]),
            go_on(1),
            audio(2992, 3504),
            checkpoint(2, 1728, 400, eot_score=0.9),
            end_segment(2),
            audio(3504, 3728),
            progress(2720),
            audio(3728, 4720),
            progress(3712),
            audio(4720, 5712),
            started(4000),
            progress(4704),
            audio(5712, 6000),
            words(5600, segment=1, final=[word("Bye", 4100, 4500, 2)]),
            progress(5696),
            finalized(1, 6000, segment=1, said=[word("now.", 5700, 6000, 3)]),
            HalfClose(),
            End(),
        ),
    ),
    segments=("Good morning.", "Bye now."),
)

# While the checkpoint of 400 ms waits, the client shortens the longest silence to 500 ms, at 2000 ms of audio. What
# lies before that sample is judged by the old configuration; there, the silence of 688 ms has passed the new one.
UPDATE_DURING_A_CHECKPOINT = Walk(
    streams=(
        steps(
            opened(),
            ready(),
            audio(0, 2000),
            started(480),
            progress(992),
            stopped(1312),
            checkpoint(1, 1504, 160, said=[GOOD, MORNING]),
            go_on(1),
            checkpoint(2, 1728, 400),
            update(2000, checkpoints_ms=[160, 500]),
            progress(1728),
            go_on(2),
            checkpoint(3, 1952, 640),
            go_on(3),
            checkpoint(4, 2000, 500),
            audio(2000, 2500),
            end_segment(4),
            progress(2496),
            HalfClose(),
            End(),
        ),
    ),
    segments=("Good morning.",),
)

# The recogniser dies with a Finalize on its way: the next one gets the audio after the last final word, less the left
# context (here: all of it), and the Finalize again.
DEATH_BEFORE_FINALIZED = Walk(
    streams=(
        steps(
            opened(),
            ready(),
            audio(0, 1000),
            started(480),
            progress(992),
            audio(1000, 1600),
            words(1200, final=[GOOD], tentative=[word("mor", 850, 1100)]),
            finalize(1, 1600),
            End("UNAVAILABLE"),
        ),
        steps(
            resumed(first=0, emit_after=1200, segment_start=0, next_word_index=1, final_words=[GOOD]),
            ready(),
            audio(0, 1600),
            finalize(1, 1600),
            progress(992),
            stopped(1312),
            checkpoint(1, 1504, 160, said=[MORNING]),
            go_on(1),
            finalized(1, 1600),
            HalfClose(),
            End(),
        ),
    ),
    segments=("Good morning.",),
)

# The normal turn at four times its speed, as far as credit goes: the same words.
BURST_AT_4X = Walk(
    streams=(
        steps(
            opened(),
            ready(),
            audio(0, 2000),
            started(480),
            progress(992),
            audio(2000, 2500),
            words(1200, final=[GOOD], tentative=[word("mor", 850, 1100)]),
            stopped(1312),
            finalize(1, 2500),
            checkpoint(1, 1504, 160, said=[MORNING], eot_score=0.2),
            go_on(1),
            checkpoint(2, 1728, 400, eot_score=0.9),
            end_segment(2),
            finalized(1, 2500, segment=1),
            HalfClose(),
            End(),
        ),
    ),
    segments=NORMAL_TURN.segments,
)

# A Universal-3 segment is heard anew from its start: nothing of it was final.
RESUME_OF_A_REPLACING_MODEL = Walk(
    streams=(
        steps(
            opened(route="u3-pro", checkpoints_ms=U3_CHECKPOINTS_MS),
            ready(replacing=True),
            audio(0, 2000),
            started(1200),
            progress(1984),
            audio(2000, 3000),
            words(2400, tentative=[word("Good", 1250, 1500)]),
            End("UNAVAILABLE"),
        ),
        steps(
            resumed(first=700, emit_after=2400, segment_start=700, route="u3-pro", checkpoints_ms=U3_CHECKPOINTS_MS),
            ready(700, replacing=True),
            audio(700, 2700),
            progress(1696),
            audio(2700, 3600),
            words(2800, tentative=[word("Good", 1250, 1500), word("evening", 1550, 2600)]),
            stopped(2624),
            checkpoint(1, 2944, 320, said=[word("Good", 1250, 1500), word("evening,", 1550, 2600)]),
            go_on(1),
            audio(3600, 4600),
            progress(3584),
            checkpoint(2, 3904, 1280, said=[word("Good", 1250, 1500), word("evening.", 1550, 2600)]),
            end_segment(2),
            HalfClose(),
            End(),
        ),
    ),
    segments=("Good evening.",),
)

# Somebody reads a book: after 60 s the segment ends in mid-speech and the next begins there.
_BOOK = [word(f"word{n}", 1000 + n * 1000, 1900 + n * 1000, n) for n in range(60)]
SIXTY_SECOND_CAP = Walk(
    streams=(
        steps(
            opened(),
            ready(),
            hear(0, 1000),
            audio(1000, 2000),
            started(1000),
            progress(2000),
            *[
                (*hear(at, at + 1000), words(at + 1000, final=[_BOOK[at // 1000 - 2]]))
                for at in range(2000, 60_000, 1000)
            ],
            audio(60_000, 61_000),
            cap(1, 60_500, said=[_BOOK[58], word("wo-", 60_000, 60_500, 59)]),
            end_segment(1),
            started(60_500),
            progress(60_992),
            finalize(1, 61_000),
            finalized(1, 61_000, segment=1, said=[word("rd59", 60_500, 60_900, 60)]),
            HalfClose(),
            End(),
        ),
    ),
    segments=(" ".join([*(f"word{n}" for n in range(59)), "wo-"]), "rd59"),
)

# Voice activity hears a voice in it, the model no word: segments end at the cap, and make no turn.
MUSIC_THAT_NEVER_STOPS = Walk(
    streams=(
        steps(
            opened(),
            ready(),
            audio(0, 1000),
            started(32),
            progress(992),
            hear(1000, 60_000),
            audio(60_000, 61_000),
            cap(1, 60_000),
            end_segment(1),
            started(60_000),
            progress(60_992),
            hear(61_000, 120_000),
            cap(2, 120_000, segment=1),
            end_segment(2),
            started(120_000),
            finalize(1, 120_000),
            finalized(1, 120_000, segment=2),
            HalfClose(),
            End(),
        ),
    ),
    segments=(),
)

WALKS = {
    "normal turn": NORMAL_TURN,
    "speculative check, then forced end": SPECULATION_THEN_FORCED_END,
    "forced end in mid-word": FORCED_END_IN_MID_WORD,
    "terminate with backlog": TERMINATE_WITH_BACKLOG,
    "update of a threshold during an open checkpoint": UPDATE_DURING_A_CHECKPOINT,
    "death while waiting for Finalized": DEATH_BEFORE_FINALIZED,
    "burst at 4x": BURST_AT_4X,
    "RESUME of a replacing model": RESUME_OF_A_REPLACING_MODEL,
    "the 60 s cap": SIXTY_SECOND_CAP,
    "music that never stops": MUSIC_THAT_NEVER_STOPS,
}
