"""A model: its files, its pool of recognisers, what they run on."""

from typing import Annotated, Literal

from pydantic import Field

from stack_model.api.base import Distinct, Keyed, Rule, SpecModel
from stack_model.api.pods import Pods, Resources, Toleration, Tolerations
from stack_model.api.text import (
    FolderUri,
    Image,
    LabelKey,
    Labels,
    ModelPath,
    ObjectName,
    PartUri,
    Route,
    Sha256,
    SpeechModel,
)

Engine = Literal["Whisper"]
Rollout = Literal["Surge", "Replace"]
UNIVERSAL_PREFIX = "universal-streaming-"
UNIVERSAL_3_PREFIXES = ("universal-3-", "u3-")


class ModelFile(SpecModel):
    """One file of a model, made of one or more parts joined in order."""

    path: ModelPath = Field(description="Path inside the model's folder.")
    parts: Annotated[list[PartUri], Field(min_length=1, max_length=64)] = Field(
        description="Source URIs: https://, hf://, s3://, pypi:// or file://."
    )
    sha256: Sha256 = Field(description="Digest of the joined file.")


class Streams(SpecModel):
    """Streams of one recogniser pod."""

    target_per_pod: int = Field(default=20, ge=1, le=10_000, description="What the autoscaler aims at.")
    max_per_pod: int = Field(default=28, ge=1, le=10_000, description="Beyond this, new streams are refused.")

    rules = (
        Rule(
            "self.targetPerPod <= self.maxPerPod",
            "models[].streams.targetPerPod must not be greater than models[].streams.maxPerPod",
            lambda it: it.target_per_pod <= it.max_per_pod,
        ),
    )


class PoolAutoscaling(SpecModel):
    """How many recogniser pods there may be."""

    min_replicas: int = Field(default=1, ge=1, le=500, description="Pods at least.")
    max_replicas: int = Field(default=8, ge=1, le=500, description="Pods at most.")
    headroom_streams: int = Field(
        default=4, ge=0, le=10_000, description="Streams for which there is always room beyond those that are open."
    )

    rules = (
        Rule(
            "self.minReplicas <= self.maxReplicas",
            "models[].autoscaling.minReplicas must not be greater than models[].autoscaling.maxReplicas",
            lambda it: it.min_replicas <= it.max_replicas,
        ),
    )


def _gpu_tolerations() -> list[Toleration]:
    return [Toleration(key="nvidia.com/gpu", operator="Exists", effect="NoSchedule")]


class Gpu(SpecModel):
    """The accelerator of each pod."""

    resource_name: LabelKey = Field(
        default="nvidia.com/gpu", description="What the device plugin calls it, such as nvidia.com/mig-1g.10gb."
    )
    count: int = Field(default=1, ge=1, le=16, description="Cards of one pod.")
    min_memory_gib: int = Field(
        default=16,
        ge=1,
        le=1024,
        alias="minMemoryGiB",
        description="Memory that the card must have; a smaller one is reported, not tried.",
    )
    node_selector: Labels = Field(
        default_factory=dict, description="Labels of nodes with the right card, such as nvidia.com/gpu.product."
    )
    runtime_class_name: ObjectName | None = Field(
        default=None, description="RuntimeClass of the pods, such as nvidia, where containers need one to see cards."
    )
    tolerations: Tolerations = Field(
        default_factory=_gpu_tolerations, description="Taints of GPU nodes that the pods put up with."
    )


class Model(SpecModel):
    """A model: one route, one pool of pods."""

    name: Route = Field(description="The route, the value of X-Model-Version; also part of the pods' names.")
    route_aliases: Annotated[list[Route], Field(max_length=8), Distinct()] = Field(
        default_factory=list, description="Other routes that lead here."
    )
    speech_models: Annotated[list[SpeechModel], Field(min_length=1, max_length=8), Distinct()] = Field(
        description="Values of `speech_model` that this pool serves, such as universal-streaming-english."
    )
    engine: Engine = Field(
        default="Whisper", description="What runs the model; engines other than Whisper are not served yet."
    )
    source: FolderUri | None = Field(
        default=None,
        description="Folder with the whole model: hf://owner/model@revision, s3://bucket/prefix, pvc://claim/path, "
        "image://reference:tag/path, pypi://distribution==version/path or file:///path.",
    )
    files: Annotated[list[ModelFile], Field(max_length=64), Keyed("path")] = Field(
        default_factory=list, description="Or file by file, with digests."
    )
    image: Image | None = Field(default=None, description="Image of this pool alone, in place of the stack's.")
    gpu: Gpu | None = Field(default=None, description="Accelerator of each pod; absent: the model runs on CPU.")
    resources: Resources | None = Field(
        default=None,
        description="CPU and memory of one pod; absent: 4 CPU and 16Gi with a GPU, else 500m and 1Gi, at most 4Gi.",
    )
    streams: Streams = Field(default_factory=Streams, description="Streams of one pod.")
    autoscaling: PoolAutoscaling = Field(default_factory=PoolAutoscaling, description="Number of pods.")
    rollout: Rollout | None = Field(
        default=None,
        description="`Surge` starts a new pod before an old one ends; `Replace` ends the old one first and needs no "
        "spare card. Absent: Replace with a GPU, else Surge.",
    )
    startup_seconds: int = Field(
        default=300, ge=10, le=7200, description="Time to load before a pod counts as broken and is restarted."
    )
    pods: Pods = Field(default_factory=Pods, description="Overrides for the pods.")

    rules = (
        Rule(
            "!has(self.source) || !has(self.files) || size(self.files) == 0",
            "models[]: set source or files, not both",
            lambda it: it.source is None or not it.files,
        ),
        Rule(
            "self.speechModels.all(name, name.startsWith('universal-streaming-')) || "
            "self.speechModels.all(name, name.startsWith('universal-3-') || name.startsWith('u3-'))",
            "models[].speechModels: begin every name with universal-streaming-, or every name with universal-3- or "
            "u3-: it tells how turns are made",
            lambda it: (
                all(name.startswith(UNIVERSAL_PREFIX) for name in it.speech_models)
                or all(name.startswith(UNIVERSAL_3_PREFIXES) for name in it.speech_models)
            ),
        ),
        Rule(
            "!has(self.routeAliases) || !(self.name in self.routeAliases)",
            "models[].routeAliases: the model's own name is a route already; leave it out",
            lambda it: it.name not in it.route_aliases,
        ),
    )

    @property
    def routes(self) -> list[str]:
        """The name and its aliases."""
        return [self.name, *self.route_aliases]

    @property
    def wanted_rollout(self) -> Rollout:
        """`rollout`, or what is usual on the model's hardware."""
        return self.rollout or ("Replace" if self.gpu else "Surge")

    @property
    def wanted_resources(self) -> Resources:
        """`resources` of one pod, or what is usual on the model's hardware; the GPU itself is not among them."""
        if self.resources is not None:
            return self.resources
        if self.gpu is not None:
            amounts = {"cpu": "4", "memory": "16Gi"}
            return Resources(requests=amounts, limits={"memory": "16Gi"})
        return Resources(requests={"cpu": "500m", "memory": "1Gi"}, limits={"memory": "4Gi"})
