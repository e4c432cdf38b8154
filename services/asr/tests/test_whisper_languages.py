"""The language of a window."""

from collections.abc import Sequence

import pytest
from streaming_asr.whisper.languages import likeliest, spoken_languages

SURE_GERMAN = [("de", 0.95), ("nl", 0.03), ("en", 0.01), ("ja", 0.01)]
PERHAPS_GERMAN = [("de", 0.5), ("en", 0.3), ("nl", 0.1), ("ja", 0.1)]


@pytest.mark.parametrize(
    ("detected", "expected", "allowed", "language"),
    [
        (SURE_GERMAN, (), (), "de"),
        (SURE_GERMAN, (), ("en", "ja"), "en"),  # the deployment's languages bind
        (PERHAPS_GERMAN, ("en",), (), "en"),
        (SURE_GERMAN, ("en",), (), "de"),  # an expected language steers and does not lock
        (SURE_GERMAN, ("nl",), ("en", "de"), "de"),
        (PERHAPS_GERMAN, ("nl",), ("en", "de"), "nl"),  # the session may expect another one than the deployment
        ([("en", 0.4), ("de", 0.41), ("nl", 0.19)], ("en", "de"), (), "en"),  # the first of them is the likelier
        ([("en", 0.2), ("de", 0.6), ("nl", 0.2)], ("en", "de"), (), "de"),
        (PERHAPS_GERMAN, (), ("xx",), "de"),  # nothing that is allowed was detected
    ],
)
def test_a_window_is_heard_in(
    detected: Sequence[tuple[str, float]], expected: Sequence[str], allowed: Sequence[str], language: str
) -> None:
    assert likeliest(detected, expected, allowed)[0] == language


def test_the_confidence_is_the_share_among_what_may_be_and_not_raised_by_what_is_expected() -> None:
    assert likeliest(PERHAPS_GERMAN, ("en",), ("de", "en"))[1] == pytest.approx(0.3 / 0.8)


def test_languages_are_the_short_tokens_of_a_vocabulary() -> None:
    tokens = ["<|startoftranscript|>", "<|en|>", "<|haw|>", "<|transcribe|>", "<|0.02|>", "en", " de"]
    assert spoken_languages(tokens) == {"en", "haw"}
