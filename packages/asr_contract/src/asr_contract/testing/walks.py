"""The ten walks of the contract, message by message; docs/contract.md tells them in words.

A walk is what passes on the wire in one session, as its gateway sees it, over as many streams as it takes, and the
segments with words that come of it. Frames of voice activity are 32 ms long.
"""

from asr_contract.testing.steps import (
    End,
    HalfClose,
    audio,
    checkpoint,
    end_segment,
    finalize,
    finalized,
    go_on,
    opened,
    progress,
    ready,
    started,
    steps,
    stopped,
    update,
    word,
    words,
)
from asr_contract.testing.walk import GOOD, MORNING, Walk
from asr_contract.testing.walks_of_loss import DEATH_BEFORE_FINALIZED, RESUME_OF_A_REPLACING_MODEL
from asr_contract.testing.walks_to_the_cap import MUSIC_THAT_NEVER_STOPS, SIXTY_SECOND_CAP

__all__ = ["BURST_AT_4X", "NORMAL_TURN", "WALKS", "Walk"]


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
