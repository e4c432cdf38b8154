"""The StreamingStack object, `streamingstack.dev/v1alpha1`: the description from which every way of running starts."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel


class ApiModel(BaseModel):
    """Frozen, camelCase outside, snake_case inside; an unknown field is an error."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


_SPEECH_MODEL = r"^[!-~]{1,128}$"


def _speech_model(name: str) -> str:
    if not re.fullmatch(_SPEECH_MODEL, name):
        raise ValueError("use 1 to 128 printable ASCII characters without spaces: it stands in URLs and in usage")
    return name


SpeechModel = Annotated[str, AfterValidator(_speech_model), Field(json_schema_extra={"pattern": _SPEECH_MODEL})]
Route = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class License(ApiModel):
    """Where the licence lies."""

    secret_name: str = Field(default="license", description="Secret with the licence.")
    key: str = Field(default="license.jwt", description="Key inside the Secret.")
    public_keys_config_map: str = Field(default="license-keys", description="ConfigMap with the issuer's JWKS.")


class GatewayAuth(ApiModel):
    """Who may open a session."""

    mode: Literal["Keys", "AnyNonEmpty"] = Field(
        default="Keys", description="`Keys` compares with the Secret's keys; `AnyNonEmpty` takes any value."
    )
    secret_name: str | None = Field(default=None, description="Secret with API keys; absent: one is made.")


class GatewaySessions(ApiModel):
    """Sessions of one gateway pod."""

    target_per_pod: int = Field(default=24, ge=1, description="What the autoscaler aims at.")
    max_per_pod: int = Field(default=48, ge=1, description="Beyond this, new sessions are refused.")

    @model_validator(mode="after")
    def _target_within_max(self) -> "GatewaySessions":
        if self.target_per_pod > self.max_per_pod:
            raise ValueError("targetPerPod must not be greater than maxPerPod")
        return self


class Gateway(ApiModel):
    """The WebSocket gateway."""

    auth: GatewayAuth = Field(default_factory=GatewayAuth)
    max_session_seconds: int = Field(default=10800, ge=60, le=10800, description="Longest session.")
    sessions: GatewaySessions = Field(default_factory=GatewaySessions)
    default_speech_model: str | None = Field(
        default=None,
        description="Model of a client that names none; absent: English if served, else the first.",
    )


class ModelFile(ApiModel):
    """One file of a model, made of one or more parts joined in order."""

    path: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./-]*$", description="Path inside the model's folder.")
    parts: list[str] = Field(min_length=1, description="Source URIs.")
    sha256: Sha256 = Field(description="Digest of the joined file.")

    @model_validator(mode="after")
    def _stays_inside(self) -> "ModelFile":
        if ".." in Path(self.path).parts:
            raise ValueError(f"path {self.path!r} leaves the model's folder")
        return self


class Streams(ApiModel):
    """Streams of one recogniser pod."""

    target_per_pod: int = Field(default=20, ge=1, description="What the autoscaler aims at.")
    max_per_pod: int = Field(default=28, ge=1, description="Beyond this, new streams are refused.")

    @model_validator(mode="after")
    def _target_within_max(self) -> "Streams":
        if self.target_per_pod > self.max_per_pod:
            raise ValueError("targetPerPod must not be greater than maxPerPod")
        return self


class Gpu(ApiModel):
    """The accelerator of a pool; absent: CPU."""

    resource_name: str = "nvidia.com/gpu"
    count: int = Field(default=1, ge=1)
    min_memory_gib: int = Field(default=16, ge=1, alias="minMemoryGiB")
    node_selector: dict[str, str] = Field(default_factory=dict)


Engine = Literal["Whisper"]


class Model(ApiModel):
    """A model: one route, one pool of pods."""

    name: Route = Field(description="The route: the value of X-Model-Version.")
    route_aliases: list[Route] = Field(default_factory=list, description="Other routes that lead here.")
    speech_models: list[SpeechModel] = Field(min_length=1, description="`speech_model` values that this pool serves.")
    engine: Engine = Field(default="Whisper", description="What runs the model.")
    source: str | None = Field(default=None, description="URI of a folder with the whole model.")
    files: list[ModelFile] = Field(default_factory=list, description="Or file by file, with digests.")
    gpu: Gpu | None = None
    streams: Streams = Field(default_factory=Streams)
    startup_seconds: int = Field(default=300, ge=10, description="Time to load before it counts as broken.")

    @model_validator(mode="after")
    def _one_source(self) -> "Model":
        if (self.source is None) == (not self.files):
            raise ValueError("set exactly one of source and files")
        return self

    @property
    def routes(self) -> list[str]:
        """The name and its aliases."""
        return [self.name, *self.route_aliases]


class Spec(ApiModel):
    """What is wanted."""

    license: License = Field(default_factory=License)
    gateway: Gateway = Field(default_factory=Gateway)
    models: list[Model] = Field(min_length=1)

    @model_validator(mode="after")
    def _routes_are_distinct(self) -> "Spec":
        for what, values in (
            ("models[].name or routeAliases", [route for model in self.models for route in model.routes]),
            ("models[].speechModels", [name for model in self.models for name in model.speech_models]),
        ):
            twice = sorted({value for value in values if values.count(value) > 1})
            if twice:
                raise ValueError(f"{what}: {', '.join(twice)} appears twice")
        return self


class Metadata(BaseModel):
    """The part of Kubernetes' object metadata that we read."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$")
    namespace: str | None = None


class StreamingStack(ApiModel):
    """A running, licensed, metered, autoscaled speech-to-text service."""

    api_version: Literal["streamingstack.dev/v1alpha1"]
    kind: Literal["StreamingStack"]
    metadata: Metadata
    spec: Spec
    status: dict[str, Any] | None = None


class StackError(ValueError):
    """A StreamingStack that cannot be used; the text names the file, the field and the reason."""


def load_stack(path: Path) -> StreamingStack:
    """Read one StreamingStack from a YAML file; raises StackError."""
    try:
        documents = [document for document in yaml.safe_load_all(path.read_text()) if document]
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as failure:
        raise StackError(f"{path}: {failure}") from None
    if len(documents) != 1:
        raise StackError(f"{path}: expected one StreamingStack, found {len(documents)} documents")
    try:
        return StreamingStack.model_validate(documents[0])
    except ValidationError as refused:
        lines = [f"{'.'.join(map(str, e['loc'])) or 'object'}: {e['msg']}" for e in refused.errors()]
        raise StackError(f"{path}: " + "; ".join(lines)) from None
