"""The `config` part of a request: every field, its limits, and what becomes of it for a recogniser. Pure."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from streaming_sync_api.problems import SyncProblem, bad_request

MOST_TERMS, MOST_TERM_CHARACTERS, LONGEST_TERM = 100, 8000, 50
MOST_TURNS, MOST_TURN_CHARACTERS = 500, 16_000
LONGEST_PROMPT = 6000
# What a recogniser takes (Open.prompt); the end of it says most about what follows.
RECOGNISER_PROMPT = 1750
_LANGUAGE = re.compile(r"[a-z]{2,3}|multi")


def _terms(terms: list[str]) -> list[str]:
    if len(terms) > MOST_TERMS or sum(len(term) for term in terms) > MOST_TERM_CHARACTERS:
        raise ValueError(f"at most {MOST_TERMS} terms of {MOST_TERM_CHARACTERS} characters in all")
    return [term.strip() for term in terms if term.strip() and len(term.strip()) <= LONGEST_TERM]


Terms = Annotated[list[str], AfterValidator(_terms)]


class TranscribeConfig(BaseModel):
    """What a client may say about its recording; unknown fields are ignored, null is: not said."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    language_code: str | list[str] | None = None
    language_codes: list[str] | None = None
    prompt: Annotated[str, Field(max_length=LONGEST_PROMPT)] | None = None
    keyterms_prompt: Terms | None = None
    word_boost: Terms | None = None
    conversation_context: str | list[str] | None = None
    sample_rate: int | None = None
    channels: int | None = None

    @field_validator("language_code", "language_codes")
    @classmethod
    def _codes(cls, given: str | list[str] | None) -> str | list[str] | None:
        codes = [given] if isinstance(given, str) else given or []
        if not all(_LANGUAGE.fullmatch(code) for code in codes):
            raise ValueError("ISO 639-1 codes in lower case, such as en")
        return given

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages to expect, most likely first; a prompt takes their place."""
        if self.prompt:
            return ()
        given = self.language_codes if self.language_codes is not None else self.language_code
        return (given,) if isinstance(given, str) else tuple(given or ())

    @property
    def keyterms(self) -> tuple[str, ...]:
        """Words to expect; those of more than 50 characters are left out."""
        given = self.keyterms_prompt if self.keyterms_prompt is not None else self.word_boost
        return tuple(given or ())

    @property
    def context(self) -> str:
        """What a recogniser is told before it hears: the conversation so far, trimmed oldest first, and the prompt; at
        most 1750 characters."""
        said = self.conversation_context
        turns = [said] if isinstance(said, str) else list(said or ())
        kept: list[str] = []
        left = MOST_TURN_CHARACTERS
        for turn in reversed(turns[-MOST_TURNS:]):
            kept.insert(0, turn[-left:])
            left -= len(kept[0])
            if not left:
                break
        return " ".join(filter(None, [*kept, self.prompt or ""]))[-RECOGNISER_PROMPT:]


def read_config(text: bytes | None) -> TranscribeConfig:
    """The config of a request without one is empty. Raises SyncProblem 400 naming the field."""
    if text is None or not text.strip():
        return TranscribeConfig()
    try:
        return TranscribeConfig.model_validate_json(text)
    except ValidationError as refused:
        raise _problem(refused) from None


def _problem(refused: ValidationError) -> SyncProblem:
    first = refused.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return bad_request("config: not JSON; send one JSON object, or leave the part out")
    field = ".".join(["config", *(str(part) for part in first["loc"][:1])])
    return bad_request(f"{field}: {first['msg']}")
