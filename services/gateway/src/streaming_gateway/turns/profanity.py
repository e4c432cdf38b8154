"""Profane words, masked: by the word lists of the glin-profanity library, in the language that is spoken."""

import functools
import re

from glin_profanity import Filter

from streaming_gateway.turns.text import MASK

_DEFAULT = "en"
# The library's lists, by ISO 639-1 code.
_LISTS = {
    "ar": "arabic",
    "cs": "czech",
    "da": "danish",
    "de": "german",
    "en": "english",
    "es": "spanish",
    "fa": "persian",
    "fi": "finnish",
    "fr": "french",
    "hi": "hindi",
    "hu": "hungarian",
    "it": "italian",
    "ja": "japanese",
    "ko": "korean",
    "nl": "dutch",
    "nn": "norwegian",
    "no": "norwegian",
    "pl": "polish",
    "pt": "portuguese",
    "ru": "russian",
    "sv": "swedish",
    "th": "thai",
    "tr": "turkish",
    "zh": "chinese",
}
_WORD = re.compile(r"\w(?:.*\w)?", re.DOTALL)


@functools.lru_cache(maxsize=16_384)
def masked(text: str, language: str) -> str:
    """`text`, one word with its punctuation, with `***` for the word where it is profane in `language`.

    `language` is an ISO 639-1 code. One without a list is looked up in none; an empty one counts as English.
    """
    name = _LISTS.get((language or _DEFAULT).lower())
    if name is None or not _filter(name).is_profane(text):
        return text
    return _WORD.sub(MASK, text, count=1)


@functools.cache
def _filter(name: str) -> Filter:
    return Filter({"languages": [name]})
