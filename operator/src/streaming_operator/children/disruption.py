"""How many pods a drain of nodes may take at once."""

from lightkube.models.meta_v1 import LabelSelector, ObjectMeta
from lightkube.models.policy_v1 import PodDisruptionBudgetSpec
from lightkube.resources.policy_v1 import PodDisruptionBudget
from stack_model.api import StreamingStack

from streaming_operator import names
from streaming_operator.children.child import Child
from streaming_operator.children.config import pools
from streaming_operator.facts import Inputs


def disruption(stack: StreamingStack, inputs: Inputs) -> list[Child]:
    """One budget for every part that runs in several pods."""
    name, spec = stack.metadata.name, stack.spec
    several = []
    if spec.load_balancer.replicas > 1:
        several.append(_budget(name, names.load_balancer(name), names.LOAD_BALANCER))
    if _may_be_several(stack, spec.gateway.autoscaling.min_replicas, spec.gateway.autoscaling.max_replicas):
        several.append(_budget(name, names.gateway(name), names.GATEWAY))
    if max(spec.license_proxy.replicas, inputs.undelivered_proxies) > 1:
        several.append(_budget(name, names.license_proxy(name), names.LICENSE_PROXY))
    for model in pools(stack, inputs):
        if _may_be_several(stack, model.autoscaling.min_replicas, model.autoscaling.max_replicas):
            several.append(_budget(name, names.pool(name, model.name), names.ASR, model.name))
    return several


def _may_be_several(stack: StreamingStack, smallest: int, largest: int) -> bool:
    return (smallest if stack.spec.autoscaling.provider == "None" else largest) > 1


def _budget(stack: str, name: str, component: str, model: str | None = None) -> Child:
    # `maxUnavailable` and not `minAvailable`: at a size of one it still lets the node be drained. A pod that is
    # not ready serves nobody and must not hold up the drain either.
    return Child(
        PodDisruptionBudget(
            metadata=ObjectMeta(name=name, labels=names.labels(stack, component, model)),
            spec=PodDisruptionBudgetSpec(
                maxUnavailable=1,
                unhealthyPodEvictionPolicy="AlwaysAllow",
                selector=LabelSelector(matchLabels=names.selector(stack, component, model)),
            ),
        )
    )
