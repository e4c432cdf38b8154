"""What every pod of a stack has in common: whose it is, what it may not do, where it runs, when it is rolled. Pure."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from lightkube.models.core_v1 import (
    Affinity,
    Container,
    LocalObjectReference,
    NodeAffinity,
    PodAffinityTerm,
    PodAntiAffinity,
    PodSecurityContext,
    PodSpec,
    PodTemplateSpec,
    SeccompProfile,
    Toleration,
    TopologySpreadConstraint,
    Volume,
    WeightedPodAffinityTerm,
)
from lightkube.models.meta_v1 import LabelSelector, ObjectMeta
from stack_model.api import StreamingStack
from stack_model.api import pods as api

from streaming_operator import names
from streaming_operator.children.containers import TMP, TMP_MOUNT, restricted
from streaming_operator.facts import Inputs

# The group that may write to a part's claim; the images' user is in it.
_GROUP = 10001
# There the platform chooses user and group, and refuses others.
_OPENSHIFT = "security.openshift.io/v1/SecurityContextConstraints"


@dataclass(frozen=True)
class Pod:
    """What one part's pods are, beside what all of them have in common.

    containers, init: in this order; each gets the pod's /tmp and may do nothing that `restricted` forbids.
    overrides: what the stack says about this part's pods.
    grace_seconds: from the wish to end a pod until it is killed.
    starts_with: "Secret/name" or "ConfigMap/name" that are read only at the start: a change rolls the pods.
    keeps_disk: a volume outlives it, so what it writes there needs a group that the next pod has too.
    hash_key: label by which the spread tells old pods from new ones while a rollout runs.
    node_affinity: which nodes can run it at all, unless the stack says so itself.
    """

    component: str
    containers: tuple[Container, ...]
    overrides: api.Pods
    grace_seconds: int
    model: str | None = None
    init: tuple[Container, ...] = ()
    volumes: tuple[Volume, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    starts_with: tuple[str, ...] = ()
    keeps_disk: bool = False
    hash_key: str | None = "pod-template-hash"
    tolerations: tuple[Toleration, ...] = ()
    node_selector: Mapping[str, str] = field(default_factory=dict)
    runtime_class: str | None = None
    node_affinity: NodeAffinity | None = None


def pod_template(stack: StreamingStack, inputs: Inputs, pod: Pod) -> PodTemplateSpec:
    """The pods of one part, as Deployments and StatefulSets make them."""
    name = stack.metadata.name
    overrides = pod.overrides
    matched = LabelSelector(matchLabels=names.selector(name, pod.component, pod.model))
    annotations = {**pod.annotations, **overrides.annotations, **_config_hash(inputs, pod.starts_with)}
    return PodTemplateSpec(
        metadata=ObjectMeta(
            labels={**overrides.labels, **names.labels(name, pod.component, pod.model)},
            annotations=annotations or None,
        ),
        spec=PodSpec(
            automountServiceAccountToken=False,
            # Variables made of Services' names could be mistaken for settings.
            enableServiceLinks=False,
            nodeSelector={"kubernetes.io/os": "linux", **pod.node_selector, **overrides.node_selector},
            tolerations=[*pod.tolerations, *map(toleration, overrides.tolerations)] or None,
            affinity=_affinity(overrides.affinity, pod.node_affinity, _zones_apart(matched)),
            priorityClassName=overrides.priority_class_name,
            runtimeClassName=pod.runtime_class,
            imagePullSecrets=[LocalObjectReference(name=secret) for secret in stack.spec.images.pull_secrets] or None,
            securityContext=_security(inputs, keeps_disk=pod.keeps_disk),
            terminationGracePeriodSeconds=pod.grace_seconds,
            topologySpreadConstraints=[_spread(matched, pod.hash_key)],
            initContainers=[_confined(container) for container in pod.init] or None,
            containers=[_confined(container) for container in pod.containers],
            volumes=[TMP, *pod.volumes],
        ),
    )


def meta(
    stack: StreamingStack,
    name: str,
    component: str,
    model: str | None = None,
    annotations: Mapping[str, str] | None = None,
) -> ObjectMeta:
    """Metadata of a child, without namespace and owner."""
    labels = names.labels(stack.metadata.name, component, model)
    return ObjectMeta(name=name, labels=labels, annotations=dict(annotations) if annotations else None)


def selector(stack: StreamingStack, component: str, model: str | None = None) -> LabelSelector:
    """What finds the pods of one part; the same for ever, whatever a user adds."""
    return LabelSelector(matchLabels=names.selector(stack.metadata.name, component, model))


def toleration(wanted: api.Toleration) -> Toleration:
    """As Kubernetes has it; the operator Equal is its default."""
    return Toleration(
        key=wanted.key,
        operator=None if wanted.operator == "Equal" else wanted.operator,
        value=wanted.value,
        effect=wanted.effect,
        tolerationSeconds=wanted.toleration_seconds,
    )


def variables(pods: api.Pods) -> dict[str, str]:
    """The environment that a stack adds to a part."""
    return {variable.name: variable.value for variable in pods.env}


def _confined(container: Container) -> Container:
    """The same container, restricted, with the pod's /tmp."""
    mounts = [TMP_MOUNT, *(container.volumeMounts or [])]
    return msgspec.structs.replace(container, securityContext=restricted(), volumeMounts=mounts)


