"""Silences at which the recogniser stops and asks."""

from streaming_gateway.turns.config import TurnConfig

UTTERANCE_MS = 160
_STEP_MS = 240
# The segment cap comes first, whatever the silence.
LONGEST_SILENCE_MS = 60_000


def checkpoints_ms(config: TurnConfig) -> tuple[int, ...]:
    """Sorted, distinct silences in milliseconds; the last one is where the segment always ends.

    Universal: the utterance pause, the two silences, and a look every 240 ms between them, because the score may rise
    while the silence lasts. Universal-3: the two silences. Nothing lies beyond the longer rule, since no segment does.
    """
    shortest = min(max(config.min_turn_silence, 1), LONGEST_SILENCE_MS)
    longest = min(max(config.max_turn_silence, 1), LONGEST_SILENCE_MS)
    silences = {shortest, longest}
    if config.family == "universal":
        silences |= {UTTERANCE_MS, *range(shortest, longest, _STEP_MS)}
    return tuple(sorted(silence for silence in silences if silence <= longest))
