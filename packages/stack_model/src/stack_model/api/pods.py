"""What a stack may say about the pods of each part: resources and a narrow set of overrides."""

from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema

from stack_model.api.base import Keyed, Rule, SpecModel
from stack_model.api.text import Amounts, Annotations, EnvName, EnvValue, LabelKey, Labels, LabelValue, ObjectName

_ANY_OBJECT = WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True})
AnyObject = Annotated[dict[str, Any], _ANY_OBJECT]


class Resources(SpecModel):
    """What the containers of a pod ask for and may use, together."""

    requests: Amounts = Field(default_factory=dict, description="Reserved, such as {cpu: 500m, memory: 1Gi}.")
    limits: Amounts = Field(default_factory=dict, description="At most, such as {memory: 2Gi}.")


class Toleration(SpecModel):
    """A taint of nodes that the pods put up with."""

    key: LabelKey | None = Field(default=None, description="Key of the taint; absent with `Exists`: every taint.")
    operator: Literal["Exists", "Equal"] = Field(default="Equal", description="How the value is compared.")
    value: LabelValue | None = Field(default=None, description="Value of the taint, for `Equal`.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="Effect of the taint; absent: every effect."
    )
    toleration_seconds: int | None = Field(
        default=None, ge=0, le=31_536_000, description="How long `NoExecute` is put up with; absent: for ever."
    )

    rules = (
        Rule(
            "has(self.key) || self.operator == 'Exists'",
            "tolerations: set key, or operator: Exists",
            lambda it: it.key is not None or it.operator == "Exists",
        ),
        Rule(
            "!has(self.value) || self.value == '' || self.operator == 'Equal'",
            "tolerations: value is only compared with operator: Equal; leave value out",
            lambda it: not it.value or it.operator == "Equal",
        ),
        Rule(
            "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            "tolerations: tolerationSeconds needs effect: NoExecute",
            lambda it: it.toleration_seconds is None or it.effect == "NoExecute",
        ),
    )


Tolerations = Annotated[list[Toleration], Field(max_length=16)]


class Affinity(SpecModel):
    """Where pods should or must run, as in a pod's spec.affinity."""

    node_affinity: AnyObject | None = Field(default=None, description="As in a pod's spec.affinity.nodeAffinity.")
    pod_affinity: AnyObject | None = Field(default=None, description="As in a pod's spec.affinity.podAffinity.")
    pod_anti_affinity: AnyObject | None = Field(
        default=None, description="As in a pod's spec.affinity.podAntiAffinity."
    )


class EnvVar(SpecModel):
    """One environment variable."""

    name: EnvName = Field(description="Name of the variable.")
    value: EnvValue = Field(default="", description="Its value; secrets do not belong here.")

    rules = (
        Rule(
            "self.name != 'NVIDIA_VISIBLE_DEVICES'",
            "env: NVIDIA_VISIBLE_DEVICES would take cards past the device plugin; use models[].gpu",
            lambda it: it.name != "NVIDIA_VISIBLE_DEVICES",
        ),
    )


_OWN_KEYS = ("app.kubernetes.io/", "streamingstack.dev/")


class Pods(SpecModel):
    """What is added to the pods of one part; what is said here wins over what the operator would say."""

    labels: Labels = Field(default_factory=dict, description="More labels; never part of a selector.")
    annotations: Annotations = Field(default_factory=dict, description="More annotations.")
    node_selector: Labels = Field(default_factory=dict, description="Labels that a node must have.")
    tolerations: Tolerations = Field(default_factory=list, description="Taints that the pods put up with.")
    affinity: Affinity | None = Field(default=None, description="Where the pods should or must run.")
    priority_class_name: ObjectName | None = Field(default=None, description="PriorityClass of the pods.")
    env: Annotated[list[EnvVar], Field(max_length=32), Keyed("name")] = Field(
        default_factory=list, description="More environment variables of the part's own container."
    )

    rules = (
        Rule(
            "!has(self.labels) || self.labels.all(key, "
            "!key.startsWith('app.kubernetes.io/') && !key.startsWith('streamingstack.dev/'))",
            "pods.labels: keys below app.kubernetes.io/ and streamingstack.dev/ are the operator's; choose others",
            lambda it: not any(key.startswith(_OWN_KEYS) for key in it.labels),
        ),
    )
