"""The StreamingStack object as a whole."""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from stack_model.api.base import Keyed, Rule, SpecModel
from stack_model.api.gateway import Gateway, LoadBalancer
from stack_model.api.license import License, LicenseProxy
from stack_model.api.model import Model
from stack_model.api.platform import (
    Autoscaling,
    Images,
    ModelStore,
    NetworkIsolation,
    Observability,
    SyncApi,
    Tls,
)
from stack_model.api.status import StackStatus

GROUP = "streamingstack.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "StreamingStack"
LONGEST_NAME = 38
# Of a stack's and a model's name together: "<stack>-asr-<model>" is a label's value, 63 characters at most.
LONGEST_NAMES = 58
_NAME = "[a-z]([-a-z0-9]*[a-z0-9])?"


def _each_once(values: list[str]) -> bool:
    return len(values) == len(set(values))


class Spec(SpecModel):
    """What is wanted."""

    license: License = Field(default_factory=License, description="Where the licence lies.")
    gateway: Gateway = Field(default_factory=Gateway, description="The WebSocket gateway.")
    load_balancer: LoadBalancer = Field(
        default_factory=LoadBalancer, description="nginx between gateways and recognisers."
    )
    license_proxy: LicenseProxy = Field(
        default_factory=LicenseProxy, description="Licence checks and delivery of usage."
    )
    models: Annotated[list[Model], Field(min_length=1, max_length=16), Keyed("name")] = Field(
        description="The models, side by side: one route and one pool of pods each."
    )
    model_store: ModelStore = Field(default_factory=ModelStore, description="Where models are fetched and kept.")
    network_isolation: NetworkIsolation = Field(
        default_factory=NetworkIsolation, description="The walls around the stack."
    )
    autoscaling: Autoscaling = Field(default_factory=Autoscaling, description="Who sizes the gateway and the pools.")
    images: Images = Field(default_factory=Images, description="Which images run, and where they come from.")
    tls: Tls = Field(default_factory=Tls, description="Certificates inside the stack; not served yet.")
    observability: Observability = Field(default_factory=Observability, description="Metrics and traces.")
    sync_api: SyncApi = Field(default_factory=SyncApi, description="Whole recordings by HTTP.")

    rules = (
        Rule(
            "self.models.all(model, !has(model.routeAliases) || model.routeAliases.all(alias, "
            "self.models.filter(other, other.name == alias || "
            "(has(other.routeAliases) && alias in other.routeAliases)).size() == 1))",
            "models[].routeAliases: a route leads to one model only; a name or alias appears twice",
            lambda it: _each_once([route for model in it.models for route in model.routes]),
        ),
        Rule(
            "self.models.all(model, model.speechModels.all(name, "
            "self.models.filter(other, name in other.speechModels).size() == 1))",
            "models[].speechModels: a speech model is served by one pool only; a name appears twice",
            lambda it: _each_once([name for model in it.models for name in model.speech_models]),
        ),
        Rule(
            "self.images.flavour == 'Vendor' || self.models.all(model, has(model.source) || "
            "(has(model.files) && size(model.files) > 0))",
            "models[]: set source, or files with their sha256",
            lambda it: (
                it.images.flavour == "Vendor" or all(model.source is not None or model.files for model in it.models)
            ),
        ),
        Rule(
            "self.images.flavour != 'Vendor' || self.models.all(model, has(model.image))",
            "models[].image: with images.flavour: Vendor every model has an image of its own; name it",
            lambda it: it.images.flavour != "Vendor" or all(model.image is not None for model in it.models),
        ),
        Rule(
            "!has(self.gateway.defaultSpeechModel) || "
            "self.models.exists(model, self.gateway.defaultSpeechModel in model.speechModels)",
            "gateway.defaultSpeechModel: no model serves it; choose one of models[].speechModels",
            lambda it: (
                it.gateway.default_speech_model is None
                or any(it.gateway.default_speech_model in model.speech_models for model in it.models)
            ),
        ),
        Rule(
            "!self.syncApi.enabled || self.images.flavour != 'Vendor'",
            "syncApi.enabled: it cannot speak to images of flavour: Vendor; leave it out",
            lambda it: not it.sync_api.enabled or it.images.flavour != "Vendor",
        ),
    )


class Metadata(BaseModel):
    """The part of Kubernetes' object metadata that we read."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str
    namespace: str | None = None


def _readable(raw: Any, handler: ValidatorFunctionWrapHandler) -> StackStatus | None:
    """A status that another version wrote in a way we cannot read counts as none: it is computed anew."""
    try:
        status: StackStatus | None = handler(raw)
    except ValidationError:
        return None
    return status


class StreamingStack(SpecModel):
    """A running, licensed, metered, autoscaled speech-to-text service."""

    api_version: Literal["streamingstack.dev/v1alpha1"]
    kind: Literal["StreamingStack"]
    metadata: Metadata = Field(description="Name and namespace.")
    spec: Spec = Field(description="What is wanted.")
    status: Annotated[StackStatus | None, WrapValidator(_readable)] = Field(
        default=None, description="What the operator saw last."
    )

    rules = (
        Rule(
            f"self.metadata.name.matches('^{_NAME}$')",
            "metadata.name: begin with a letter and use lower-case letters, digits and '-': Services are named after "
            "the stack",
            lambda it: re.fullmatch(_NAME, it.metadata.name) is not None,
        ),
        Rule(
            f"size(self.metadata.name) <= {LONGEST_NAME}",
            f"metadata.name: use at most {LONGEST_NAME} characters; names of pods and volumes are made of it",
            lambda it: len(it.metadata.name) <= LONGEST_NAME,
        ),
        Rule(
            f"self.spec.models.all(model, size(self.metadata.name) + size(model.name) <= {LONGEST_NAMES})",
            f"spec.models[].name: together with metadata.name use at most {LONGEST_NAMES} characters: pods are "
            "named after both",
            lambda it: all(len(it.metadata.name) + len(model.name) <= LONGEST_NAMES for model in it.spec.models),
        ),
    )
