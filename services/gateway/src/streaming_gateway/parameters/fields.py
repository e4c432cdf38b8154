"""Types of parameters: the same for the query, where all is text, and for UpdateConfiguration, where it is JSON."""

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

LONGEST_PROMPT = 1750
LONGEST_KEYTERM = 50
# What a silence of Universal-3's `min_turn_silence` is clamped to, in milliseconds.
LEAST_CHECK_MS, MOST_CHECK_MS = 50, 10_000
_MOST_KEYTERMS = 100
_MOST_LANGUAGES = 10
_LOWEST_RATE, _HIGHEST_RATE = 8_000, 96_000
_ENCODINGS = ("pcm_s16le", "pcm_mulaw", "opus", "ogg_opus", "aac")

Language = Literal[
    "en", "es", "de", "fr", "it", "pt", "tr", "nl", "sv", "no", "da", "fi", "hi", "vi", "ar", "he", "ja", "ur", "zh",
    "ru", "ko", "ca", "gl", "ro", "et", "fa", "yue", "af", "mr", "zu", "xh", "nn", "multi",
]  # fmt: skip


def _json_array(value: Any) -> Any:
    """A list as it is, or as JSON in one string."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = None
    if isinstance(value, list):
        return value
    raise ValueError("Invalid JSON array")


def _json_object(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = None
    if isinstance(value, dict):
        return value
    raise ValueError("Invalid JSON object")


def _comma_list(value: Any) -> Any:
    """A JSON array, or names between commas."""
    if isinstance(value, str) and not value.lstrip().startswith("["):
        return [name.strip() for name in value.split(",")]
    return _json_array(value)


def _encodable(text: str) -> str:
    """Half of a surrogate pair, which JSON can spell and UTF-8 cannot, would break what carries it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("Invalid Unicode: a surrogate without its other half") from None
    return text


def _keyterms(terms: list[str]) -> list[str]:
    if len(terms) > _MOST_KEYTERMS:
        raise ValueError(f"Max {_MOST_KEYTERMS} items")
    return [term for term in terms if term.strip() and len(term) <= LONGEST_KEYTERM]


def _languages(codes: list[Language]) -> list[Language]:
    if len(codes) > _MOST_LANGUAGES:
        raise ValueError(f"Max {_MOST_LANGUAGES} items")
    if "multi" in codes and len(codes) > 1:
        raise ValueError("'multi' stands alone")
    return codes


def _at_most(name: str) -> AfterValidator:
    def check(text: str) -> str:
        if len(text) > LONGEST_PROMPT:
            raise ValueError(f"{name} exceeds maximum length of {LONGEST_PROMPT} characters (got {len(text)})")
        return text

    return AfterValidator(check)


def _rate(hertz: int) -> int:
    if hertz < _LOWEST_RATE:
        raise ValueError(f"sample_rate must be at least {_LOWEST_RATE:,} Hz")
    if hertz > _HIGHEST_RATE:
        raise ValueError(f"sample_rate must be at most {_HIGHEST_RATE:,} Hz")
    return hertz


def _encoding(name: str) -> str:
    if name not in _ENCODINGS:
        raise ValueError(f"'{name}' is not a valid Encoding")
    return name


def _no_redaction(wanted: bool) -> bool:
    if wanted:
        raise ValueError("redaction of personal data is not available on this server")
    return wanted


def _schema(kind: str, **bounds: Any) -> WithJsonSchema:
    """What documentation is told of a type whose checks have texts of their own."""
    return WithJsonSchema({"type": kind, **bounds})


Text = Annotated[str, AfterValidator(_encodable)]
Silence = Annotated[int, Field(ge=0)]
Score = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Keyterms = Annotated[
    list[Text], AfterValidator(_keyterms), BeforeValidator(_json_array), _schema("array", maxItems=_MOST_KEYTERMS)
]
Languages = Annotated[
    list[Language], AfterValidator(_languages), BeforeValidator(_json_array), _schema("array", maxItems=_MOST_LANGUAGES)
]
Names = Annotated[list[Text], BeforeValidator(_comma_list)]
JsonObject = Annotated[dict[str, Any], BeforeValidator(_json_object)]
Prompt = Annotated[Text, _at_most("prompt"), _schema("string", maxLength=LONGEST_PROMPT)]
AgentContext = Annotated[Text, _at_most("agent_context"), _schema("string", maxLength=LONGEST_PROMPT)]
SampleRate = Annotated[int, AfterValidator(_rate), _schema("integer", minimum=_LOWEST_RATE, maximum=_HIGHEST_RATE)]
Encoding = Annotated[str, AfterValidator(_encoding), _schema("string", enum=_ENCODINGS)]
Redaction = Annotated[bool, AfterValidator(_no_redaction)]
Mode = Literal["min_latency", "balanced", "max_accuracy"]
