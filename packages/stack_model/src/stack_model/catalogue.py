"""What a gateway serves: each value of `speech_model`, the route behind it, and the family that rules its turns."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from stack_model.api import Model, SpeechModel, StreamingStack

# Until the old pod is gone and the new one is scheduled and has its image; then the model loads.
_UNTIL_STARTED_SECONDS = 60

Family = Literal["universal", "universal-3"]


class GatewayModel(BaseModel):
    """One value of `speech_model` that clients may ask for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    speech_model: SpeechModel = Field(description="The id that clients send and see.")
    route: str = Field(min_length=1, description="The value of X-Model-Version.")
    route_aliases: tuple[str, ...] = Field(default=(), description="Other values of it that lead to the same model.")
    family: Family = Field(description="`universal`: append-only words; `universal-3`: replacing words.")
    default: bool = Field(default=False, description="For clients that name no model; of one entry at most.")
    buffer_seconds: int | None = Field(
        default=None,
        ge=1,
        description="How long sessions wait for a recogniser, where it may take longer than the gateway's own time.",
    )

    @property
    def routes(self) -> tuple[str, ...]:
        """Every value of X-Model-Version that leads here."""
        return (self.route, *self.route_aliases)

    @model_validator(mode="before")
    @classmethod
    def _family_by_name(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and "family" not in raw and isinstance(raw.get("speech_model"), str):
            return {**raw, "family": family_of(raw["speech_model"])}
        return raw


_MODELS = TypeAdapter(list[GatewayModel])


class CatalogueError(ValueError):
    """A list of models that cannot be served; the text names the entry, the field and the reason."""


def family_of(speech_model: str) -> Family:
    """The family that a `speech_model` belongs to by its name; raises ValueError where the name tells nothing."""
    if speech_model.startswith(("universal-3-", "u3-")):
        return "universal-3"
    if speech_model.startswith("universal-streaming-"):
        return "universal"
    raise ValueError(
        f"{speech_model!r} tells no family: use universal-streaming-*, universal-3-* or u3-*, or set `family`"
    )


def gateway_models(stack: StreamingStack) -> list[GatewayModel]:
    """The models of a StreamingStack, in the order of spec.models; raises CatalogueError."""
    return parse_models(
        [
            {
                "speech_model": speech_model,
                "route": model.name,
                "route_aliases": tuple(model.route_aliases),
                "default": speech_model == stack.spec.gateway.default_speech_model,
                "buffer_seconds": _buffer_seconds(model),
            }
            for model in stack.spec.models
            for speech_model in model.speech_models
        ]
    )


def _buffer_seconds(model: Model) -> int | None:
    """A pool that may be of one pod, which is ended before the next one loads, has nobody to hear meanwhile."""
    alone = model.wanted_rollout == "Replace" and model.autoscaling.min_replicas == 1
    return model.startup_seconds + _UNTIL_STARTED_SECONDS if alone else None


def parse_models(document: str | bytes | list[dict[str, Any]]) -> list[GatewayModel]:
    """Read a list of models from JSON text or from plain objects; raises CatalogueError."""
    try:
        models = _MODELS.validate_python(document) if isinstance(document, list) else _MODELS.validate_json(document)
    except ValidationError as refused:
        lines = [f"{'.'.join(map(str, e['loc'])) or 'list'}: {e['msg']}" for e in refused.errors()]
        raise CatalogueError("; ".join(lines)) from None
    names = [model.speech_model for model in models]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise CatalogueError(f"speech_model: {', '.join(twice)} appears twice")
    if not models:
        raise CatalogueError("list: name at least one model")
    if sum(model.default for model in models) > 1:
        raise CatalogueError("default: mark at most one model")
    return models


def dump_models(models: list[GatewayModel]) -> str:
    """JSON text that `parse_models` reads back: the value of the gateway's GATEWAY_MODELS."""
    return _MODELS.dump_json(models, exclude_defaults=True).decode()