def _affinity(wanted: api.Affinity | None, nodes: NodeAffinity | None, apart: PodAntiAffinity) -> Affinity:
    """What the stack says, unread: Kubernetes judges it, and its refusal becomes a condition; else what is usual."""
    said = wanted or api.Affinity()
    to_nodes: Any = said.node_affinity or nodes
    to_pods: Any = said.pod_affinity
    from_pods: Any = said.pod_anti_affinity or apart
    return Affinity(nodeAffinity=to_nodes, podAffinity=to_pods, podAntiAffinity=from_pods)


def _security(inputs: Inputs, *, keeps_disk: bool) -> PodSecurityContext:
    """The user is the image's own, a number that is not 0."""
    owned = keeps_disk and _OPENSHIFT not in inputs.apis
    return PodSecurityContext(
        runAsNonRoot=True,
        seccompProfile=SeccompProfile(type="RuntimeDefault"),
        fsGroup=_GROUP if owned else None,
        fsGroupChangePolicy="OnRootMismatch" if owned else None,
    )


def _spread(matched: LabelSelector, hash_key: str | None) -> TopologySpreadConstraint:
    """Over nodes, as far as there is room: a pod that fits nowhere else still starts."""
    return TopologySpreadConstraint(
        maxSkew=1,
        topologyKey="kubernetes.io/hostname",
        whenUnsatisfiable="ScheduleAnyway",
        labelSelector=matched,
        matchLabelKeys=[hash_key] if hash_key else None,
    )


def _zones_apart(matched: LabelSelector) -> PodAntiAffinity:
    """Over zones, where there are any. Not a second constraint of spread: the scheduler would then pass over every
    node without a zone, and where there are no zones spread nothing at all."""
    term = PodAffinityTerm(topologyKey="topology.kubernetes.io/zone", labelSelector=matched)
    weighted = WeightedPodAffinityTerm(weight=100, podAffinityTerm=term)
    return PodAntiAffinity(preferredDuringSchedulingIgnoredDuringExecution=[weighted])


def _config_hash(inputs: Inputs, starts_with: tuple[str, ...]) -> dict[str, str]:
    """Only of what does not reload, so that nothing else rolls a pod."""
    if not starts_with:
        return {}
    lines = "".join(f"{name} {inputs.versions.get(name, '')}\n" for name in sorted(starts_with))
    return {names.CONFIG_HASH: hashlib.sha256(lines.encode()).hexdigest()[:32]}
