"""The walks on which a segment reaches its cap."""

from asr_contract.testing.steps import (
    End,
    HalfClose,
    audio,
    cap,
    end_segment,
    finalize,
    finalized,
    hear,
    opened,
    progress,
    ready,
    started,
    steps,
    word,
    words,
)
from asr_contract.testing.walk import Walk

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
