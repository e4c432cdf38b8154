"""Every parameter of the protocol, once: those that may change in mid-session, and those of the connection."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streaming_gateway.parameters.fields import (
    AgentContext,
    Encoding,
    JsonObject,
    Keyterms,
    Languages,
    Mode,
    Names,
    Prompt,
    Redaction,
    SampleRate,
    Score,
    Silence,
)
from streaming_gateway.problems import invalid_parameter

_RENAMED = {
    "min_end_of_turn_silence_when_confident": "min_turn_silence",
    "formatted_finals": "format_turns",
    "keyterms": "keyterms_prompt",
    "noise_suppression_model": "voice_focus",
    "noise_suppression_threshold": "voice_focus_threshold",
}
# Sent by some clients, without any effect here.
_WITHOUT_EFFECT = frozenset(
    {
        "word_finalization_max_wait_time",
        "webhook_url",
        "webhook_auth_header_name",
        "webhook_auth_header_value",
        "customer_support_audio_capture",
        "_customer_support_audio_capture",
    }
)


class Tunable(BaseModel):
    """What UpdateConfiguration may change; None is: not said."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    end_of_turn_confidence_threshold: Score | None = None
    min_turn_silence: Silence | None = None
    max_turn_silence: Silence | None = None
    vad_threshold: Score | None = None
    format_turns: bool | None = None
    filter_profanity: bool | None = None
    keyterms_prompt: Keyterms | None = None
    prompt: Prompt | None = None
    agent_context: AgentContext | None = None
    mode: Mode | None = None
    continuous_partials: bool | None = None
    interruption_delay: Annotated[int, Field(ge=0, le=1000)] | None = None
    turn_left_pad_ms: int | None = None
    language_codes: Languages | None = None
    session_heartbeat: bool | None = None
    acknowledge_silence: bool | None = None


class ConnectParameters(Tunable):
    """The whole query."""

    speech_model: str | None = None
    sample_rate: SampleRate = 16_000
    encoding: Encoding = "pcm_s16le"
    token: str | None = None
    include_partial_turns: bool = True
    language_detection: bool = False
    language: Literal["en", "multi"] | None = None
    previous_context_n_turns: Annotated[int, Field(ge=0, le=100)] = 5
    domain: str | None = None
    speaker_labels: bool = False
    max_speakers: Annotated[int, Field(ge=1, le=10)] | None = None
    speaker_labels_revision_interval_ms: Annotated[int, Field(ge=0, le=86_400_000)] | None = None
    voice_focus: Literal["near-field", "far-field"] | None = None
    voice_focus_threshold: Score | None = None
    redact_pii: Redaction = False
    redact_pii_policies: Names | None = None
    redact_pii_sub: Literal["hash", "entity_name"] | None = None
    inactivity_timeout: Annotated[int, Field(ge=5, le=3600)] | None = None
    llm_gateway: JsonObject | None = None


Parameters = TypeVar("Parameters", bound=Tunable)


def read_query(query: str) -> tuple[ConnectParameters, list[str]]:
    """Parameters of a connection, and the names that nobody knows; raises Problem 3006.

    An empty value counts as absent.
    """
    given = dict(parse_qsl(query, errors="replace"))
    known = ConnectParameters.model_fields.keys() | _RENAMED.keys() | _WITHOUT_EFFECT | {"language_code"}
    return _read(ConnectParameters, given), sorted(given.keys() - known)


def read_update(message: Mapping[str, Any]) -> Tunable:
    """What an UpdateConfiguration says; null is: not said. Raises Problem 3006."""
    return _read(Tunable, {name: value for name, value in message.items() if value is not None})


def _read(kind: type[Parameters], given: Mapping[str, Any]) -> Parameters:
    try:
        return kind.model_validate(_renamed(given))
    except ValidationError as refused:
        first = refused.errors(include_url=False, include_context=False)[0]
        raise invalid_parameter(".".join(str(part) for part in first["loc"]), first["msg"]) from None


def _renamed(given: Mapping[str, Any]) -> dict[str, Any]:
    """Old names as new ones; where both are sent, the new one wins."""
    named = {_RENAMED[name]: value for name, value in given.items() if name in _RENAMED}
    if "language_code" in given and isinstance(given["language_code"], str):
        named["language_codes"] = [given["language_code"]]
    return {**named, **{name: value for name, value in given.items() if name not in _RENAMED}}
