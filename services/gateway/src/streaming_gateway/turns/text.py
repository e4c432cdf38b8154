"""Text of words: the engine writes them cased and punctuated, an unformatted turn shows them plain."""

import unicodedata

MASK = "***"  # stands for a profane word
_PART_OF_A_WORD = frozenset("%&@#/+")
_INSIDE_A_WORD = frozenset("'’-‐‑")
_INSIDE_A_NUMBER = frozenset(".,:")
_QUOTES = "\"'”’»)]』」 "


def plain(text: str) -> str:
    """`text` in lower case without punctuation, except what belongs to a word (don't, well-known) or a number (3.5).

    Empty where there was nothing but punctuation. A masked word stays masked.
    """
    if MASK in text:
        return MASK
    kept = (
        _apostrophe(mark)
        for place, mark in enumerate(text)
        if not _is_punctuation(mark) or mark in _PART_OF_A_WORD or _is_inside(text, place)
    )
    joined = "".join(kept).lower()
    return joined if any(mark.isalnum() for mark in joined) else ""


def is_finished(text: str) -> bool:
    """Whether a sentence ends here: by `.`, `?`, `!` or their full-width forms, but not by an ellipsis."""
    ending = text.rstrip(_QUOTES)
    return ending.endswith((".", "?", "!", "。", "？", "！")) and not ending.endswith("..")


def has_words(texts: list[str]) -> bool:
    """Whether anything but punctuation was said; a masked word was."""
    return any(mark.isalnum() for text in texts for mark in text) or any(MASK in text for text in texts)


def _is_punctuation(mark: str) -> bool:
    return unicodedata.category(mark).startswith("P") or mark.isspace()


def _is_inside(text: str, place: int) -> bool:
    before, after = text[place - 1 : place], text[place + 1 : place + 2]
    if text[place] in _INSIDE_A_WORD:
        return before.isalnum() and after.isalnum()
    return text[place] in _INSIDE_A_NUMBER and before.isdigit() and after.isdigit()


def _apostrophe(mark: str) -> str:
    return "'" if mark == "’" else mark
