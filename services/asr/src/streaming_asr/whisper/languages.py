"""Which language a window is decoded in, from what the model detects and what the session expects. Pure."""

import re
from collections.abc import Collection, Iterable, Sequence

# An expected language wins unless another one is this many times as likely: short windows are often detected wrongly,
# but who plainly speaks another language than expected is heard in it.
FIRST_ODDS, LAST_ODDS = 20.0, 10.0
_TOKEN = re.compile(r"<\|([a-z]{2,3})\|>")


def spoken_languages(vocabulary: Iterable[str]) -> frozenset[str]:
    """The languages that a tokenizer has a token for."""
    return frozenset(found[1] for token in vocabulary if (found := _TOKEN.fullmatch(token)))


def likeliest(
    detected: Sequence[tuple[str, float]], expected: Sequence[str], allowed: Collection[str]
) -> tuple[str, float]:
    """The language to decode in, and its probability among those that may be.

    `detected` are all languages with their probabilities; `expected` the session's, the likeliest first; `allowed` the
    deployment's, none: all. An expected language may be outside of them.
    """
    possible = [(code, p) for code, p in detected if not allowed or code in allowed or code in expected]
    possible = possible or list(detected)
    odds = _odds(expected)
    code, probability = max(possible, key=lambda one: one[1] * odds.get(one[0], 1.0))
    return code, probability / (sum(p for _, p in possible) or 1.0)


def _odds(expected: Sequence[str]) -> dict[str, float]:
    step = (FIRST_ODDS - LAST_ODDS) / max(1, len(expected) - 1)
    return {code: FIRST_ODDS - place * step for place, code in enumerate(expected)}
