"""How many pods a drain of nodes may take at once."""

from lightkube.models.meta_v1 import LabelSelector, ObjectMeta
from lightkube.models.policy_v1 import PodDisruptionBudgetSpec
from lightkube.resources.policy_v1 import PodDisruptionBudget
from stack_model.api import StreamingStack
from stack_model.api.gateway import GatewayAutoscaling
from stack_model.api.model import PoolAutoscaling

from streaming_operator import names
from streaming_operator.children.child import Child
from streaming_operator.children.config import pools
from streaming_operator.facts import Inputs


def disruption(stack: StreamingStack, inputs: Inputs) -> list[Child]:
    """One budget for every part that runs in several pods."""
    name = stack.metadata.name
    return [
        *([_budget(name, names.gateway(name), names.GATEWAY)] if _gateways(stack) > 1 else []),
        *([_budget(name, names.license_proxy(name), names.LICENSE_PROXY)] if _proxies(stack, inputs) > 1 else []),
        *([_budget(name, names.load_balancer(name), names.LOAD_BALANCER)] if _balancers(stack) > 1 else []),
        *([_budget(name, names.sync_api(name), names.SYNC_API)] if _sync_apis(stack) > 1 else []),
        *(
            _budget(name, names.pool(name, model.name), names.ASR, model.name)
            for model in pools(stack, inputs)
            if _most(stack, model.autoscaling) > 1
        ),
    ]


def _gateways(stack: StreamingStack) -> int:
    return _most(stack, stack.spec.gateway.autoscaling)


def _proxies(stack: StreamingStack, inputs: Inputs) -> int:
    return max(stack.spec.license_proxy.replicas, inputs.undelivered_proxies)


def _balancers(stack: StreamingStack) -> int:
    return stack.spec.load_balancer.replicas


def _sync_apis(stack: StreamingStack) -> int:
    return stack.spec.sync_api.replicas if stack.spec.sync_api.enabled else 0


def _most(stack: StreamingStack, size: GatewayAutoscaling | PoolAutoscaling) -> int:
    """Pods that there may come to be without anybody editing the stack."""
    return size.min_replicas if stack.spec.autoscaling.provider == "None" else size.max_replicas


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
