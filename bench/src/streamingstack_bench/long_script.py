"""Scripts of minutes: what a scripted recogniser says in soaks, told from a seed so that both ends know it. Pure.

People's speech as far as a recogniser's bookkeeping sees it: words come again, sometimes at once; pauses end turns or
do not; now and then somebody talks for long.
"""

from itertools import pairwise
from random import Random

from streamingstack_bench.scripted import Script, ScriptWord

# fmt: off
WORDS = (
    "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india",
    "juliet", "kilo", "lima", "mike", "november", "oscar", "papa", "quebec", "romeo",
    "sierra", "tango", "uniform", "victor", "whiskey", "xray", "yankee", "zulu", "amber",
    "birch", "cedar", "dahlia", "ember", "fennel", "ginger", "hazel", "iris", "juniper",
)
# fmt: on
_SAID_TWICE = 0.04
_ENDS_TURN_MS = (1500, 2200)  # more than any preset's longest silence
_HESITATES_MS = (450, 900)


def long_script(seconds: float, *, seed: int = 1) -> Script:
    """Words for `seconds` of audio; none begins in the last three seconds, so that the last turn ends by silence."""
    random = Random(seed)  # noqa: S311 - a script, not a secret
    words: list[ScriptWord] = []
    at = 600
    while True:
        for _ in range(random.choice((3, 4, 5, 6, 7, 8, 9, 12, 30))):
            text = words[-1].text if words and random.random() < _SAID_TWICE else random.choice(WORDS)
            length = random.randrange(180, 420, 20)
            if at + length > 1000 * seconds - 3000:
                return Script(words)
            words.append(ScriptWord(text, at, at + length))
            at += length + random.randrange(40, 100, 10)
        at += random.randrange(*(_ENDS_TURN_MS if random.random() < 0.7 else _HESITATES_MS), 20)


def quiet_end(script: Script, seconds: float) -> float:
    """The last moment, in seconds, up to `seconds` at which a turn has just ended by silence; 0 where there is none."""
    pauses = (
        before.end_ms + _ENDS_TURN_MS[0] - 100
        for before, after in pairwise(script.words)
        if after.start_ms - before.end_ms >= _ENDS_TURN_MS[0]
    )
    return max((end for end in pauses if end <= 1000 * seconds), default=0) / 1000
