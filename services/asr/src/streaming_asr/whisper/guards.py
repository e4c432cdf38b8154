"""Guards against what Whisper invents where nobody speaks: loops, and words crammed into no time. Pure."""

from collections.abc import Sequence

# Fast speech is about 7 tokens a second in English and 12 in the languages that the tokenizer splits finest.
TOKENS_PER_SECOND = 14
SPARE_TOKENS = 12
# A phrase said this often in a row is a loop; a single word may be repeated more ("no, no, no, no").
PHRASE_REPEATS = 4
WORD_REPEATS = 8
LONGEST_PHRASE = 16
NO_TIME = 320  # samples: one frame of the alignment
FEW_CRAMMED = 2  # as many short words may stand so by themselves
# Whisper's own rule for silence with a stricter second half: in short windows silence reads "you" at -0.55, while
# of 110 windows of speech none came above 0.56 in the first.
NO_SPEECH_PROBABILITY = 0.6
POOR_LOG_PROBABILITY = -0.5


def token_budget(samples: int, sample_rate: int) -> int:
    """Most tokens that `samples` of audio may give."""
    return SPARE_TOKENS + samples * TOKENS_PER_SECOND // sample_rate


def is_silence(no_speech_probability: float, mean_log_probability: float) -> bool:
    """Whether the model itself holds the window for silence."""
    return no_speech_probability > NO_SPEECH_PROBABILITY and mean_log_probability < POOR_LOG_PROBABILITY


def words_kept(words: Sequence[str], spans: Sequence[tuple[int, int]]) -> int:
    """Number of words to keep, given where each starts and ends: none that has no audio, none that goes round again.

    What Whisper says after the speech has ended finds no place in the alignment: it is crammed into one moment. Such
    a tail also tells that a phrase said twice before it was said once.
    """
    kept = len(words) - _crammed(spans)
    crammed = kept < len(words)
    keys = [word.strip(" .,!?;:").lower() for word in words]
    return min(kept, _first_round(keys, 2 if crammed else PHRASE_REPEATS, 2 if crammed else WORD_REPEATS))


def _crammed(spans: Sequence[tuple[int, int]]) -> int:
    """Length of the tail of words without duration; the last of them takes what is left of the audio."""
    count = 1
    while count < len(spans) and spans[-count - 1][1] - spans[-count - 1][0] <= NO_TIME:
        count += 1
    return count if count > FEW_CRAMMED else 0


def _first_round(keys: Sequence[str], phrase_repeats: int, word_repeats: int) -> int:
    """Up to the end of the first round of a phrase that goes round and round."""
    for begin in range(len(keys)):
        for length in range(1, LONGEST_PHRASE + 1):
            if _rounds(keys, begin, length) >= (word_repeats if length == 1 else phrase_repeats):
                return begin + length
    return len(keys)


def _rounds(keys: Sequence[str], begin: int, length: int) -> int:
    phrase = keys[begin : begin + length]
    rounds = 1
    while len(phrase) == length and keys[begin + rounds * length : begin + (rounds + 1) * length] == phrase:
        rounds += 1
    return rounds
