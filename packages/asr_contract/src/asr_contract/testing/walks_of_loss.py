"""The walks over more than one stream: a recogniser dies, the next resumes."""

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
    resumed,
    started,
    steps,
    stopped,
    word,
    words,
)
from asr_contract.testing.walk import GOOD, MORNING, Walk

U3_CHECKPOINTS_MS = (320, 1280)

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
