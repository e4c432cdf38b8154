"""Every parameter of the protocol, once: those that may change in mid-session, and those of the connection."""

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streaming_gateway.parameters.fields import (
    LEAST_CHECK_MS,
    LONGEST_KEYTERM,
    MOST_CHECK_MS,
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
    "_customer_support_audio_capture": "customer_support_audio_capture",
}
# One value that stands for a list.
_ALONE = {"language_code": "language_codes"}
OLD_NAMES = {**_RENAMED, **_ALONE}


class Tunable(BaseModel):
    """What UpdateConfiguration may change; None is: not said."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    end_of_turn_confidence_threshold: Score | None = Field(
        default=None,
        description="The score from which `min_turn_silence` ends a turn; 1: never, 0: always.",
        json_schema_extra={"models": "universal"},
    )
    min_turn_silence: Silence | None = Field(
        default=None,
        description="Milliseconds of audio: the silence after which a turn may end. "
        f"Universal-3: {LEAST_CHECK_MS} to {MOST_CHECK_MS}, clamped.",
    )
    max_turn_silence: Silence | None = Field(
        default=None, description="Milliseconds of audio: the silence that ends a turn whatever it sounds like."
    )
    vad_threshold: Score | None = Field(default=None, description="Below this speech probability a frame is silence.")
    format_turns: bool | None = Field(
        default=None,
        description="A second end of turn with casing and punctuation. Universal-3 is always formatted.",
        json_schema_extra={"models": "universal"},
    )
    filter_profanity: bool | None = Field(
        default=None, description="Profane words are shown as `***`, by word lists of the language that is spoken."
    )
    keyterms_prompt: Keyterms | None = Field(
        default=None,
        description=f"Words to listen for. One of over {LONGEST_KEYTERM} characters is left out. "
        "An update replaces the list.",
    )
    prompt: Prompt | None = Field(
        default=None,
        description="Text about what is said. Refused for other models.",
        json_schema_extra={"models": "universal-3"},
    )
    agent_context: AgentContext | None = Field(
        default=None,
        description="The agent's last reply; it follows `prompt`.",
        json_schema_extra={"models": "universal-3"},
    )
    mode: Mode | None = Field(
        default=None,
        description="Preset of silences; single values go over it, an update re-applies it. Refused for other models.",
        json_schema_extra={"models": "universal-3"},
    )
    continuous_partials: bool | None = Field(
        default=None,
        description="Partials about every 3 s of long speech, beside the early one.",
        json_schema_extra={"models": "universal-3"},
    )
    interruption_delay: Annotated[int, Field(ge=0, le=1000)] | None = Field(
        default=None,
        description="Milliseconds: when the early partial is due; 256 ms are added.",
        json_schema_extra={"models": "universal-3"},
    )
    turn_left_pad_ms: int | None = Field(default=None, description="Accepted, without effect.")
    language_codes: Languages | None = Field(
        default=None,
        description="Codes that are expected; `multi` stands alone, `[]` is none. `language_code` is a list of one.",
        json_schema_extra={"models": "universal-3"},
    )
    session_heartbeat: bool | None = Field(default=None, description="A `Heartbeat` every 5 s.")
    acknowledge_silence: bool | None = Field(
        default=None,
        description="A `Silence` for each second of audio without voice.",
        json_schema_extra={"models": "universal-3"},
    )


class ConnectParameters(Tunable):
    """The whole query."""

    speech_model: str | None = Field(
        default=None,
        description="The model; absent: the server's default. An unknown one is refused with a list of what is served.",
    )
    sample_rate: SampleRate = Field(
        default=16_000, description="Hz, of the PCM that is sent; without effect for compressed audio."
    )
    encoding: Encoding = Field(
        default="pcm_s16le",
        description="Of the audio. `opus`: a packet in a message; `aac`: ADTS.",
    )
    token: str | None = Field(default=None, description="A temporary token, or a key, where no header can be sent.")
    include_partial_turns: bool = Field(default=True, description="False: only ends of turns.")
    language_detection: bool = Field(
        default=False,
        description="Adds `language_code` and `language_confidence`, never null.",
        json_schema_extra={"models": "multilingual, universal-3"},
    )
    language: Literal["en", "multi"] | None = Field(
        default=None, description="Old: `multi` chooses the multilingual model where none is named."
    )
    previous_context_n_turns: Annotated[int, Field(ge=0, le=100)] = Field(
        default=5, description="Accepted, without effect: turns before make words of the next one worse."
    )
    domain: Literal["medical-v1"] | None = Field(default=None, description="Accepted, without effect.")
    speaker_labels: bool = Field(
        default=False, description="Accepted, without effect: silences and thresholds keep their defaults too."
    )
    max_speakers: Annotated[int, Field(ge=1, le=10)] | None = Field(
        default=None, description="Accepted, without effect."
    )
    speaker_labels_revision_interval_ms: Annotated[int, Field(ge=0, le=86_400_000)] | None = Field(
        default=None, description="Accepted, without effect."
    )
    voice_focus: Literal["near-field", "far-field"] | None = Field(
        default=None, description="Accepted, without effect."
    )
    voice_focus_threshold: Score | None = Field(default=None, description="Accepted, without effect.")
    redact_pii: Redaction = Field(default=False, description="True is refused: nothing would be redacted.")
    redact_pii_policies: Names | None = Field(default=None, description="Accepted, without effect.")
    redact_pii_sub: Literal["hash", "entity_name"] | None = Field(default=None, description="Accepted, without effect.")
    inactivity_timeout: Annotated[int, Field(ge=5, le=3600)] | None = Field(
        default=None,
        description="Seconds without any message until the session is ended; absent: no limit.",
    )
    llm_gateway: JsonObject | None = Field(default=None, description="Accepted, without effect.")
    webhook_url: str | None = Field(default=None, description="Accepted, without effect.")
    webhook_auth_header_name: str | None = Field(default=None, description="Accepted, without effect.")
    webhook_auth_header_value: str | None = Field(default=None, description="Accepted, without effect.")
    word_finalization_max_wait_time: int | None = Field(
        default=None, description="Milliseconds, of older clients. Accepted, without effect."
    )
    customer_support_audio_capture: bool = Field(default=False, description="Accepted, without effect.")


_JSON_KINDS = {
    name: kind["type"]
    for name, schema in ConnectParameters.model_json_schema()["properties"].items()
    for kind in schema.get("anyOf", [schema])
    if kind["type"] in ("array", "object")
}
Parameters = TypeVar("Parameters", bound=Tunable)


def read_query(query: str) -> tuple[ConnectParameters, list[str]]:
    """Parameters of a connection, and the names that nobody knows; raises Problem 3006.

    An empty value counts as absent. Of a value that is sent twice the last one counts; a list or an object is sent
    once, as JSON.
    """
    pairs = parse_qsl(query, errors="replace")
    for name, times in Counter(name for name, _ in pairs).items():
        if times > 1 and (kind := _JSON_KINDS.get(OLD_NAMES.get(name, name))):
            raise invalid_parameter(name, f"Value error, Invalid JSON {kind}")
    given = dict(pairs)
    known = ConnectParameters.model_fields.keys() | OLD_NAMES.keys()
    return _read(ConnectParameters, given), sorted(given.keys() - known)


def read_update(message: Mapping[str, Any]) -> Tunable:
    """What an UpdateConfiguration says; null is: not said. Raises Problem 3006."""
    return _read(Tunable, {name: value for name, value in message.items() if value is not None})


def _read(kind: type[Parameters], given: Mapping[str, Any]) -> Parameters:
    sent_as = _sent_as(given)
    values = {name: [given[sent]] if sent in _ALONE else given[sent] for name, sent in sent_as.items()}
    try:
        return kind.model_validate(values)
    except ValidationError as refused:
        first = refused.errors(include_url=False, include_context=False)[0]
        name, *within = first["loc"]
        sent = sent_as[str(name)]
        place = [sent] if sent in _ALONE else [sent, *within]
        raise invalid_parameter(".".join(str(part) for part in place), first["msg"]) from None


def _sent_as(given: Mapping[str, Any]) -> dict[str, str]:
    """Each parameter and the name that it was sent under; where an old name was sent beside it, the new one wins."""
    return {OLD_NAMES.get(name, name): name for name in sorted(given, key=lambda name: name not in OLD_NAMES)}
